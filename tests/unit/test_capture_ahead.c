// SPDX-License-Identifier: BSD-2-Clause
/* The socket beside a ring, on the loopback of a network namespace of its own,
 * with a ring that is only told of. Skipped where there cannot be one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/capture_ahead.h"
#include "io/capture_filter.h"
#include "../helpers/own_namespace.h"

#define FILTER "tcp dst port 80"
#define LATER  1000000u

static bool have_namespace;

static int enter(void **state)
{
	(void)state;
	have_namespace = own_namespace_enter();
	return 0;
}

/* One SYN; nobody listens. */
static void knock(void)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(80),
		.sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)),
			 -1);
	close(fd);
}

struct last {
	uint8_t l3[128];
	size_t len;
};

static void keep(void *ctx, const struct packet_bytes *packets, size_t count)
{
	struct last *last = ctx;

	assert_in_range(count, 1, CAPTURE_BATCH);
	last->len = packets[count - 1].cap_len;
	assert_true(last->len <= sizeof(last->l3));
	memcpy(last->l3, packets[count - 1].l3, last->len);
}

static bool yes(void *ring)
{
	(void)ring;
	return true;
}

static bool no(void *ring)
{
	(void)ring;
	return false;
}

/* It has something from the second question on. */
static bool only_once(void *ring)
{
	unsigned *asked = ring;

	return (*asked)++ == 0;
}

static int give(struct capture_ahead *a, struct last *last)
{
	return capture_ahead_dispatch(a, 100, keep, last);
}

static struct capture_ahead *open_off(void)
{
	const struct capture_live_config cfg = {.filter = FILTER};
	struct capture_ahead *a = malloc(sizeof(*a));
	struct sock_fprog prog;
	struct split alone = {.count = 1};
	char err[256];

	assert_non_null(a);
	assert_int_equal(capture_filter_compile(&prog, FILTER, false, &alone,
						err, sizeof(err)),
			 0);
	assert_int_equal(capture_ahead_open(a, &cfg, &prog), 0);
	assert_int_equal(a->state, AHEAD_OFF);
	return a;
}

/* Packets are rare, and the ring has none: it gives them. */
static struct capture_ahead *open_on(uint64_t *now_us)
{
	struct capture_ahead *a = open_off();

	capture_ahead_pace(a, 0, *now_us += LATER, yes, NULL);
	assert_int_equal(a->state, AHEAD_ON);
	return a;
}

