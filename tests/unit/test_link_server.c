// SPDX-License-Identifier: BSD-2-Clause
/* The link server on loopback, against sockets that behave and that do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/heap.h"
#include "io/link_server.h"

#define LINKS	   80
#define PENDING	   16
#define BURST	   64
#define GIVE_UP_US 20000000u

struct fixture {
	uv_loop_t loop;
	struct link_server *server;
	uint16_t port;
	unsigned ups, downs, strangers, msgs;
	unsigned last_up, last_down;
	struct wire_msg last_msg;
	bool refuse, end, far;
};

static void on_up(void *ctx, unsigned link_id)
{
	struct fixture *f = ctx;

	f->ups++;
	f->last_up = link_id;
	if (f->end)
		link_server_end(f->server, link_id, "not this one");
}

static void on_msg(void *ctx, unsigned link_id, const struct wire_msg *msg)
{
	struct fixture *f = ctx;

	(void)link_id;
	f->msgs++;
	f->last_msg = *msg;
}

static void on_down(void *ctx, unsigned link_id, const char *why)
{
	struct fixture *f = ctx;

	(void)why;
	f->downs++;
	f->last_down = link_id;
}

static void on_stranger(void *ctx, const struct endpoint *remote,
			const char *why)
{
	struct fixture *f = ctx;

	(void)why;
	assert_true(f->far || addr_is_loopback(&remote->addr));
	f->strangers++;
}

static bool may_connect(void *ctx, const struct ip_addr *remote)
{
	const struct fixture *f = ctx;

	assert_true(f->far || addr_is_loopback(remote));
	return !f->refuse;
}

static void on_done(void *ctx)
{
	struct fixture *f = ctx;

	link_server_flush(f->server);
}

static int open_on_free_port(struct fixture *f)
{
	struct link_server_events events = {.up = on_up,
					    .msg = on_msg,
					    .down = on_down,
					    .may_connect = may_connect,
					    .stranger = on_stranger,
					    .done = on_done,
					    .ctx = f};
	struct link_server_config cfg = {
		.instance = 0x1122, .max_records = 64, .links_max = LINKS};
	int rc = -EADDRINUSE;

	for (unsigned i = 0; i < 100 && rc == -EADDRINUSE; i++) {
		cfg.port = f->port = (uint16_t)(20000 + rand() % 10000);
		rc = link_server_open(&f->server, &f->loop, &cfg, &events,
				      &heap_mem);
		if (rc == 0)
			break;
		link_server_close(f->server);
		uv_run(&f->loop, UV_RUN_DEFAULT);
		link_server_free(f->server);
	}
	return rc;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	uv_loop_init(&f->loop);
	assert_int_equal(open_on_free_port(f), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	link_server_close(f->server);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	link_server_free(f->server);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	free(f);
	return 0;
}

/* Runs the loop until cond holds. */
#define pump_until(f, cond)                                                    \
	do {                                                                   \
		uint64_t pump_end = clock_us() + GIVE_UP_US;                   \
		while (!(cond) && clock_us() < pump_end) {                     \
			uv_run(&(f)->loop, UV_RUN_NOWAIT);                     \
			usleep(200);                                           \
		}                                                              \
		assert_true(cond);                                             \
	} while (0)

