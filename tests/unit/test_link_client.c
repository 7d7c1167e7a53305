// SPDX-License-Identifier: BSD-2-Clause
/* Both ends of real links in one loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"
#include "io/link_client.h"
#include "io/link_server.h"
#include "io/sockaddr.h"

#define LINKS	    3
#define PATIENCE_MS 20000

struct side {
	unsigned ups, downs, failed, msgs, silences, returns;
	char why[128];
	unsigned last_link;
	struct wire_msg last;
};

static uv_loop_t loop;
static struct side online, target;
static struct link_client *client;
static struct link_server *server;
static struct endpoint at;
static const struct link_key one_key = {{1}}, other_key = {{2}};
static const struct link_key *client_key, *server_key;

static void on_up(void *ctx, unsigned link_id)
{
	struct side *s = ctx;

	s->ups++;
	s->last_link = link_id;
}

static void on_msg(void *ctx, unsigned link_id, const struct wire_msg *msg)
{
	struct side *s = ctx;

	s->msgs++;
	s->last_link = link_id;
	s->last = *msg;
}

static void on_down(void *ctx, unsigned link_id, const char *why)
{
	struct side *s = ctx;

	s->downs++;
	s->last_link = link_id;
	snprintf(s->why, sizeof(s->why), "%s", why);
}

static void on_silent(void *ctx, unsigned link_id, bool silent)
{
	struct side *s = ctx;

	*(silent ? &s->silences : &s->returns) += 1;
	s->last_link = link_id;
}

static void on_failed(void *ctx, unsigned link_id, const char *why)
{
	struct side *s = ctx;

	s->failed++;
	s->last_link = link_id;
	snprintf(s->why, sizeof(s->why), "%s", why);
}

static void on_stranger(void *ctx, const struct endpoint *remote,
			const char *why)
{
	(void)remote;
	on_failed(ctx, 0, why);
}

static void on_done(void *ctx)
{
	(void)ctx;
	link_server_flush(server);
}

/* A port that nobody has at the moment. */
static uint16_t free_port(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	close(fd);
	return ntohs(sa.sin_port);
}

static void start_server(void)
{
	const struct link_server_config cfg = {.address = at.addr,
					       .port = at.port,
					       .instance = 2,
					       .max_records = 100,
					       .links_max = 8,
					       .key = server_key};
	const struct link_server_events events = {.up = on_up,
						  .msg = on_msg,
						  .down = on_down,
						  .stranger = on_stranger,
						  .done = on_done,
						  .ctx = &target};

	assert_int_equal(
		link_server_open(&server, &loop, &cfg, &events, &heap_mem), 0);
}

static void start_client(void)
{
	const struct link_client_config cfg = {.servers = &at,
					       .server_count = 1,
					       .links_each = LINKS,
					       .instance = 1,
					       .max_records = 100,
					       .key = client_key};
	const struct link_client_events events = {.up = on_up,
						  .msg = on_msg,
						  .down = on_down,
						  .silent = on_silent,
						  .failed = on_failed,
						  .ctx = &online};

	assert_int_equal(
		link_client_open(&client, &loop, &cfg, &events, &heap_mem), 0);
}

/* Runs the loop until *counter is at least n. */
static void run_until(const unsigned *counter, unsigned n)
{
	uint64_t end_ms = uv_now(&loop) + PATIENCE_MS;

	while (*counter < n) {
		assert_true(uv_now(&loop) < end_ms);
		uv_run(&loop, UV_RUN_ONCE);
	}
}

static int set_up(void **state)
{
	(void)state;
	memset(&online, 0, sizeof(online));
	memset(&target, 0, sizeof(target));
	at.addr = addr_from_v4((const uint8_t[]){127, 0, 0, 1});
	at.port = free_port();
	client = NULL;
	server = NULL;
	client_key = server_key = NULL;
	return uv_loop_init(&loop);
}

static int set_up_with_key(void **state)
{
	set_up(state);
	client_key = server_key = &one_key;
	return 0;
}

static void end_server(void)
{
	link_server_close(server);
}

static int tear_down(void **state)
{
	(void)state;
	if (client)
		link_client_close(client);
	if (server)
		link_server_close(server);
	uv_run(&loop, UV_RUN_DEFAULT);
	if (client)
		link_client_free(client);
	if (server)
		link_server_free(server);
	return uv_loop_close(&loop);
}

static struct wire_msg route_add(uint64_t route_id)
{
	return (struct wire_msg){
		.type = WIRE_ROUTE_ADD,
		.route = {.route_id = route_id, .client = at, .target = at}};
}

