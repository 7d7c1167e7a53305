// SPDX-License-Identifier: BSD-2-Clause
/* Rings of several workers on the loopback of a network namespace of its own:
 * which packet comes out of which. Skipped where there cannot be one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/bytes.h"
#include "io/capture_live.h"
#include "../helpers/own_namespace.h"

#define PORT	   80
#define FIRST_PORT 20000
#define PORTS	   200
#define RINGS_MAX  3
/* The kernel closes a block after 10 ms, or later when others have the CPU. */
#define DELIVERED_MS 20000

static bool have_namespace;

static int enter(void **state)
{
	(void)state;
	have_namespace = own_namespace_enter();
	return 0;
}

static struct capture *open_ring(struct split split, const char *device,
				 struct capture_groups *groups)
{
	const struct capture_live_config cfg = {
		.device = device,
		.filter = "tcp dst port 80",
		.buffer_bytes = CAPTURE_BUFFER_MIN_BYTES,
		.split = split,
		.groups = groups,
	};
	struct capture *c;
	char reason[256] = "";

	if (capture_ring_open(&c, &cfg, reason, sizeof(reason)))
		fail_msg("%s", reason);
	return c;
}

/* A SYN from each port; nobody listens. */
static void knock(int family, uint16_t port)
{
	const struct sockaddr_in6 to6 = {.sin6_family = AF_INET6,
					 .sin6_port = htons(PORT),
					 .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	const struct sockaddr_in to4 = {
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	struct sockaddr_in6 from6 = to6;
	struct sockaddr_in from4 = to4;
	const struct sockaddr *from = (struct sockaddr *)&from6;
	const struct sockaddr *to = (const struct sockaddr *)&to6;
	socklen_t len = sizeof(to6);
	int fd = socket(family, SOCK_STREAM, 0);

	if (family == AF_INET) {
		from = (struct sockaddr *)&from4;
		to = (const struct sockaddr *)&to4;
		len = sizeof(to4);
	}
	from6.sin6_port = from4.sin_port = htons(port);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, from, len), 0);
	assert_int_equal(connect(fd, to, len), -1);
	close(fd);
}

struct got {
	unsigned packets, of[PORTS];
};

static void on_packet(struct got *got, const struct packet_bytes *p)
{
	size_t at = p->l3[0] >> 4 == 6 ? 40 : (p->l3[0] & 15) * 4u;

	assert_true(p->cap_len >= at + 4);
	got->packets++;
	got->of[load_be16(p->l3 + at) - FIRST_PORT]++;
}

static void on_packets(void *ctx, const struct packet_bytes *packets,
		       size_t count)
{
	assert_in_range(count, 1, CAPTURE_BATCH);
	for (size_t i = 0; i < count; i++)
		on_packet(ctx, &packets[i]);
}

/* By this clock packets are rare, and come by the socket beside the ring; when
 * it stands still, by the ring alone. */
static uint64_t now_us, step_us;

/* What is there to be read. */
static void take(struct capture *c, struct got *got)
{
	now_us += step_us;
	assert_true(c->ops->dispatch(c, 1000, now_us, on_packets, got) >= 0);
}

/* A knock from each port. What came is taken after each: when others have the
 * CPU the kernel closes a block for every few packets, and of the smallest ring
 * nobody reads meanwhile it has soon closed all. */
static void knock_all(int family, struct capture *const rings[],
		      struct got got[], unsigned count)
{
	memset(got, 0, count * sizeof(*got));
	for (unsigned i = 0; i < count; i++)
		take(rings[i], &got[i]);
	for (unsigned p = 0; p < PORTS; p++) {
		knock(family, (uint16_t)(FIRST_PORT + p));
		for (unsigned i = 0; i < count; i++)
			take(rings[i], &got[i]);
	}
}

/* Waits for all that the kernel has put in the ring: more than that is not to
 * come, since a SYN is answered behind it. */
static void take_rest(struct capture *c, struct got *got)
{
	struct pollfd p = {.fd = c->ops->fd(c), .events = POLLIN};
	struct capture_stats stats;

	c->ops->stats(c, &stats);
	assert_int_equal(stats.dropped_kernel, 0);
	if (step_us)
		assert_int_equal(got->packets, stats.received);
	while (got->packets < stats.received) {
		assert_int_equal(poll(&p, 1, DELIVERED_MS), 1);
		take(c, got);
	}
	c->ops->stats(c, &stats);
	assert_int_equal(got->packets, stats.received);
	c->ops->close(c);
}

static void assert_spread(int family, unsigned count, const char *device)
{
	struct capture *rings[RINGS_MAX];
	struct got got[RINGS_MAX];
	struct capture_groups groups = {0};

	for (unsigned i = 0; i < count; i++)
		rings[i] = open_ring((struct split){count, i}, device, &groups);
	knock_all(family, rings, got, count);
	for (unsigned i = 0; i < count; i++)
		take_rest(rings[i], &got[i]);
	for (unsigned i = 0; i < count; i++) {
		const struct split s = {count, i};

		for (unsigned p = 0; p < PORTS; p++)
			assert_int_equal(
				got[i].of[p],
				split_is_ours(&s, (uint16_t)(FIRST_PORT + p)));
		assert_true(got[i].packets > 0);
	}
}

static void test_each_packet_comes_out_once(void **state)
{
	(void)state;
	if (!have_namespace)
		skip();
	for (step_us = 0; step_us <= 1000000; step_us += 1000000) {
		assert_spread(AF_INET, 2, NULL);
		assert_spread(AF_INET, 3, "lo");
		assert_spread(AF_INET6, 2, "lo");
		assert_spread(AF_INET6, 3, NULL);
	}
}

/* The group decides, and not only the filter of each: what the second one would
 * take of the first one's places does not come to it. */
static void assert_group_spreads(void)
{
	const struct split first = {2, 0}, second = {2, 1};
	const struct split strange = {3, 1};
	struct capture *rings[2];
	struct got got[2];
	struct capture_groups groups = {0};
	unsigned kept_away = 0;

	rings[0] = open_ring(first, "lo", &groups);
	rings[1] = open_ring(strange, "lo", &groups);
	knock_all(AF_INET, rings, got, 2);
	take_rest(rings[0], &got[0]);
	take_rest(rings[1], &got[1]);
	for (unsigned p = 0; p < PORTS; p++) {
		uint16_t port = (uint16_t)(FIRST_PORT + p);
		bool wanted = split_is_ours(&strange, port);
		bool given = split_is_ours(&second, port);

		assert_int_equal(got[1].of[p], wanted && given);
		kept_away += wanted && !given;
	}
	assert_true(kept_away > 0);
}

static void test_the_groups_spread(void **state)
{
	(void)state;
	if (!have_namespace)
		skip();
	for (step_us = 0; step_us <= 1000000; step_us += 1000000)
		assert_group_spreads();
}

/* Two tcpcopies on one host. */
static void test_two_groups_do_not_meet(void **state)
{
	const struct split first = {2, 0};
	struct capture_groups one = {0}, other = {0};
	struct capture *a, *b;

	(void)state;
	if (!have_namespace)
		skip();
	a = open_ring(first, "lo", &one);
	b = open_ring(first, "lo", &other);
	assert_int_not_equal(one.ring, other.ring);
	assert_int_not_equal(one.ahead, other.ahead);
	a->ops->close(a);
	b->ops->close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_packet_comes_out_once),
		cmocka_unit_test(test_the_groups_spread),
		cmocka_unit_test(test_two_groups_do_not_meet),
	};

	return cmocka_run_group_tests(tests, enter, NULL);
}
