// SPDX-License-Identifier: BSD-2-Clause
/* tcpcopy's engine: what captured connections become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../helpers/one_engine.h"

static void test_a_connection(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	engine_start(e);
	client_syn(e, &c);
	assert_int_equal(e->conn_count, 1);
	assert_true(endpoint_equal(&e->conns[0].route.client, &c.at));
	assert_int_equal(e->conns[0].route.iss, c.seq - 1);
	assert_true(e->conns[0].open);
	client_send(e, &c, 100, 0);
	client_send(e, &c, 4000, 100);
	client_end(e, &c, TCP_FIN);
	engine_wait(e, 10000000);
	assert_int_equal(e->conns[0].bytes, 4100);
	assert_int_equal(e->conns[0].syns, 1);
	assert_int_equal(e->conns[0].fins, 1);
	assert_int_equal(e->conns[0].rsts, 0);
	assert_true(e->conns[0].gone);
	assert_int_equal(ledger(e)->conns.answered, 1);
	assert_int_equal(ledger(e)->turns.answered, 2);
	assert_int_equal(ledger(e)->bytes.answered, 4100);
	assert_int_equal(ledger(e)->remapped, 0);
	assert_int_equal(ledger(e)->packets_resent, 0);
	assert_int_equal(replay_flows(e->r), 0);
	assert_int_equal(replay_sessions(e->r), 0);
}

static void test_ipv6(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	e->targets[0].at.addr =
		addr_from_v6((const uint8_t[16]){0x20, 1, 0xd, 0xb8, [15] = 9});
	c.at.addr = c.online.addr = e->targets[0].at.addr;
	c.at.addr.b[15] = 7;
	engine_start(e);
	client_talk(e, &c, 3);
	engine_wait(e, 10000000);
	assert_int_equal(e->conns[0].bytes, 300);
	assert_int_equal(ledger(e)->conns.answered, 1);
	assert_int_equal(ledger(e)->remapped, 0);
}

static void test_copies_have_tuples_of_their_own(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	e->cfg.copies = 5;
	engine_start(e);
	client_talk(e, &c, 2);
	engine_wait(e, 10000000);
	assert_int_equal(e->conn_count, 5);
	for (unsigned i = 0; i < 5; i++) {
		assert_true(
			addr_equal(&e->conns[i].route.client.addr, &c.at.addr));
		assert_int_equal(e->conns[i].bytes, 200);
	}
	assert_non_null(engine_conn(e, &c.at, &e->targets[0].at));
	assert_int_equal(ledger(e)->remapped, 4);
	assert_int_equal(ledger(e)->conns.captured, 1);
	assert_int_equal(ledger(e)->conns.answered, 5);
	assert_int_equal(ledger(e)->turns.captured, 2);
	assert_int_equal(ledger(e)->turns.answered, 10);
}

static unsigned conns_with(const struct engine *e, uint32_t bytes)
{
	unsigned n = 0;

	for (unsigned i = 0; i < e->conn_count; i++)
		n += e->conns[i].bytes == bytes;
	return n;
}

/* Neither opened nor written to all at once, and in 10 ms all the same. */
static void test_copies_are_no_burst(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	e->cfg.copies = 5;
	engine_start(e);
	client_syn(e, &c);
	assert_int_equal(e->conn_count, 1);
	engine_wait(e, 5000);
	assert_in_range(e->conn_count, 2, 3);
	engine_wait(e, 7000);
	assert_int_equal(e->conn_count, 5);
	client_send(e, &c, 100, 0);
	assert_int_equal(conns_with(e, 100), 1);
	engine_wait(e, 5000);
	assert_in_range(conns_with(e, 100), 2, 3);
	engine_wait(e, 7000);
	assert_int_equal(conns_with(e, 100), 5);
	client_end(e, &c, TCP_RST);
	engine_wait(e, 12000);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(e->conns[i].rsts, 1);
}

