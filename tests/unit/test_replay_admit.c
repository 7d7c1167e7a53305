// SPDX-License-Identifier: BSD-2-Clause
/* New connections that are left out: over a limit, or copies themselves. Each
 * provoked so many times and counted as often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../helpers/one_engine.h"

#define TIMES 7u

static void check(const struct engine *e, enum loss why, uint64_t conns,
		  uint64_t turns, uint64_t bytes)
{
	const struct ledger *l = ledger(e);

	engine_check(e);
	for (unsigned i = 0; i < LOSS_COUNT; i++) {
		bool it = i == why;

		assert_int_equal(l->conns.lost[i], it ? conns : 0);
		assert_int_equal(l->turns.lost[i], it ? turns : 0);
		assert_int_equal(l->bytes.lost[i], it ? bytes : 0);
	}
}

static void check_shed(const struct engine *e, uint64_t sessions, uint64_t rate,
		       uint64_t cpu)
{
	const struct ledger *l = ledger(e);

	assert_int_equal(l->shed_sessions, sessions);
	assert_int_equal(l->shed_rate, rate);
	assert_int_equal(l->shed_cpu, cpu);
	assert_int_equal(e->notices[NOTICE_MAX_SESSIONS], sessions > 0);
	assert_int_equal(e->notices[NOTICE_MAX_RATE], rate > 0);
	assert_int_equal(e->notices[NOTICE_MAX_CPU], cpu > 0);
}

/* The first three are copied and go on; the others are left out, whole, also
 * when there is room again. */
static void test_max_sessions(void **state)
{
	struct engine *e = *state;
	struct client c[3 + TIMES], later = client_at(99, 5000);

	e->cfg.max_sessions = 3;
	engine_start(e);
	for (uint8_t i = 0; i < 3 + TIMES; i++) {
		c[i] = client_at((uint8_t)(i + 1), 5000);
		client_syn(e, &c[i]);
		client_send(e, &c[i], 100, 0);
	}
	check(e, LOSS_LIMIT, TIMES, TIMES, 100 * TIMES);
	for (unsigned i = 0; i < 3; i++) {
		client_send(e, &c[i], 100, 100);
		client_end(e, &c[i], TCP_FIN);
	}
	engine_wait(e, 1000000);
	assert_int_equal(ledger(e)->conns.answered, 3);
	for (unsigned i = 3; i < 3 + TIMES; i++) {
		client_send(e, &c[i], 100, 100);
		client_end(e, &c[i], TCP_FIN);
	}
	client_talk(e, &later, 2);
	engine_wait(e, 10000000);
	check(e, LOSS_LIMIT, TIMES, 2 * TIMES, 200 * TIMES);
	check_shed(e, TIMES, 0, 0);
	assert_int_equal(ledger(e)->turns.answered, 2 * 4);
	assert_int_equal(e->conn_count, 4);
	assert_int_equal(replay_flows(e->r), 0);
}

/* Either all copies of a connection or none. */
static void test_max_sessions_of_copies(void **state)
{
	struct engine *e = *state;

	e->cfg.copies = 3;
	e->cfg.max_sessions = 8;
	engine_start(e);
	for (uint8_t i = 1; i <= 4; i++) {
		struct client c = client_at(i, 5000);

		client_syn(e, &c);
		client_send(e, &c, 100, 0);
	}
	engine_wait(e, 1000000);
	check(e, LOSS_LIMIT, 2 * 3, 2 * 3, 200 * 3);
	check_shed(e, 2, 0, 0);
	assert_int_equal(e->conn_count, 6);
	assert_int_equal(replay_sessions(e->r), 6);
}

