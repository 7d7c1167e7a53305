// SPDX-License-Identifier: BSD-2-Clause
/* Each reason of loss, provoked so many times and counted as often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../helpers/one_engine.h"

#define TIMES 7u

static void check_lost(const struct ledger_unit *u, enum loss why, uint64_t n)
{
	for (unsigned i = 0; i < LOSS_COUNT; i++) {
		if (u->lost[i] != (i == why ? n : 0))
			print_error("%s\n", ledger_loss_key((enum loss)i));
		assert_int_equal(u->lost[i], i == why ? n : 0);
	}
}

static void check(const struct engine *e, enum loss why, uint64_t conns,
		  uint64_t turns, uint64_t bytes)
{
	engine_check(e);
	check_lost(&ledger(e)->conns, why, conns);
	check_lost(&ledger(e)->turns, why, turns);
	check_lost(&ledger(e)->bytes, why, bytes);
}

/* TIMES clients, one after the other; two requests each. */
static void talk_all(struct engine *e)
{
	for (uint8_t i = 1; i <= TIMES; i++) {
		struct client c = client_at(i, 5000);

		client_talk(e, &c, 2);
	}
}

static void test_nothing_is_lost(void **state)
{
	struct engine *e = *state;

	engine_start(e);
	talk_all(e);
	engine_wait(e, 10000000);
	check(e, LOSS_NONE, 0, 0, 0);
	assert_int_equal(ledger(e)->turns.answered, 2 * TIMES);
	assert_int_equal(replay_flows(e->r), 0);
}

/* A segment is missing, and does not come. */
static void test_capture_gap(void **state)
{
	struct engine *e = *state;
	struct client c[TIMES];

	engine_start(e);
	for (uint8_t i = 0; i < TIMES; i++) {
		c[i] = client_at((uint8_t)(i + 1), 5000);
		client_syn(e, &c[i]);
		client_send(e, &c[i], 100, 0);
		c[i].seq += 55;
		client_send(e, &c[i], 100, 100);
	}
	engine_wait(e, 2900000);
	check(e, LOSS_NONE, 0, 0, 0);
	engine_wait(e, 200000);
	check(e, LOSS_CAPTURE_GAP, 0, TIMES, 100 * TIMES);
	/* the next boundary that is seen: on they go */
	for (unsigned i = 0; i < TIMES; i++) {
		client_send(e, &c[i], 100, 0);
		client_send(e, &c[i], 100, 100);
		client_end(e, &c[i], TCP_FIN);
	}
	engine_wait(e, 10000000);
	check(e, LOSS_CAPTURE_GAP, TIMES, TIMES, 200 * TIMES);
	assert_int_equal(ledger(e)->rejoined, TIMES);
	assert_int_equal(ledger(e)->turns.answered, 2 * TIMES);
	assert_int_equal(replay_flows(e->r), 0);
}

/* tcpcopy ends while the client's next boundary is still to come. */
static void test_capture_gap_and_shutdown(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	engine_start(e);
	client_syn(e, &c);
	client_send(e, &c, 100, 0);
	c.seq += 55;
	client_send(e, &c, 100, 100);
	engine_wait(e, 4000000);
	client_send(e, &c, 100, 0);
	replay_shutdown(e->r, e->now_us);
	engine_pull(e);
	check(e, LOSS_CAPTURE_GAP, 1, 1, 200);
	assert_int_equal(ledger(e)->bytes.answered, 100);
}

/* What is missing comes late, but it comes. */
static void test_out_of_order_is_no_gap(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000), late;

	engine_start(e);
	client_syn(e, &c);
	late = c;
	c.seq += 100;
	client_send(e, &c, 100, 0);
	client_send(e, &c, 100, 200);
	client_end(e, &c, TCP_FIN);
	engine_wait(e, 1000000);
	client_send(e, &late, 100, 0);
	engine_wait(e, 10000000);
	check(e, LOSS_NONE, 0, 0, 0);
	assert_int_equal(e->conns[0].bytes, 300);
	assert_int_equal(e->conns[0].fins, 1);
}