static void test_two_targets(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000), other = client_at(2, 5000);

	e->targets[1] =
		(struct replay_target){.at = {v4(192, 10), 8081}, .groups = 2};
	e->mappings[1] = (struct replay_mapping){{c.online.addr, 80}, 1};
	other.online.addr = v4(198, 77);
	e->cfg.mapping_count = e->cfg.target_count = 2;
	e->cfg.group_count = 2;
	engine_start(e);
	client_talk(e, &c, 1);
	client_talk(e, &other, 1);
	engine_wait(e, 10000000);
	assert_non_null(engine_conn(e, &c.at, &e->targets[0].at));
	assert_non_null(engine_conn(e, &c.at, &e->targets[1].at));
	assert_non_null(engine_conn(e, &other.at, &e->targets[0].at));
	assert_null(engine_conn(e, &other.at, &e->targets[1].at));
	assert_int_equal(ledger(e)->conns.answered, 3);
	assert_int_equal(ledger(e)->remapped, 0);
	assert_int_equal(e->links_used, 1 | 1 << 3); /* one of each three */
}

static void test_own_addresses_are_remapped(void **state)
{
	struct engine *e = *state;
	struct ip_addr own = v4(10, 1);
	struct client a = client_at(1, 5000), b = client_at(2, 5000);

	b.at.addr = v4(127, 1);
	e->cfg.own_addrs = &own;
	e->cfg.own_addr_count = 1;
	engine_start(e);
	client_talk(e, &a, 1);
	client_talk(e, &b, 1);
	assert_true(addr_equal(&e->conns[0].route.client.addr,
			       &e->targets[0].local_source));
	assert_int_equal(e->conns[0].route.client.port, 5000);
	assert_true(addr_equal(&e->conns[1].route.client.addr,
			       &e->targets[0].local_source));
	assert_int_not_equal(e->conns[1].route.client.port, 5000);
	assert_int_equal(ledger(e)->remapped, 2);
}

static void test_listed_clients(void **state)
{
	struct engine *e = *state;
	struct addr_range listed = {.first = v4(203, 5), .count = 3};

	e->cfg.clients = &listed;
	e->cfg.client_count = 1;
	engine_start(e);
	for (uint8_t i = 1; i < 40; i++) {
		struct client c = client_at(i, 5000);

		client_talk(e, &c, 1);
	}
	assert_int_equal(e->conn_count, 39);
	for (unsigned i = 0; i < 39; i++)
		assert_in_range(e->conns[i].route.client.addr.b[15], 5, 7);
	engine_wait(e, 10000000);
	assert_int_equal(ledger(e)->conns.answered, 39);
}

/* After k connections, k * p / 100 or one more, whatever k. */
static void test_sampling_is_exact(void **state)
{
	static const unsigned percents[] = {1, 7, 33, 50, 67, 99, 100};

	(void)state;
	for (unsigned i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		unsigned p = percents[i];
		struct engine *e = malloc(sizeof(*e));

		engine_init(e);
		e->cfg.sample_percent = p;
		e->cfg.copies = 2;
		engine_start(e);
		for (unsigned k = 1; k <= 230; k++) {
			struct client c = client_at(1, (uint16_t)(2000 + k));
			uint64_t copied;

			client_talk(e, &c, 1);
			copied = k - ledger(e)->conns.not_sampled / 2;
			assert_true(copied == k * p / 100 ||
				    copied == k * p / 100 + 1);
		}
		engine_wait(e, 10000000);
		assert_int_equal(ledger(e)->turns.not_sampled,
				 ledger(e)->conns.not_sampled);
		assert_int_equal(ledger(e)->bytes.not_sampled,
				 100 * ledger(e)->conns.not_sampled);
		assert_int_equal(ledger(e)->bytes.answered +
					 100 * ledger(e)->conns.not_sampled,
				 46000);
		engine_end(e);
		free(e);
	}
}

static void test_the_end_of_a_capture(void **state)
{
	struct engine *e = *state;
	struct client a = client_at(1, 5000), b = client_at(2, 5000);

	engine_start(e);
	client_syn(e, &a);
	client_send(e, &a, 100, 0);
	client_syn(e, &b);
	client_send(e, &b, 100, 0);
	client_send(e, &b, 100, 200); /* more than the target will say */
	replay_on_capture_end(e->r, e->now_us);
	engine_pull(e);
	assert_int_equal(e->conns[0].rsts, 1);
	assert_int_equal(e->conns[1].rsts, 0);
	engine_wait(e, 1000000);
	assert_int_equal(e->conns[1].bytes, 200);
	assert_int_equal(e->conns[1].rsts, 1);
	assert_int_equal(ledger(e)->conns.answered, 2);
	assert_int_equal(ledger(e)->early_quiet, 1);
}