/* Those found in the middle, too, whether they have been joined or not. */
static void test_max_sessions_midstream(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	e->cfg.max_sessions = 1;
	engine_start(e);
	client_send(e, &c, 100, 0);
	for (uint8_t i = 2; i < 2 + TIMES; i++) {
		struct client other = client_at(i, 5000);

		client_send(e, &other, 100, 0);
		client_send(e, &other, 100, 100);
		client_send(e, &other, 100, 100);
	}
	client_send(e, &c, 100, 100);
	assert_int_equal(e->conn_count, 1);
	check_shed(e, TIMES, 0, 0);
	assert_int_equal(ledger(e)->turns.lost[LOSS_LIMIT], 3 * TIMES);
	assert_int_equal(ledger(e)->turns.lost[LOSS_MIDSTREAM], 1);
	assert_int_equal(ledger(e)->conns.lost[LOSS_LIMIT], TIMES);
}

/* What -r leaves out is no matter of limits. */
static void test_sampling_comes_first(void **state)
{
	struct engine *e = *state;

	e->cfg.max_sessions = 4;
	e->cfg.sample_percent = 25;
	engine_start(e);
	for (uint8_t i = 1; i <= 40; i++) {
		struct client c = client_at(i, 5000);

		client_syn(e, &c);
	}
	assert_int_equal(e->conn_count, 4);
	check(e, LOSS_LIMIT, 6, 0, 0);
	assert_int_equal(ledger(e)->conns.not_sampled, 30);
}

/* With so many packets sent no new connection; those that are open go on. */
static void check_rate(struct engine *e)
{
	struct client c = client_at(1, 5000);

	engine_start(e);
	client_syn(e, &c);
	for (int i = 0; i < 20; i++)
		client_send(e, &c, 1000, i ? 1000 : 0);
	assert_int_equal(e->conns[0].bytes, 20000);
	for (uint8_t i = 2; i < 2 + TIMES; i++) {
		struct client other = client_at(i, 5000);

		client_talk(e, &other, 1);
	}
	check(e, LOSS_LIMIT, TIMES, TIMES, 100 * TIMES);
	check_shed(e, 0, TIMES, 0);
	client_send(e, &c, 1000, 1000);
	assert_int_equal(e->conns[0].bytes, 21000);
	engine_wait(e, 2000000);
	c = client_at(100, 5000);
	client_talk(e, &c, 1);
	assert_int_equal(e->conn_count, 2);
	check_shed(e, 0, TIMES, 0);
}

static void test_max_packets(void **state)
{
	struct engine *e = *state;

	e->cfg.max_packets = 150;
	check_rate(e);
}

static void test_max_bits(void **state)
{
	struct engine *e = *state;

	e->cfg.max_bits = 1500000;
	check_rate(e);
}

static void test_below_the_rates(void **state)
{
	struct engine *e = *state;

	e->cfg.max_packets = 1000;
	e->cfg.max_bits = 10000000;
	engine_start(e);
	for (uint8_t i = 1; i <= TIMES; i++) {
		struct client c = client_at(i, 5000);

		client_talk(e, &c, 2);
		engine_wait(e, 20000);
	}
	check(e, LOSS_NONE, 0, 0, 0);
	check_shed(e, 0, 0, 0);
}

static void test_shedding(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000), later = client_at(99, 5000);

	engine_start(e);
	client_syn(e, &c);
	replay_set_shedding(e->r, true);
	for (uint8_t i = 2; i < 2 + TIMES; i++) {
		struct client other = client_at(i, 5000);

		client_talk(e, &other, 2);
	}
	client_send(e, &c, 100, 0);
	replay_set_shedding(e->r, false);
	client_talk(e, &later, 1);
	engine_wait(e, 1000000);
	check(e, LOSS_LIMIT, TIMES, 2 * TIMES, 200 * TIMES);
	check_shed(e, 0, 0, TIMES);
	assert_int_equal(e->conn_count, 2);
	assert_int_equal(ledger(e)->turns.answered, 2);
}