static void test_both_ways(void **state)
{
	struct wire_msg msg = route_add(5);
	struct link_state s;

	(void)state;
	start_server();
	start_client();
	assert_int_equal(link_client_count(client), LINKS);
	run_until(&online.ups, LINKS);
	run_until(&target.ups, LINKS);
	assert_int_equal(link_client_up(client), LINKS);

	link_client_send(client, 1, &msg);
	link_client_flush(client);
	run_until(&target.msgs, 1);
	assert_int_equal(target.last.type, WIRE_ROUTE_ADD);
	assert_int_equal(target.last.route.route_id, 5);
	assert_false(link_client_pending(client));

	msg = (struct wire_msg){.type = WIRE_STATUS,
				.status = {.queue_bound = true, .queued = 9}};
	link_server_broadcast(server, &msg);
	link_server_flush(server);
	run_until(&online.msgs, LINKS);
	assert_int_equal(online.last.type, WIRE_STATUS);
	assert_int_equal(online.last.status.queued, 9);

	link_client_state(client, 1, &s);
	assert_true(s.up);
	assert_int_equal(s.number, 1);
	assert_int_equal(s.times_up, 1);
	assert_true(s.stats.records_out >= 1);
	assert_true(s.stats.bytes_in > 0);
	assert_int_equal(online.failed, 0);
}

static uint64_t refused_by_us(void)
{
	struct link_state s;
	uint64_t n = 0;

	for (unsigned i = 0; i < LINKS; i++) {
		link_client_state(client, i, &s);
		n += s.refused;
	}
	return n;
}

static void test_refused_and_tried_again(void **state)
{
	(void)state;
	start_client();
	run_until(&online.failed, 2 * LINKS);
	assert_string_equal(online.why, "connection refused");
	assert_int_equal(refused_by_us(), 0);
	assert_int_equal(online.ups, 0);
	start_server();
	run_until(&online.ups, LINKS);
}

static void test_comes_back(void **state)
{
	struct link_state s;

	(void)state;
	start_server();
	start_client();
	run_until(&online.ups, LINKS);
	run_until(&target.ups, LINKS);
	end_server();
	run_until(&online.downs, LINKS);
	assert_string_equal(online.why, "closed by intercept");
	assert_int_equal(link_client_up(client), 0);
	run_until(&online.failed, LINKS);
	link_server_free(server);
	start_server();
	run_until(&online.ups, 2 * LINKS);
	link_client_state(client, 0, &s);
	assert_int_equal(s.times_up, 2);
}

static void test_much_at_once(void **state)
{
	struct wire_msg msg;

	(void)state;
	start_server();
	start_client();
	run_until(&online.ups, LINKS);
	for (unsigned i = 0; i < 20000; i++) {
		msg = route_add(i);
		link_client_send(client, 0, &msg);
	}
	link_client_flush(client);
	run_until(&target.msgs, 20000);
	assert_int_equal(target.last.route.route_id, 19999);
	assert_int_equal(online.downs, 0);
}

/* More than fits anywhere, in both directions: what was not shed arrives. */
static void test_more_than_fits(void **state)
{
	struct wire_msg msg = {.type = WIRE_RESPONSE};
	unsigned sent = 0, link_id;
	struct link_info info;

	(void)state;
	start_server();
	start_client();
	run_until(&online.ups, LINKS);
	run_until(&target.ups, LINKS);
	link_id = target.last_link;
	do {
		for (unsigned i = 0; i < 1000; i++, sent++)
			link_server_send(server, link_id, &msg);
		link_server_flush(server);
		assert_true(link_server_info(server, link_id, &info));
	} while (info.stats.records_shed < 50000);
	msg = route_add(1);
	for (unsigned i = 0; i < 20000; i++)
		link_client_send(client, 0, &msg);
	link_client_flush(client);
	run_until(&online.msgs, sent - (unsigned)info.stats.records_shed);
	run_until(&target.msgs, 20000);
	assert_int_equal(online.msgs, sent - info.stats.records_shed);
	assert_int_equal(online.downs + target.downs, 0);
}

/* Whoever listens there: it takes connections and says something else. */
static void test_something_else(void **state)
{
	struct sockaddr_storage sa;
	socklen_t len = sockaddr_from_endpoint(&sa, &at);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, conn;

	(void)state;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(listen(fd, 16), 0);
	start_client();
	for (unsigned i = 0; i < 5; i++)
		uv_run(&loop, UV_RUN_ONCE);
	conn = accept(fd, NULL, NULL);
	assert_int_equal(write(conn, "SSH-2.0-OpenSSH\r\n", 17), 17);
	run_until(&online.failed, 1);
	assert_int_equal(online.ups, 0);
	assert_int_equal(refused_by_us(), 1);
	close(conn);
	close(fd);
}

/* ---- silence ---- */

/* An intercept by hand, of which every link can be stopped. */
struct hand {
	struct peer *peer;
	int fd;
	bool stopped;
};

static struct hand hands[LINKS];