static void test_idle_connections_end(void **state)
{
	struct engine *e = *state;
	struct client a = client_at(1, 5000), b = client_at(2, 5000);

	engine_start(e);
	client_syn(e, &a);
	client_send(e, &a, 100, 0);
	client_syn(e, &b);
	engine_wait(e, 599000000);
	client_send(e, &b, 100, 0);
	engine_wait(e, 2000000);
	assert_int_equal(ledger(e)->idle_ended, 1);
	assert_false(e->conns[0].open);
	assert_int_equal(e->conns[0].rsts, 1);
	assert_true(e->conns[1].open);
	assert_int_equal(ledger(e)->conns.answered, 1);
	engine_wait(e, 10000000);
	assert_int_equal(replay_flows(e->r), 1);
}

/* The last bytes before the client's end are not captured, nor anything behind
 * them that would show a hole. */
static void test_an_end_behind_a_hole(void **state)
{
	struct engine *e = *state;
	struct client a = client_at(1, 5000), b = client_at(2, 5000);

	engine_start(e);
	client_syn(e, &a);
	client_send(e, &a, 100, 0);
	client_syn(e, &b);
	client_send(e, &b, 100, 0);
	a.seq += 50;
	client_end(e, &a, TCP_FIN);
	b.seq += 50;
	client_end(e, &b, TCP_FIN);
	engine_wait(e, 2900000);
	assert_true(e->conns[0].open);
	b.seq -= 50; /* it comes again */
	client_send(e, &b, 50, 0);
	engine_wait(e, 200000);
	assert_false(e->conns[0].open);
	assert_int_equal(e->conns[0].rsts, 1);
	engine_wait(e, 10000000);
	assert_int_equal(e->conns[1].bytes, 150);
	assert_int_equal(e->conns[1].rsts, 0);
	assert_int_equal(ledger(e)->conns.answered, 2);
	assert_int_equal(replay_flows(e->r), 0);
}

/* And then it resets what it has ended. */
static void test_a_reset_behind_a_lost_end(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	engine_start(e);
	client_syn(e, &c);
	client_send(e, &c, 100, 0);
	c.seq += 50;
	client_end(e, &c, TCP_FIN);
	client_end(e, &c, TCP_RST);
	assert_false(e->conns[0].open);
	assert_int_equal(e->conns[0].rsts, 1);
}

static void test_without_an_idle_limit(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	e->cfg.idle_us = UINT64_MAX;
	engine_start(e);
	client_syn(e, &c);
	client_send(e, &c, 100, 0);
	engine_wait(e, 100ull * 86400 * 1000000);
	assert_int_equal(replay_flows(e->r), 1);
	client_send(e, &c, 100, 100);
	client_end(e, &c, TCP_FIN);
	engine_wait(e, 10000000);
	assert_int_equal(replay_flows(e->r), 0);
	assert_int_equal(ledger(e)->turns.answered, 2);
}

/* Late packets of a connection that is over open no ghost. */
static void test_late_packets(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	engine_start(e);
	client_talk(e, &c, 1);
	engine_wait(e, 4900000);
	c.seq -= 100;
	client_send(e, &c, 100, 0);
	client_packet(e, &c, TCP_SYN, c.seq - 101, 0);
	client_end(e, &c, TCP_FIN);
	assert_int_equal(ledger(e)->packets_repeated, 3);
	assert_int_equal(ledger(e)->conns.captured, 1);
	engine_wait(e, 10000000);
	assert_int_equal(replay_flows(e->r), 0);
	assert_int_equal(e->conn_count, 1);
}

/* The client takes its port again while the copy of the old one lives. */
static void test_port_used_again(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	engine_start(e);
	e->mode = TARGET_HOLDS;
	client_syn(e, &c);
	client_send(e, &c, 100, 0);
	client_send(e, &c, 100, 10);
	c.seq += 50000;
	client_syn(e, &c);
	assert_int_equal(e->conn_count, 2);
	client_send(e, &c, 70, 0);
	assert_int_equal(e->conns[0].bytes, 100);
	assert_int_equal(e->conns[1].bytes, 70);
	assert_int_equal(ledger(e)->remapped, 1);
	engine_wait(e, 40000000);
	assert_int_equal(e->conns[0].bytes, 200);
	assert_int_equal(e->conns[0].rsts, 1);
	assert_true(e->conns[1].open);
	assert_int_equal(replay_flows(e->r), 1);
}