static int client_from(const struct fixture *f, uint32_t addr)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_port = htons(f->port)};
	struct sockaddr_in from = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	from.sin_addr.s_addr = htonl(addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static int client(const struct fixture *f)
{
	return client_from(f, INADDR_LOOPBACK);
}

static void say(int fd, const struct wire_msg *msg)
{
	uint8_t frame[256];
	size_t len = wire_append(frame, 0, sizeof(frame), 1, msg);

	assert_int_equal(write(fd, frame, len), len);
}

static void hello(int fd, uint16_t version)
{
	struct wire_msg msg = {.type = WIRE_HELLO};

	msg.hello.version = version;
	msg.hello.instance = 0x3344;
	say(fd, &msg);
}

/* Reads to the end of the stream: bytes read, or -1: not ended yet. A reset is
 * an end as well. */
static ssize_t read_to_end(int fd, uint8_t *buf, size_t cap, size_t *have)
{
	ssize_t n = read(fd, buf + *have, cap - *have);

	if (n > 0)
		*have += (size_t)n;
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return (ssize_t)*have;
	return -1;
}

static void test_link_comes_up(void **state)
{
	struct fixture *f = *state;
	struct wire_msg msg = {.type = WIRE_ROUTE_ADD};
	struct link_info info;
	uint8_t buf[256];
	size_t have = 0;
	int fd = client(f);

	hello(fd, WIRE_VERSION);
	pump_until(f, f->ups == 1);
	pump_until(f, read_to_end(fd, buf, sizeof(buf), &have) < 0 && have > 0);
	assert_true(link_server_info(f->server, f->last_up, &info));
	assert_int_equal(info.instance, 0x3344);

	msg.route.route_id = 99;
	msg.route.iss = 7;
	say(fd, &msg);
	pump_until(f, f->msgs == 1);
	assert_int_equal(f->last_msg.type, WIRE_ROUTE_ADD);
	assert_int_equal(f->last_msg.route.route_id, 99);

	close(fd);
	pump_until(f, f->downs == 1);
	assert_int_equal(f->last_down, f->last_up);
	assert_false(link_server_info(f->server, f->last_up, &info));
	assert_int_equal(link_server_ended(f->server, &info.stats), 1);
	assert_int_equal(f->strangers, 0);
}

static void test_stranger_gets_no_byte(void **state)
{
	struct fixture *f = *state;
	uint8_t buf[256];
	size_t have = 0;
	int fd = client(f);

	assert_int_equal(write(fd, "GET / HTTP/1.0\r\n\r\n", 18), 18);
	pump_until(f, f->strangers == 1);
	pump_until(f, read_to_end(fd, buf, sizeof(buf), &have) == 0);
	assert_int_equal(link_server_strangers(f->server), 1);
	assert_int_equal(link_server_refused(f->server, LINK_STRANGE), 1);
	assert_int_equal(f->ups, 0);
	assert_int_equal(f->downs, 0);
	close(fd);
}

static void test_other_version_is_told_ours(void **state)
{
	struct fixture *f = *state;
	struct wire_reader r;
	struct wire_msg msg;
	uint8_t buf[256];
	size_t have = 0;
	int fd = client(f);

	hello(fd, WIRE_VERSION + 1);
	pump_until(f, f->strangers == 1);
	pump_until(f, read_to_end(fd, buf, sizeof(buf), &have) > 0);
	assert_int_equal(wire_frame(&r, buf, have), have);
	assert_int_equal(wire_next(&r, &msg), 1);
	assert_int_equal(msg.type, WIRE_HELLO);
	assert_int_equal(msg.hello.version, WIRE_VERSION);
	assert_int_equal(f->ups, 0);
	close(fd);
}

/* Those that say nothing are closed but for a few; ours come through. */
static void test_silent_ones_are_bounded(void **state)
{
	struct fixture *f = *state;
	int fds[BURST + 20], fd;
	uint8_t buf[16];
	size_t have = 0;

	for (unsigned i = 0; i < BURST + 20; i++) {
		fds[i] = client(f);
		uv_run(&f->loop, UV_RUN_NOWAIT);
		assert_true(i - f->strangers < BURST);
	}
	pump_until(f, f->strangers == BURST + 20 - PENDING);
	assert_int_equal(link_server_refused(f->server, LINK_TOO_MANY),
			 f->strangers);
	pump_until(f, read_to_end(fds[19], buf, sizeof(buf), &have) == 0);
	assert_int_equal(read_to_end(fds[BURST + 19], buf, sizeof(buf), &have),
			 -1);

	fd = client(f);
	hello(fd, WIRE_VERSION);
	pump_until(f, f->ups == 1);
	for (unsigned i = 0; i < BURST + 20; i++)
		close(fds[i]);
	close(fd);
}

/* Who connects in masses is closed himself, not the one who was there. */
static void test_masses_close_their_own(void **state)
{
	struct fixture *f = *state;
	int fds[BURST], slow = client_from(f, 0x7f000002);

	for (unsigned i = 0; i < BURST; i++)
		fds[i] = client(f);
	pump_until(f, f->strangers == BURST + 1 - PENDING);
	hello(slow, WIRE_VERSION);
	pump_until(f, f->ups == 1);
	for (unsigned i = 0; i < BURST; i++)
		close(fds[i]);
	close(slow);
}

/* One address gets so many links, and another one still gets its own. */
static void test_links_of_one_address(void **state)
{
	struct fixture *f = *state;
	int fds[LINK_SERVER_EACH_MAX], more, other;

	for (unsigned i = 0; i < LINK_SERVER_EACH_MAX; i++) {
		fds[i] = client(f);
		hello(fds[i], WIRE_VERSION);
		pump_until(f, f->ups == i + 1);
	}
	more = client(f);
	pump_until(f, f->strangers == 1);
	assert_int_equal(link_server_refused(f->server, LINK_TOO_MANY), 1);
	other = client_from(f, 0x7f000002);
	hello(other, WIRE_VERSION);
	pump_until(f, f->ups == LINK_SERVER_EACH_MAX + 1);
	for (unsigned i = 0; i < LINK_SERVER_EACH_MAX; i++)
		close(fds[i]);
	close(more);
	close(other);
}

/* ---- addresses of IPv6 ---- */

static struct in6_addr in6_at(uint8_t net, uint8_t host)
{
	struct in6_addr a = {.s6_addr = {0x20, 0x01, 0x0d, 0xb8}};

	a.s6_addr[7] = net;
	a.s6_addr[8] = 0xff;
	a.s6_addr[15] = host;
	return a;
}

/* A network of our own. */
static bool isolate(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd, rc;

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return false;
	fd = socket(AF_INET6, SOCK_DGRAM, 0);
	rc = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &lo);
	for (int i = 0; rc == 0 && i < 2 * (BURST + 1); i++) {
		struct in6_ifreq add = {
			.ifr6_addr = in6_at(i % 2 == 1, (uint8_t)(i / 2)),
			.ifr6_prefixlen = 128,
			.ifr6_ifindex = 1,
		};

		rc = ioctl(fd, SIOCSIFADDR, &add);
	}
	close(fd);
	return rc == 0;
}