/* Older than tcpcopy: from the second turn on. */
static void test_midstream(void **state)
{
	struct engine *e = *state;

	engine_start(e);
	for (uint8_t i = 1; i <= TIMES; i++) {
		struct client c = client_at(i, 5000);

		client_send(e, &c, 100, 0);
		client_send(e, &c, 100, 0);
		assert_int_equal(e->conn_count, i - 1u);
		client_send(e, &c, 70, 100);
		assert_int_equal(e->conns[i - 1].route.iss, c.seq - 71);
		client_send(e, &c, 70, 70);
		client_end(e, &c, TCP_FIN);
		/* one that shows no boundary */
		c = client_at(i, 6000);
		client_send(e, &c, 10, 0);
		client_end(e, &c, TCP_RST);
	}
	engine_wait(e, 10000000);
	check(e, LOSS_MIDSTREAM, TIMES, 2 * TIMES, 210 * TIMES);
	assert_int_equal(ledger(e)->rejoined, TIMES);
	assert_int_equal(ledger(e)->turns.answered, 2 * TIMES);
	assert_int_equal(ledger(e)->conns.answered, TIMES);
}

/* The server speaks while a request is being written: no boundary. */
static void test_midstream_inside_a_request(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	engine_start(e);
	for (unsigned i = 0; i < 3; i++) {
		client_packet(e, &c, TCP_ACK, c.seq, 100);
		c.seq += 100;
		c.ack += 10;
	}
	client_send(e, &c, 50, 0);
	assert_int_equal(e->conn_count, 0);
	client_send(e, &c, 70, 10);
	assert_int_equal(e->conn_count, 1);
	assert_int_equal(e->conns[0].route.iss, c.seq - 71);
	client_end(e, &c, TCP_FIN);
	engine_wait(e, 10000000);
	check(e, LOSS_MIDSTREAM, 0, 4, 350);
	assert_int_equal(ledger(e)->turns_split, 0);
}

static void client_hello(struct engine *e, struct client *c, uint32_t len)
{
	static const uint8_t hello[60000] = {0x16, 3, 1, 0, 2, 1, 3, 3};
	static uint8_t l3[65536];
	struct segment seg = {
		.tuple = {c->at, c->online},
		.seq = c->seq,
		.ack = c->ack,
		.flags = TCP_ACK | TCP_PSH,
		.payload = hello,
		.payload_len = len,
		.payload_cap = len,
	};
	size_t total = packet_build(l3, sizeof(l3), &seg, 0);

	engine_capture(e, l3, total, total);
	engine_pull(e);
	c->seq += len;
}

static void test_tls(void **state)
{
	struct engine *e = *state;

	engine_start(e);
	for (uint8_t i = 1; i <= TIMES; i++) {
		struct client c = client_at(i, 5000);

		client_syn(e, &c);
		client_hello(e, &c, 8);
		client_send(e, &c, 100, 50);
		client_end(e, &c, TCP_FIN);
		assert_int_equal(e->conns[i - 1].rsts, 1);
		assert_int_equal(e->conns[i - 1].bytes, 0);
	}
	engine_wait(e, 10000000);
	check(e, LOSS_TLS, TIMES, 2 * TIMES, 108 * TIMES);
	assert_int_equal(e->notices[NOTICE_TLS], 1);
	assert_int_equal(replay_flows(e->r), 0);
}

/* A hole in it, and a turn boundary later on: still nothing is copied, and the
 * turn at the boundary has its place. */
static void test_tls_with_a_gap(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	engine_start(e);
	client_syn(e, &c);
	client_hello(e, &c, 8);
	c.seq += 100; /* never captured */
	client_send(e, &c, 100, 50);
	engine_wait(e, 4000000);
	client_send(e, &c, 100, 50);
	client_send(e, &c, 100, 50);
	client_end(e, &c, TCP_FIN);
	engine_check(e);
	assert_int_equal(ledger(e)->turns.in_flight, 0);
	assert_int_equal(ledger(e)->turns.lost[LOSS_TLS], 3);
	assert_int_equal(ledger(e)->turns.lost[LOSS_CAPTURE_GAP], 1);
	assert_int_equal(e->conns[0].bytes, 0);
}

