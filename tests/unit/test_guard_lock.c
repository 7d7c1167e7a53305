// SPDX-License-Identifier: BSD-2-Clause
/* One guard a port: who has it, and that others see it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/guard_lock.h"

/* Names are the namespace's: another run of this test has another port. */
static uint16_t a_port(void)
{
	return (uint16_t)(10000 + getpid() % 50000);
}

static void test_one_has_it(void **state)
{
	uint16_t port = a_port();
	int lock = guard_lock(port);

	(void)state;
	assert_true(lock >= 0);
	assert_int_equal(guard_lock(port), -EADDRINUSE);
	close(lock);
	lock = guard_lock(port);
	assert_true(lock >= 0);
	close(lock);
}

static void test_it_is_seen(void **state)
{
	uint16_t port = a_port();
	int lock;

	(void)state;
	assert_false(guard_is_locked(port));
	lock = guard_lock(port);
	assert_true(lock >= 0);
	assert_true(guard_is_locked(port));
	assert_false(guard_is_locked(port / 10));
	assert_false(guard_is_locked((uint16_t)(port + 1)));
	close(lock);
	assert_false(guard_is_locked(port));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_has_it),
		cmocka_unit_test(test_it_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