static int setup_isolated(void **state)
{
	static int isolated = -1;

	if (isolated < 0)
		isolated = isolate();
	setup(state);
	((struct fixture *)*state)->far = isolated;
	return 0;
}

/* A new address may be bound only when the kernel has looked for others that
 * have it, which it does in its own time, even on lo. */
static int bind_in_time(int fd, const struct sockaddr_in6 *from)
{
	int rc = -1;

	for (int i = 0; rc && i < 10000; i++) {
		rc = bind(fd, (const struct sockaddr *)from, sizeof(*from));
		if (rc && errno != EADDRNOTAVAIL)
			break;
		if (rc)
			usleep(1000);
	}
	return rc;
}

static int client6(const struct fixture *f, uint8_t net, uint8_t host)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6,
				  .sin6_port = htons(f->port),
				  .sin6_addr = in6addr_loopback};
	struct sockaddr_in6 from = {.sin6_family = AF_INET6,
				    .sin6_addr = in6_at(net, host)};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	assert_int_equal(bind_in_time(fd, &from), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void test_links_of_one_network(void **state)
{
	struct fixture *f = *state;
	int fds[LINK_SERVER_EACH_MAX], more, other;

	if (!f->far)
		skip();
	for (uint8_t i = 0; i < LINK_SERVER_EACH_MAX; i++) {
		fds[i] = client6(f, 0, i);
		hello(fds[i], WIRE_VERSION);
		pump_until(f, f->ups == i + 1u);
	}
	more = client6(f, 0, LINK_SERVER_EACH_MAX);
	pump_until(f, f->strangers == 1);
	assert_int_equal(link_server_refused(f->server, LINK_TOO_MANY), 1);
	other = client6(f, 1, 0);
	hello(other, WIRE_VERSION);
	pump_until(f, f->ups == LINK_SERVER_EACH_MAX + 1);
	for (unsigned i = 0; i < LINK_SERVER_EACH_MAX; i++)
		close(fds[i]);
	close(more);
	close(other);
}

static void test_masses_of_one_network(void **state)
{
	struct fixture *f = *state;
	int fds[BURST], slow;

	if (!f->far)
		skip();
	slow = client6(f, 1, 0);
	for (uint8_t i = 0; i < BURST; i++)
		fds[i] = client6(f, 0, i);
	pump_until(f, f->strangers == BURST + 1 - PENDING);
	hello(slow, WIRE_VERSION);
	pump_until(f, f->ups == 1);
	for (unsigned i = 0; i < BURST; i++)
		close(fds[i]);
	close(slow);
}

/* Not even its first bytes are looked at. */
static void test_refused_address(void **state)
{
	struct fixture *f = *state;
	uint8_t buf[16];
	size_t have = 0;
	int fd;

	f->refuse = true;
	fd = client(f);
	hello(fd, WIRE_VERSION);
	pump_until(f, f->strangers == 1);
	pump_until(f, read_to_end(fd, buf, sizeof(buf), &have) == 0);
	assert_int_equal(link_server_refused(f->server, LINK_NOT_ALLOWED), 1);
	assert_int_equal(f->ups, 0);
	close(fd);
}

/* It hears nothing, and what it has said besides is not looked at. */
static void test_ended_when_it_comes_up(void **state)
{
	struct fixture *f = *state;
	uint8_t buf[16];
	size_t have = 0;
	int fd;

	f->end = true;
	fd = client(f);
	hello(fd, WIRE_VERSION);
	say(fd, &(struct wire_msg){.type = WIRE_ROUND});
	pump_until(f, f->downs == 1);
	pump_until(f, read_to_end(fd, buf, sizeof(buf), &have) == 0);
	assert_int_equal(have, 0);
	assert_int_equal(f->ups, 1);
	assert_int_equal(f->msgs, 0);
	assert_int_equal(f->strangers, 0);
	close(fd);
}

/* What is sent leaves with the next flush, every time. */
static void test_flush_writes_at_once(void **state)
{
	struct fixture *f = *state;
	struct wire_msg msg = {.type = WIRE_STATUS};
	struct link_info before, after;
	int fd = client(f);

	hello(fd, WIRE_VERSION);
	pump_until(f, f->ups == 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(link_server_info(f->server, f->last_up, &before));
		link_server_broadcast(f->server, &msg);
		link_server_flush(f->server);
		assert_true(link_server_info(f->server, f->last_up, &after));
		assert_true(after.stats.bytes_out > before.stats.bytes_out);
	}
	close(fd);
}

/* A new one waits when all ids are taken, and gets the first free one. */
static void test_full_server_takes_up_later(void **state)
{
	struct fixture *f = *state;
	int fds[LINKS], fd;

	for (unsigned i = 0; i < LINKS; i++) {
		fds[i] = client_from(f, INADDR_LOOPBACK + i % 2);
		hello(fds[i], WIRE_VERSION);
		pump_until(f, f->ups == i + 1);
	}
	fd = client(f);
	hello(fd, WIRE_VERSION);
	for (unsigned i = 0; i < 100; i++)
		uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_int_equal(f->ups, LINKS);
	close(fds[5]);
	pump_until(f, f->ups == LINKS + 1);
	assert_int_equal(f->last_up, f->last_down);
	for (unsigned i = 0; i < LINKS; i++)
		if (i != 5)
			close(fds[i]);
	close(fd);
}

/* Takes whole frames off buf, counts their RESPONSE records. */
static size_t count_responses(const uint8_t *buf, size_t len, uint64_t *count)
{
	struct wire_reader r;
	struct wire_msg msg;
	size_t used = 0;
	ssize_t n;

	while ((n = wire_frame(&r, buf + used, len - used)) > 0) {
		used += (size_t)n;
		while (wire_next(&r, &msg) == 1) {
			if (msg.type != WIRE_RESPONSE)
				continue;
			assert_int_equal(msg.response.route_id, 4711);
			++*count;
		}
	}
	assert_true(n >= 0);
	return used;
}

static void read_some(int fd, uint8_t *buf, size_t cap, size_t *have,
		      uint64_t *count)
{
	ssize_t n = read(fd, buf + *have, cap - *have);
	size_t used;

	if (n <= 0)
		return;
	*have += (size_t)n;
	used = count_responses(buf, *have, count);
	memmove(buf, buf + used, *have - used);
	*have -= used;
}

/* Nobody reads: records are shed, whole, and nothing blocks; then what was not
 * shed arrives. */
static void test_slow_link_sheds(void **state)
{
	struct fixture *f = *state;
	struct wire_msg msg = {.type = WIRE_RESPONSE};
	uint8_t *buf = malloc(2 * WIRE_FRAME_MAX);
	struct link_info info = {0};
	uint64_t sent = 0, seen = 0;
	size_t have = 0;
	int fd = client(f);

	hello(fd, WIRE_VERSION);
	pump_until(f, f->ups == 1);
	msg.response.route_id = 4711;
	while (info.stats.records_shed < 1000 && sent < 10000000) {
		for (unsigned i = 0; i < 256; i++, sent++)
			link_server_send(f->server, f->last_up, &msg);
		link_server_flush(f->server);
		assert_true(link_server_info(f->server, f->last_up, &info));
	}
	assert_in_range(info.stats.records_shed, 1000, 1255);

	pump_until(f, (read_some(fd, buf, 2 * WIRE_FRAME_MAX, &have, &seen),
		       seen == sent - info.stats.records_shed));
	assert_true(link_server_info(f->server, f->last_up, &info));
	assert_int_equal(f->downs, 0);
	free(buf);
	close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST6(name)                                                            \
	cmocka_unit_test_setup_teardown(name, setup_isolated, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_link_comes_up),
		TEST(test_stranger_gets_no_byte),
		TEST(test_other_version_is_told_ours),
		TEST(test_silent_ones_are_bounded),
		TEST(test_masses_close_their_own),
		TEST(test_links_of_one_address),
		TEST(test_refused_address),
		TEST(test_ended_when_it_comes_up),
		TEST(test_flush_writes_at_once),
		TEST(test_full_server_takes_up_later),
		TEST(test_slow_link_sheds),
		/* The namespace stays: last. */
		TEST6(test_links_of_one_network),
		TEST6(test_masses_of_one_network),
	};

	srand((unsigned)getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