/* There is no room for it, but it can be seen what it is. */
static void test_tls_without_memory(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	e->cfg.memory_bytes = 60000;
	engine_start(e);
	client_syn(e, &c);
	client_hello(e, &c, 50000);
	for (int i = 0; i < 3; i++)
		client_send(e, &c, 100, 50);
	assert_int_equal(ledger(e)->turns.lost[LOSS_MEMORY], 1);
	assert_int_equal(ledger(e)->turns.lost[LOSS_TLS], 3);
	assert_int_equal(e->conns[0].bytes, 0);
}

static void test_refused(void **state)
{
	struct engine *e = *state;

	e->mode = TARGET_REFUSES;
	engine_start(e);
	talk_all(e);
	engine_wait(e, 40000000);
	check(e, LOSS_REFUSED, TIMES, 2 * TIMES, 200 * TIMES);
	assert_true(e->conns[0].syns > 5);
	assert_int_equal(replay_flows(e->r), 0);
}

static void test_target_closed(void **state)
{
	struct engine *e = *state;

	e->cfg.resend = false;
	e->mode = TARGET_RESETS;
	engine_start(e);
	talk_all(e);
	engine_wait(e, 10000000);
	check(e, LOSS_TARGET_CLOSED, TIMES, 2 * TIMES,
	      ledger(e)->bytes.lost[LOSS_TARGET_CLOSED]);
	assert_int_equal(ledger(e)->bytes.lost[LOSS_TARGET_CLOSED] +
				 ledger(e)->bytes.unanswered,
			 200 * TIMES);
	assert_int_equal(replay_flows(e->r), 0);
}

static void test_timeout(void **state)
{
	struct engine *e = *state;

	engine_start(e);
	client_talk(e, &(struct client){{v4(10, 99), 1}, {v4(1, 1), 80}, 1, 1},
		    1);
	e->mode = TARGET_SILENT;
	talk_all(e);
	engine_wait(e, 29000000);
	check(e, LOSS_NONE, 0, 0, 0);
	engine_wait(e, 10000000);
	check(e, LOSS_TIMEOUT, TIMES, 2 * TIMES, 200 * TIMES);
	assert_int_equal(e->conns[3].rsts, 1);
	assert_int_equal(replay_flows(e->r), 0);
}

static void test_shutdown(void **state)
{
	struct engine *e = *state;

	engine_start(e);
	e->mode = TARGET_HOLDS;
	for (uint8_t i = 1; i <= TIMES; i++) {
		struct client c = client_at(i, 5000);

		client_syn(e, &c);
		client_send(e, &c, 100, 0);
		client_send(e, &c, 100, 100);
	}
	replay_shutdown(e->r, e->now_us);
	engine_pull(e);
	/* the first turn of each was delivered */
	check(e, LOSS_SHUTDOWN, TIMES, TIMES, 100 * TIMES);
	assert_int_equal(ledger(e)->turns.unanswered, TIMES);
	for (unsigned i = 0; i < TIMES; i++) {
		assert_int_equal(e->conns[i].rsts, 1);
		assert_true(e->conns[i].gone);
	}
	assert_int_equal(replay_sessions(e->r), 0);
}

/* A captured packet, whatever comes out. */
static void capture(struct engine *e, const struct client *c, uint8_t flags)
{
	uint8_t l3[100];
	struct segment seg = {
		.tuple = {c->at, c->online}, .seq = c->seq, .flags = flags};
	size_t total = packet_build(l3, sizeof(l3), &seg, 0);

	engine_capture(e, l3, total, total);
}