/* The loop would wake up for it. */
static bool is_readable(const struct capture_ahead *a)
{
	struct pollfd p = {.fd = a->fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void end(struct capture_ahead *a)
{
	capture_ahead_close(a);
	free(a);
}

static void test_given_once(void **state)
{
	uint64_t now_us = 0;
	struct capture_ahead *a;
	struct last last;

	(void)state;
	if (!have_namespace)
		skip();
	a = open_on(&now_us);
	knock();
	assert_int_equal(give(a, &last), 1);
	assert_int_equal(give(a, &last), 0);
	assert_true(capture_ahead_gave(a, last.l3, last.len, last.len));
	assert_int_equal(a->state, AHEAD_ON);
	end(a);
}

/* A block is there before the socket has its packet: that is given once, and
 * the next one by the socket again. */
static void test_the_socket_is_late(void **state)
{
	uint64_t now_us = 0, then_us = 0;
	struct capture_ahead *a, *ring;
	struct last last;

	(void)state;
	if (!have_namespace)
		skip();
	a = open_on(&now_us);
	ring = open_on(&then_us);
	knock();
	assert_int_equal(give(ring, &last), 1);
	assert_false(capture_ahead_gave(a, last.l3, last.len, last.len));
	assert_int_equal(give(a, &last), 0);
	assert_int_equal(a->state, AHEAD_ON);
	knock();
	assert_int_equal(give(a, &last), 1);
	assert_true(capture_ahead_gave(a, last.l3, last.len, last.len));
	end(ring);
	end(a);
}

/* The socket has much more than is read from it. */
static void test_the_socket_is_left_behind(void **state)
{
	uint64_t now_us = 0;
	struct capture_ahead *a;
	struct last first, last;
	unsigned late = 0;

	(void)state;
	if (!have_namespace)
		skip();
	a = open_on(&now_us);
	knock();
	assert_int_equal(give(a, &first), 1);
	knock();
	last = first;
	assert_true(capture_ahead_gave(a, first.l3, first.len, first.len));
	while (a->state == AHEAD_ON && late++ < 1000) {
		last.l3[last.len - 1]++; /* another one */
		assert_false(
			capture_ahead_gave(a, last.l3, last.len, last.len));
	}
	assert_int_equal(a->state, AHEAD_OFF);
	/* The socket has it, too, and keeps it. */
	assert_int_equal(give(a, &last), 0);
	/* Later on all is as before. */
	capture_ahead_pace(a, 0, now_us += LATER, yes, NULL);
	knock();
	assert_int_equal(give(a, &last), 1);
	assert_true(capture_ahead_gave(a, last.l3, last.len, last.len));
	end(a);
}

/* As long as the ring has older ones it gets none, and wakes nobody. */
static void test_nothing_while_the_ring_has_some(void **state)
{
	uint64_t now_us = LATER;
	unsigned asked = 0;
	struct capture_ahead *a;
	struct last last;

	(void)state;
	if (!have_namespace)
		skip();
	a = open_off();
	capture_ahead_pace(a, 0, now_us, no, NULL);
	assert_int_equal(a->state, AHEAD_WAITING);
	knock();
	assert_false(is_readable(a));
	/* one comes to the ring in between */
	capture_ahead_pace(a, 1, ++now_us, only_once, &asked);
	assert_int_equal(asked, 2);
	assert_int_equal(a->state, AHEAD_WAITING);
	knock();
	assert_false(is_readable(a));
	capture_ahead_pace(a, 1, ++now_us, yes, NULL);
	assert_int_equal(a->state, AHEAD_ON);
	knock();
	assert_true(is_readable(a));
	assert_int_equal(give(a, &last), 1);
	end(a);
}

/* That packets are dense is known with the 250th, that they are rare again
 * 50 ms later. */
static void test_a_load_begins(void **state)
{
	uint64_t now_us = 0;
	struct capture_ahead *a;

	(void)state;
	if (!have_namespace)
		skip();
	a = open_on(&now_us);
	capture_ahead_pace(a, 249, ++now_us, yes, NULL);
	assert_int_equal(a->state, AHEAD_ON);
	capture_ahead_pace(a, 1, ++now_us, yes, NULL);
	assert_int_equal(a->state, AHEAD_OFF);
	knock();
	assert_false(is_readable(a));
	capture_ahead_pace(a, 0, now_us + 49999, yes, NULL);
	assert_int_equal(a->state, AHEAD_OFF);
	capture_ahead_pace(a, 0, now_us + 50000, yes, NULL);
	assert_int_equal(a->state, AHEAD_ON);
	end(a);
}

/* As many in a longer time are none. */
static void test_many_in_a_second(void **state)
{
	uint64_t now_us = 0;
	struct capture_ahead *a;

	(void)state;
	if (!have_namespace)
		skip();
	a = open_on(&now_us);
	capture_ahead_pace(a, 1000, now_us += LATER, yes, NULL);
	assert_int_equal(a->state, AHEAD_ON);
	end(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_given_once),
		cmocka_unit_test(test_the_socket_is_late),
		cmocka_unit_test(test_the_socket_is_left_behind),
		cmocka_unit_test(test_nothing_while_the_ring_has_some),
		cmocka_unit_test(test_a_load_begins),
		cmocka_unit_test(test_many_in_a_second),
	};

	return cmocka_run_group_tests(tests, enter, NULL);
}