/* The target's port is the one that is copied, and what leaves is captured. */
static void test_own_packets_captured(void **state)
{
	struct engine *e = *state;
	struct client own = client_at(1, 5000);

	e->cfg.live = true;
	e->targets[0].at.port = 80;
	own.online = e->targets[0].at;
	engine_start(e);
	for (uint8_t i = 1; i <= TIMES; i++) {
		struct client c = client_at(i, 5000);

		own = c;
		own.online = e->targets[0].at;
		client_talk(e, &c, 2);
		client_talk(e, &own, 2);
	}
	/* and of one whose beginning was not seen */
	own.at.port = 6000;
	for (int i = 0; i < 4; i++)
		client_send(e, &own, 100, 100);
	engine_wait(e, 1000000);
	check(e, LOSS_LOOP, TIMES + 1, 2 * TIMES + 4, 200 * TIMES + 400);
	assert_int_equal(e->notices[NOTICE_LOOP], 1);
	assert_int_equal(e->conn_count, TIMES);
	assert_int_equal(ledger(e)->turns.answered, 2 * TIMES);
}

/* A tcpcopy on the target sends what it captures back to the online server. */
static void test_copied_back(void **state)
{
	static const struct addr_range listed = {
		.first = {{[10] = 0xff, 0xff, 203, 0, 0, 5}}, .count = 1};
	struct engine *e = *state;

	e->cfg.live = true;
	e->cfg.clients = &listed;
	e->cfg.client_count = 1;
	engine_start(e);
	for (uint8_t i = 1; i <= TIMES; i++) {
		struct client c = client_at(i, (uint16_t)(5000 + i)), back;

		client_syn(e, &c);
		back = c;
		back.at = e->conns[i - 1].route.client;
		back.seq = e->conns[i - 1].route.iss;
		assert_int_equal(back.at.addr.b[12], 203);
		client_talk(e, &back, 2);
		client_send(e, &c, 100, 0);
		client_end(e, &c, TCP_FIN);
	}
	engine_wait(e, 1000000);
	check(e, LOSS_LOOP, TIMES, 2 * TIMES, 200 * TIMES);
	assert_int_equal(e->notices[NOTICE_LOOP], 1);
	assert_int_equal(e->conn_count, TIMES);
	assert_int_equal(ledger(e)->conns.answered, TIMES);
}

/* As a tcpcopy makes it. */
static const struct segment tcpcopys_syn = {
	.flags = TCP_SYN,
	.wnd = 65535,
	.opts = {.mss_bytes = 1460, .has_wscale = true, .wscale = 7},
};

static void client_syn_like(struct engine *e, struct client *c,
			    const struct segment *like)
{
	struct segment seg = *like;
	uint8_t l3[PACKET_HEADER_MAX];
	size_t len;

	seg.tuple = (struct four_tuple){c->at, c->online};
	seg.seq = c->seq++;
	len = packet_build(l3, sizeof(l3), &seg, 0);
	engine_capture(e, l3, len, len);
	engine_pull(e);
}

/* It gives what it sends endpoints of its own, and makes two of each. */
static void test_copied_back_by_other_names(void **state)
{
	struct engine *e = *state;

	e->cfg.live = true;
	engine_start(e);
	for (uint8_t i = 1; i <= TIMES; i++) {
		struct client c = client_at(i, 5000);

		c.seq += 7919u * i;
		client_syn(e, &c);
		for (uint16_t n = 0; n < 2; n++) {
			struct client back =
				client_at((uint8_t)(100 + i), 6000 + n);

			back.seq = e->conns[i - 1].route.iss;
			client_syn_like(e, &back, &tcpcopys_syn);
			client_send(e, &back, 100, 0);
		}
		client_send(e, &c, 100, 0);
		client_end(e, &c, TCP_FIN);
		engine_wait(e, 2000000);
	}
	check(e, LOSS_LOOP, 2 * TIMES, 2 * TIMES, 200 * TIMES);
	assert_int_equal(e->notices[NOTICE_LOOP], 1);
	assert_int_equal(e->conn_count, TIMES);
	assert_int_equal(ledger(e)->conns.answered, TIMES);
}