/* Once more after it was closed: its own tuple, with a higher number. */
static void test_port_used_again_later(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);
	uint32_t first_iss;

	engine_start(e);
	client_talk(e, &c, 3);
	engine_wait(e, 6000000);
	first_iss = e->conns[0].route.iss;
	c.seq = first_iss - 1000;
	client_talk(e, &c, 1);
	assert_int_equal(e->conn_count, 1);
	assert_true(seq_gt(e->conns[0].route.iss, first_iss + 301));
	assert_int_equal(ledger(e)->remapped, 0);
	engine_wait(e, 10000000);
	assert_int_equal(ledger(e)->conns.answered, 2);
}

/* A late FIN of the server is answered with the old connection's number. */
static void test_reset_of_the_connection_before(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);
	uint32_t old;

	engine_start(e);
	client_talk(e, &c, 1);
	old = c.seq;
	c.seq += 50000;
	client_syn(e, &c);
	client_packet(e, &c, TCP_RST, old, 0);
	assert_int_equal(ledger(e)->packets_stray, 1);
	client_send(e, &c, 70, 0);
	client_packet(e, &c, TCP_RST, old, 0);
	client_send(e, &c, 70, 70);
	assert_int_equal(ledger(e)->packets_stray, 2);
	client_packet(e, &c, TCP_RST, c.seq - 140, 0); /* its own first byte */
	engine_wait(e, 10000000);
	assert_int_equal(ledger(e)->packets_stray, 2);
	assert_int_equal(ledger(e)->turns.answered, 3);
	assert_int_equal(ledger(e)->conns.answered, 2);
	assert_int_equal(replay_flows(e->r), 0);
}

static void test_a_turn_that_waited_is_sent_again(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	engine_start(e);
	client_syn(e, &c);
	e->mode = TARGET_HOLDS;
	client_send(e, &c, 100, 0);
	client_send(e, &c, 70, 100); /* held: the answer is not here */
	engine_respond(e, &e->conns[0], TCP_ACK | TCP_PSH, 100);
	engine_pull(e);
	assert_int_equal(e->conns[0].bytes, 170);
	engine_respond(e, &e->conns[0], TCP_ACK | TCP_FIN, 0);
	e->mode = TARGET_ANSWERS;
	engine_pull(e);
	engine_wait(e, 1000);
	assert_int_equal(ledger(e)->turns_resent, 1);
	assert_int_equal(e->conns[0].bytes, 240);
	client_end(e, &c, TCP_FIN);
	engine_wait(e, 10000000);
	assert_int_equal(ledger(e)->turns.answered, 2);
	assert_int_equal(ledger(e)->conns.answered, 1);
}

static void test_not_ours(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);
	const uint8_t garbage[40] = {0x45};

	engine_start(e);
	c.online.port = 81;
	client_talk(e, &c, 1);
	assert_int_equal(ledger(e)->packets_not_ours, 3);
	engine_capture(e, garbage, sizeof(garbage), sizeof(garbage));
	assert_int_equal(ledger(e)->packets_malformed, 1);
	c.online.port = 80;
	client_end(e, &c, TCP_FIN);
	assert_int_equal(ledger(e)->packets_stray, 1);
	assert_int_equal(ledger(e)->packets_captured, 5);
	assert_int_equal(ledger(e)->conns.captured, 0);
	assert_int_equal(e->packets, 0);
}

static struct wire_response answer_of(const struct target_conn *c)
{
	return (struct wire_response){.route_id = c->route.route_id,
				      .seq = c->snd_nxt,
				      .ack = c->rcv_nxt,
				      .payload_len = 100,
				      .wnd = 60000,
				      .flags = TCP_ACK | TCP_PSH};
}

/* Several at once, of which some are for nobody: each is what it would have
 * been alone. */
static void test_responses_together(void **state)
{
	struct engine *e = *state;
	struct client c[2] = {client_at(1, 5000), client_at(2, 5000)};
	struct wire_response resps[5];

	e->mode = TARGET_HOLDS;
	engine_start(e);
	for (unsigned i = 0; i < 2; i++) {
		client_syn(e, &c[i]);
		for (unsigned n = 0; n < 3 + i; n++)
			client_send(e, &c[i], 400, n ? 100 : 0);
		assert_int_equal(e->conns[i].bytes, 400);
		resps[4 * i] = answer_of(&e->conns[i]);
		e->conns[i].snd_nxt += 100;
	}
	resps[1] = resps[2] = resps[3] = resps[0]; /* the same once more, */
	resps[2].route_id += 1ull << 32;	   /* of another generation, */
	resps[3].route_id |= UINT32_MAX;	   /* of no copy */
	replay_on_responses(e->r, resps, 5, e->now_us);
	engine_pull(e);
	assert_int_equal(ledger(e)->responses_stale, 2);
	assert_int_equal(ledger(e)->turns.answered, 2);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(e->conns[i].bytes, 800);
}