/* More copies than one client address has ports. */
static void test_no_tuple(void **state)
{
	static struct engine e;
	struct addr_range listed = {.first = v4(203, 5), .count = 1};
	const uint32_t none = 64 * 1023 - (65536 - 1024 - 1);
	struct replay_notice notice;
	uint8_t slot[ENGINE_MTU];
	struct wire_msg msg;
	unsigned link_id;

	(void)state;
	engine_init(&e);
	e.cfg.clients = &listed;
	e.cfg.client_count = 1;
	e.cfg.copies = 1023;
	e.cfg.memory_bytes = 160u << 20;
	engine_start(&e);
	for (uint8_t i = 1; i <= 64; i++) {
		struct client c = client_at(i, 5000);

		capture(&e, &c, TCP_SYN);
		if (i > 1)
			continue;
		/* the target is there: all may be opened */
		assert_true(replay_next_msg(e.r, &link_id, &msg));
		msg = (struct wire_msg){
			.type = WIRE_RESPONSE,
			.response = {.route_id = msg.route.route_id}};
		replay_on_msg(e.r, 0, &msg, e.now_us);
	}
	while (replay_next_packet(e.r, slot, sizeof(slot), e.now_us) > 0)
		;
	e.now_us += 20000; /* copies come one after the other */
	replay_on_timer(e.r, e.now_us);
	while (replay_next_notice(e.r, &notice))
		e.notices[notice.type]++;
	assert_int_equal(e.notices[NOTICE_NO_TUPLE], 1);
	for (uint8_t i = 1; i <= 64; i++) {
		struct client c = client_at(i, 5000);

		c.seq++;
		capture(&e, &c, TCP_RST);
	}
	check(&e, LOSS_NO_TUPLE, none, 0, 0);
	assert_int_equal(ledger(&e)->conns.in_flight, 64 * 1023 - none);
	replay_free(e.r, &e.mem.mem);
	assert_int_equal(e.mem.live_bytes, 0);
}

/* Other tcpcopies own all the tuples that it tries. */
static void test_routes_refused(void **state)
{
	struct engine *e = *state;
	struct wire_msg msg = {.type = WIRE_ROUTE_REFUSED};
	unsigned tries = 0;

	engine_start(e);
	e->mode = TARGET_SILENT;
	for (uint8_t i = 1; i <= TIMES; i++) {
		struct client c = client_at(i, 5000);

		client_syn(e, &c);
		engine_wait(e, 1100000);
		client_send(e, &c, 100, 0);
		client_end(e, &c, TCP_FIN);
		while (ledger(e)->conns.lost[LOSS_NO_TUPLE] < i) {
			struct target_conn *last = &e->conns[e->conn_count - 1];
			unsigned before = e->conn_count;

			msg.route = last->route;
			last->gone = true;
			replay_on_msg(e->r, 0, &msg, e->now_us);
			engine_pull(e);
			engine_wait(e, 1100000);
			assert_true(++tries < 1000);
			assert_in_range(e->conn_count, before, before + 1);
		}
	}
	assert_int_equal(ledger(e)->routes_refused, tries);
	assert_int_equal(tries, 17 * TIMES);
	check(e, LOSS_NO_TUPLE, TIMES, TIMES, 100 * TIMES);
}

/* Somebody else has the first tuple, and on the second nobody answers: that is
 * silence, no refusal. */
static void test_silence_after_a_refused_route(void **state)
{
	struct engine *e = *state;
	struct wire_msg msg = {.type = WIRE_ROUTE_REFUSED};
	struct client c = client_at(1, 5000);

	engine_start(e);
	e->mode = TARGET_SILENT;
	client_syn(e, &c);
	engine_wait(e, 1100000);
	client_send(e, &c, 100, 0);
	client_end(e, &c, TCP_FIN);
	msg.route = e->conns[e->conn_count - 1].route;
	e->conns[e->conn_count - 1].gone = true;
	replay_on_msg(e->r, 0, &msg, e->now_us);
	engine_wait(e, 40000000);
	assert_int_equal(ledger(e)->routes_refused, 1);
	check(e, LOSS_TIMEOUT, 1, 1, 100);
}

/* More connections than the memory is for. */
static void test_memory_for_connections(void **state)
{
	struct engine *e = *state;
	unsigned copied;

	e->cfg.memory_bytes = 60000;
	engine_start(e);
	for (uint8_t i = 1; i <= 200; i++) {
		struct client c = client_at(i, 5000);

		client_syn(e, &c);
	}
	copied = e->conn_count;
	assert_in_range(copied, 10, 100);
	check(e, LOSS_MEMORY, 200 - copied, 0, 0);
	assert_int_equal(e->notices[NOTICE_MEMORY], 1);
	assert_int_equal(replay_flows(e->r), copied);
	for (uint8_t i = 1; i <= 200; i++) {
		struct client c = client_at(i, 5000);

		c.seq++;
		if (i <= copied)
			client_send(e, &c, 100, 0);
		client_end(e, &c, TCP_RST);
	}
	engine_wait(e, 10000000);
	check(e, LOSS_MEMORY, 200 - copied, 0, 0);
	assert_int_equal(ledger(e)->conns.answered, copied);
	assert_int_equal(replay_flows(e->r), 0);
}

