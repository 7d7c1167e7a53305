// SPDX-License-Identifier: BSD-2-Clause
/* No device that tests can make merges packets by itself, so what is said of
 * one is looked at here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tcpcopy/check.h"

/* What is printed of a device, in text. */
static void say(char *out, size_t out_bytes, const struct device_seen *seen,
		bool wanted)
{
	struct check c = {.program = "tcpcopy", .name = "devices"};
	int stdout_fd = dup(STDOUT_FILENO), ends[2];
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	fflush(stdout);
	assert_true(dup2(ends[1], STDOUT_FILENO) >= 0);
	check_say_device(&c, "eth7", seen, wanted);
	fflush(stdout);
	assert_true(dup2(stdout_fd, STDOUT_FILENO) >= 0);
	close(stdout_fd);
	close(ends[1]);
	n = read(ends[0], out, out_bytes - 1);
	assert_true(n >= 0);
	out[n] = '\0';
	close(ends[0]);
}

static const struct {
	struct device_seen seen;
	bool wanted;
	const char *level, *words; /* NULL: nothing */
} cases[] = {
	{{.exists = true, .up = true, .lro = true},
	 false,
	 "warn",
	 "ethtool -K eth7 lro off"},
	{{.exists = true, .up = true, .lro = true}, true, "warn", "LRO"},
	{{.exists = true, .up = true}, true, "ok", "do no harm"},
	{{.exists = true, .up = true}, false, "ok", "do no harm"},
	{{.exists = true, .lro = true}, true, "FAIL", "ip link set eth7 up"},
	{{.exists = true, .lro = true}, false, NULL, NULL},
	{{.exists = false}, true, "FAIL", "there is no device eth7"},
	{{.exists = true, .up = true, .loopback = true}, false, NULL, NULL},
	{{.exists = true, .up = true, .loopback = true}, true, "ok", "eth7"},
};

static void devices_are_judged(void **state)
{
	char text[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		say(text, sizeof(text), &cases[i].seen, cases[i].wanted);
		if (!cases[i].level) {
			assert_string_equal(text, "");
			continue;
		}
		assert_ptr_equal(strstr(text, cases[i].level), text);
		assert_non_null(strstr(text, cases[i].words));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices_are_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