struct batch {
	uint8_t l3[REPLAY_PACKETS][512];
	struct packet_bytes packets[REPLAY_PACKETS];
	size_t count;
};

static void add(struct batch *b, struct client *c, uint8_t flags, uint32_t len)
{
	uint8_t *l3 = b->l3[b->count];
	size_t total = client_bytes(c, flags, c->seq, len, l3, 512);

	b->packets[b->count++] = (struct packet_bytes){l3, total, total};
	c->seq += len + (flags & (TCP_SYN | TCP_FIN) ? 1 : 0);
	c->ack += len; /* and answered so */
}

static void fill(struct batch *b)
{
	struct client a = client_at(1, 5000), c = client_at(2, 5000);
	struct client foreign = client_at(3, 5000), late = client_at(4, 5000);

	b->count = 0;
	foreign.online.port = 81;
	add(b, &a, TCP_SYN, 0);
	add(b, &a, TCP_ACK, 0);
	add(b, &c, TCP_SYN, 0);
	add(b, &a, TCP_ACK | TCP_PSH, 100);
	add(b, &foreign, TCP_SYN, 0);
	add(b, &late, TCP_ACK | TCP_PSH, 30); /* from the middle on */
	add(b, &c, TCP_ACK | TCP_PSH, 70);
	add(b, &c, TCP_ACK | TCP_PSH, 400);
	b->packets[b->count++] = (struct packet_bytes){b->l3[0], 10, 40};
	add(b, &late, TCP_ACK | TCP_PSH, 50);
	add(b, &c, TCP_ACK, 0);
	add(b, &a, TCP_ACK | TCP_FIN, 10);
	a.seq += 100000; /* the same port once more */
	add(b, &a, TCP_SYN, 0);
	add(b, &a, TCP_ACK | TCP_PSH, 60);
	add(b, &late, TCP_ACK | TCP_RST, 0);
	add(b, &c, TCP_ACK | TCP_FIN, 0);
	assert_int_equal(b->count, REPLAY_PACKETS);
}

/* At once or one by one, it comes to the same. */
static void test_packets_together(void **state)
{
	struct engine *e = *state, *single = malloc(sizeof(*single));
	struct batch *b = malloc(sizeof(*b));

	engine_init(single);
	engine_start(single);
	engine_start(e);
	fill(b);
	replay_on_packets(e->r, b->packets, b->count, e->now_us);
	for (size_t i = 0; i < b->count; i++)
		replay_on_packets(single->r, &b->packets[i], 1, e->now_us);
	engine_wait(e, 10000000);
	engine_wait(single, 10000000);
	assert_int_equal(ledger(e)->turns.answered, 6);
	assert_int_equal(ledger(e)->bytes.answered, 690);
	assert_memory_equal(ledger(e), ledger(single), sizeof(struct ledger));
	assert_int_equal(e->conn_count, single->conn_count);
	assert_memory_equal(e->conns, single->conns, sizeof(e->conns));
	engine_end(single);
	free(single);
	free(b);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, engine_setup, engine_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_connection),
		TEST(test_ipv6),
		TEST(test_copies_have_tuples_of_their_own),
		TEST(test_copies_are_no_burst),
		TEST(test_two_targets),
		TEST(test_own_addresses_are_remapped),
		TEST(test_listed_clients),
		cmocka_unit_test(test_sampling_is_exact),
		TEST(test_the_end_of_a_capture),
		TEST(test_idle_connections_end),
		TEST(test_an_end_behind_a_hole),
		TEST(test_a_reset_behind_a_lost_end),
		TEST(test_without_an_idle_limit),
		TEST(test_late_packets),
		TEST(test_port_used_again),
		TEST(test_port_used_again_later),
		TEST(test_reset_of_the_connection_before),
		TEST(test_a_turn_that_waited_is_sent_again),
		TEST(test_not_ours),
		TEST(test_responses_together),
		TEST(test_packets_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