/* And with these, it comes to another worker. */
static void test_copied_back_to_another_worker(void **state)
{
	static uint64_t syns[REPLAY_SYNS];
	struct engine *e = *state, *other = malloc(sizeof(*other));

	engine_init(other);
	e->cfg.live = other->cfg.live = true;
	e->cfg.syns = other->cfg.syns = syns;
	engine_start(e);
	engine_start(other);
	for (uint8_t i = 1; i <= TIMES; i++) {
		struct client c = client_at(i, 5000);
		struct client back = client_at((uint8_t)(100 + i), 6000);

		c.seq += 7919u * i;
		client_syn(e, &c);
		back.seq = e->conns[i - 1].route.iss;
		client_syn_like(other, &back, &tcpcopys_syn);
		client_send(other, &back, 100, 0);
	}
	check(other, LOSS_LOOP, TIMES, TIMES, 100 * TIMES);
	assert_int_equal(other->conn_count, 0);
	check(e, LOSS_NONE, 0, 0, 0);
	engine_end(other);
	free(other);
}

/* Other clients with the number of one of our SYNs. */
static void test_the_number_alone_is_no_loop(void **state)
{
	struct engine *e = *state;
	struct segment likes[] = {tcpcopys_syn, tcpcopys_syn, tcpcopys_syn,
				  tcpcopys_syn, tcpcopys_syn};
	struct client c = client_at(1, 5000), other = client_at(2, 5000);
	unsigned count = sizeof(likes) / sizeof(likes[0]);

	e->cfg.live = true;
	engine_start(e);
	client_talk(e, &c, 1);
	likes[0].opts.has_tstamp = true;
	likes[1].opts.has_wscale = false;
	likes[2].opts.wscale = 8;
	likes[3].wnd = 64240;
	for (unsigned i = 0; i < count; i++) {
		/* all that is the same as ours, but long ago */
		if (i == count - 1)
			engine_wait(e, 62000000);
		other = client_at((uint8_t)(2 + i), 5000);
		other.seq = e->conns[0].route.iss;
		client_syn_like(e, &other, &likes[i]);
		client_send(e, &other, 100, 0);
		client_end(e, &other, TCP_FIN);
	}
	engine_wait(e, 1000000);
	check(e, LOSS_NONE, 0, 0, 0);
	assert_int_equal(ledger(e)->conns.answered, 1 + count);
}

/* Clients that look alike, and are none of ours. */
static void test_no_loop(void **state)
{
	struct engine *e = *state;

	e->cfg.live = true;
	engine_start(e);
	for (uint8_t i = 1; i <= TIMES; i++) {
		struct client c = client_at(i, 5000), again = c;

		client_talk(e, &c, 1);
		/* its SYN is captured twice */
		client_packet(e, &again, TCP_SYN, again.seq, 0);
		/* another service, from the same port */
		again.online.addr = v4(198, 2);
		again.seq += 1000;
		client_talk(e, &again, 1);
		/* the same port again */
		again.online = c.online;
		again.seq = c.seq + 5000;
		client_talk(e, &again, 1);
	}
	engine_wait(e, 10000000);
	check(e, LOSS_NONE, 0, 0, 0);
	assert_int_equal(ledger(e)->conns.answered, 3 * TIMES);
}

/* A file may be replayed to the server that it was made on. */
static void test_files_know_no_loop(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	e->targets[0].at.port = 80;
	c.online = e->targets[0].at;
	engine_start(e);
	client_talk(e, &c, 2);
	engine_wait(e, 1000000);
	check(e, LOSS_NONE, 0, 0, 0);
	assert_int_equal(e->conn_count, 1);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, engine_setup, engine_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_max_sessions),
		TEST(test_max_sessions_of_copies),
		TEST(test_max_sessions_midstream),
		TEST(test_sampling_comes_first),
		TEST(test_max_packets),
		TEST(test_max_bits),
		TEST(test_below_the_rates),
		TEST(test_shedding),
		TEST(test_own_packets_captured),
		TEST(test_copied_back),
		TEST(test_copied_back_by_other_names),
		TEST(test_copied_back_to_another_worker),
		TEST(test_the_number_alone_is_no_loop),
		TEST(test_no_loop),
		TEST(test_files_know_no_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