/* What -r leaves out is not lost. */
static void test_memory_and_sampling(void **state)
{
	struct engine *e = *state;

	e->cfg.memory_bytes = 20000;
	e->cfg.sample_percent = 25;
	engine_start(e);
	for (uint8_t i = 1; i <= 200; i++) {
		struct client c = client_at(i, 5000);

		client_syn(e, &c);
	}
	assert_in_range(e->conn_count, 1, 49);
	check(e, LOSS_MEMORY, 50 - e->conn_count, 0, 0);
	assert_int_equal(ledger(e)->conns.not_sampled, 150);
}

/* Too much held: the connection that holds most is given up. */
static void hold_too_much(struct engine *e, bool closed)
{
	struct client most = client_at(1, 5000), other = client_at(2, 5000);

	e->cfg.memory_bytes = (1u << 20) + (1u << 17);
	e->mode = TARGET_SILENT;
	engine_start(e);
	client_syn(e, &most);
	client_syn(e, &other);
	for (int i = 0; i < 5; i++)
		client_send(e, &most, 50000, 0);
	if (closed)
		client_end(e, &most, TCP_FIN);
	for (int i = 0; i < 4; i++)
		client_send(e, &other, 50000, 0);
	assert_int_equal(e->notices[NOTICE_MEMORY], 0);
	for (int i = 0; i < 60 && !e->notices[NOTICE_MEMORY]; i++)
		client_send(e, &other, 1000, 0);
	for (int i = 0; i < 60 && !e->notices[NOTICE_MEMORY]; i++)
		client_send(e, &other, 10000, 0);
	assert_int_equal(e->notices[NOTICE_MEMORY], 1);
}

static void test_memory_for_bytes(void **state)
{
	struct engine *e = *state;

	hold_too_much(e, false);
	check(e, LOSS_MEMORY, 0, 1, 250000);
	assert_int_equal(replay_flows(e->r), 2);
}

/* Its client has gone already: nothing may wait for it any more. */
static void test_memory_of_a_closed_connection(void **state)
{
	struct engine *e = *state;

	hold_too_much(e, true);
	check(e, LOSS_MEMORY, 1, 1, 250000);
	engine_wait(e, 10000000);
	assert_int_equal(replay_flows(e->r), 1);
}

/* A failing allocation at each place leaves nothing behind. */
static void test_without_memory(void **state)
{
	static struct engine e;
	unsigned calls = 1;

	(void)state;
	engine_init(&e);
	for (unsigned fail_at = 1; fail_at <= calls + 1; fail_at++) {
		counted_mem_init(&e.mem, fail_at);
		e.r = replay_new(&e.cfg, &e.mem.mem, e.now_us);
		calls = e.mem.calls;
		assert_int_equal(e.r == NULL, calls >= fail_at);
		if (e.r)
			replay_free(e.r, &e.mem.mem);
		assert_int_equal(e.mem.live_bytes, 0);
	}
	assert_true(calls > 10);
	counted_mem_init(&e.mem, 0);
	e.cfg.memory_bytes = 100; /* for no connection at all */
	assert_null(replay_new(&e.cfg, &e.mem.mem, e.now_us));
	assert_int_equal(e.mem.live_bytes, 0);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, engine_setup, engine_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_is_lost),
		TEST(test_capture_gap),
		TEST(test_capture_gap_and_shutdown),
		TEST(test_out_of_order_is_no_gap),
		TEST(test_midstream),
		TEST(test_midstream_inside_a_request),
		TEST(test_tls),
		TEST(test_tls_with_a_gap),
		TEST(test_tls_without_memory),
		TEST(test_refused),
		TEST(test_target_closed),
		TEST(test_timeout),
		TEST(test_shutdown),
		cmocka_unit_test(test_no_tuple),
		TEST(test_routes_refused),
		TEST(test_silence_after_a_refused_route),
		TEST(test_memory_for_connections),
		TEST(test_memory_and_sampling),
		TEST(test_memory_for_bytes),
		TEST(test_memory_of_a_closed_connection),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