static int listen_by_hand(void)
{
	struct sockaddr_storage sa;
	socklen_t len = sockaddr_from_endpoint(&sa, &at);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static void work_by_hand(struct hand *h)
{
	uint8_t bytes[4096];
	const uint8_t *tx;
	struct wire_msg msg;
	ssize_t n;
	size_t len;

	if (h->stopped)
		return;
	while ((n = recv(h->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		peer_on_bytes(h->peer, bytes, (size_t)n, clock_us());
		while (peer_next_msg(h->peer, &msg))
			;
	}
	len = peer_tx_peek(h->peer, &tx);
	if (len > 0)
		assert_int_equal(write(h->fd, tx, len), len);
	peer_tx_advance(h->peer, len);
}

/* Until *counter is at least n, or so many us are over. */
static void work_until(const unsigned *counter, unsigned n, uint64_t us)
{
	uint64_t end_us = clock_us() + us;

	while ((!counter || *counter < n) && clock_us() < end_us) {
		for (unsigned i = 0; i < LINKS; i++)
			work_by_hand(&hands[i]);
		uv_run(&loop, UV_RUN_ONCE); /* there is a tick */
	}
	if (counter)
		assert_true(*counter >= n);
}

static void start_by_hand(void)
{
	const struct peer_config cfg = {.role = PEER_SERVER,
					.instance = 2,
					.max_records = 1,
					.tx_bytes = 2 * WIRE_FRAME_MAX};
	int listener = listen_by_hand();

	start_client();
	for (unsigned i = 0; i < 5; i++)
		uv_run(&loop, UV_RUN_ONCE);
	for (unsigned i = 0; i < LINKS; i++)
		hands[i] = (struct hand){
			.peer = peer_new(&cfg, &heap_mem, clock_us()),
			.fd = accept(listener, NULL, NULL),
		};
	work_until(&online.ups, LINKS, PATIENCE_MS * 1000u);
	close(listener);
}

static void end_by_hand(void)
{
	for (unsigned i = 0; i < LINKS; i++) {
		peer_free(hands[i].peer, &heap_mem);
		close(hands[i].fd);
	}
}

static void test_one_link_is_silent(void **state)
{
	unsigned link_id;

	(void)state;
	start_by_hand();
	hands[1].stopped = true;
	work_until(&online.silences, 1, PATIENCE_MS * 1000u);
	link_id = online.last_link;
	work_until(NULL, 0, 2 * PEER_ANSWER_US);
	assert_int_equal(online.silences, 1);
	assert_int_equal(online.returns, 0);
	assert_int_equal(link_client_up(client), LINKS);
	hands[1].stopped = false;
	work_until(&online.returns, 1, PATIENCE_MS * 1000u);
	assert_int_equal(online.last_link, link_id);
	assert_int_equal(online.downs, 0);
	end_by_hand();
}

/* Those that answered are gone: what is left may be only slow. */
static void test_the_silent_one_is_the_last(void **state)
{
	(void)state;
	start_by_hand();
	hands[1].stopped = true;
	work_until(&online.silences, 1, PATIENCE_MS * 1000u);
	hands[0].stopped = hands[2].stopped = true;
	shutdown(hands[0].fd, SHUT_RDWR);
	shutdown(hands[2].fd, SHUT_RDWR);
	work_until(&online.downs, 2, PATIENCE_MS * 1000u);
	assert_int_equal(online.returns, 1);
	end_by_hand();
}

static void test_all_links_are_silent(void **state)
{
	(void)state;
	start_by_hand();
	work_until(NULL, 0, PEER_PING_US);
	for (unsigned i = 0; i < LINKS; i++)
		hands[i].stopped = true;
	work_until(NULL, 0, PEER_PING_US + 3 * PEER_ANSWER_US);
	assert_int_equal(online.silences, 0);
	assert_int_equal(link_client_up(client), LINKS);
	end_by_hand();
}

/* ---- keys ---- */

static void nobody_comes_up(const struct link_key *of_client,
			    const struct link_key *of_server, const char *says)
{
	client_key = of_client;
	server_key = of_server;
	start_server();
	start_client();
	run_until(&target.failed, LINKS);
	run_until(&online.failed, LINKS);
	assert_int_equal(online.ups + target.ups, 0);
	assert_int_equal(link_server_refused(server, LINK_WRONG_KEY),
			 link_server_strangers(server));
	assert_non_null(strstr(target.why, says));
	assert_non_null(strstr(online.why, "--key-file"));
}

static void test_wrong_key(void **state)
{
	(void)state;
	nobody_comes_up(&one_key, &other_key, "its key is not ours");
}

static void test_client_without_key(void **state)
{
	(void)state;
	nobody_comes_up(NULL, &one_key, "it uses no key");
}

static void test_server_without_key(void **state)
{
	(void)state;
	nobody_comes_up(&one_key, NULL, "we have none");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_WITH_KEY(name)                                                    \
	{                                                                      \
		"with a key: " #name, name, set_up_with_key, tear_down, NULL   \
	}
	const struct CMUnitTest tests[] = {
		TEST(test_both_ways),
		TEST(test_refused_and_tried_again),
		TEST(test_comes_back),
		TEST(test_much_at_once),
		TEST(test_more_than_fits),
		TEST(test_something_else),
		TEST(test_one_link_is_silent),
		TEST(test_the_silent_one_is_the_last),
		TEST(test_all_links_are_silent),
		TEST_WITH_KEY(test_both_ways),
		TEST_WITH_KEY(test_refused_and_tried_again),
		TEST_WITH_KEY(test_comes_back),
		TEST_WITH_KEY(test_much_at_once),
		TEST_WITH_KEY(test_more_than_fits),
		TEST_WITH_KEY(test_something_else),
		TEST(test_wrong_key),
		TEST(test_client_without_key),
		TEST(test_server_without_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
