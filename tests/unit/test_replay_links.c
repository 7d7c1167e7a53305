// SPDX-License-Identifier: BSD-2-Clause
/* tcpcopy's engine and its links: first contact, loss, return; and anything at
 * all, at random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../helpers/one_engine.h"
#include "../helpers/dice.h"

/* Nothing comes back yet: one session a second, the others wait. */
static void test_one_a_second_until_it_answers(void **state)
{
	struct engine *e = *state;

	e->mode = TARGET_SILENT;
	engine_start(e);
	for (uint8_t i = 1; i <= 20; i++) {
		struct client c = client_at(i, 5000);

		client_syn(e, &c);
		client_send(e, &c, 100, 0);
	}
	assert_int_equal(e->conn_count, 1);
	for (unsigned s = 1; s <= 4; s++) {
		engine_wait(e, 990000);
		assert_int_equal(e->conn_count, s);
		engine_wait(e, 12000);
		assert_int_equal(e->conn_count, s + 1);
	}
	assert_int_equal(e->notices[NOTICE_NO_RESPONSE], 0);
	engine_wait(e, 1000000);
	assert_int_equal(e->notices[NOTICE_NO_RESPONSE], 1);
	engine_wait(e, 9000000);
	assert_int_equal(e->notices[NOTICE_NO_RESPONSE], 1);
	assert_int_equal(ledger(e)->held_back, 19);
	assert_int_equal(e->notices[NOTICE_FIRST_RESPONSE], 0);
	e->mode = TARGET_ANSWERS;
	engine_wait(e, 20000000);
	assert_int_equal(e->notices[NOTICE_FIRST_RESPONSE], 1);
	assert_int_equal(e->conn_count, 20);
	assert_int_equal(ledger(e)->turns.answered, 20);
}

/* The request of a client that nobody answers. */
static struct client ask_in_vain(struct engine *e)
{
	struct client c = client_at(1, 5000);

	e->mode = TARGET_SILENT;
	engine_start(e);
	client_syn(e, &c);
	client_send(e, &c, 100, 0);
	return c;
}

/* intercept has given this one's tuple to another. */
static void refuse(struct engine *e, const struct target_conn *conn)
{
	const struct wire_msg msg = {.type = WIRE_ROUTE_REFUSED,
				     .route = conn->route};

	replay_on_msg(e->r, 0, &msg, e->now_us);
}

/* A refusal of intercept says nothing of the target. */
static void test_a_refused_route_takes_another_tuple(void **state)
{
	struct engine *e = *state;
	struct client c = ask_in_vain(e);
	struct target_conn first = e->conns[0];

	assert_true(endpoint_equal(&first.route.client, &c.at));
	e->mode = TARGET_ANSWERS;
	refuse(e, &first);
	engine_wait(e, 1100000);
	assert_int_equal(e->conn_count, 2);
	assert_int_equal(e->conns[0].bytes, 0);
	assert_int_equal(e->conns[1].bytes, 100);
	assert_true(addr_equal(&e->conns[1].route.client.addr, &c.at.addr));
	/* a late word about the first route changes nothing */
	refuse(e, &first);
	engine_pull(e);
	assert_int_equal(ledger(e)->routes_refused, 1);
	assert_int_equal(ledger(e)->turns.answered, 1);
}

/* An RST for the tuple that was refused, however late it is pulled, and
 * whatever the client does meanwhile. */
static void test_the_rst_is_for_the_refused_tuple(void **state)
{
	struct engine *e = *state;
	struct client c = ask_in_vain(e);

	refuse(e, &e->conns[0]);
	e->now_us += 50000;
	replay_on_timer(e->r, e->now_us);
	client_send(e, &c, 100, 0);
	engine_wait(e, 1000);
	assert_int_equal(e->conn_count, 2);
	assert_int_equal(e->conns[0].rsts, 1);
	assert_int_equal(e->conns[1].rsts, 0);
	assert_int_equal(e->conns[1].syns, 1);
}

/* Another tcpcopy with the same clients has taken its ports where we look. */
static void test_a_run_of_refused_ports(void **state)
{
	struct engine *e = *state;
	const struct target_conn *last;
	unsigned refused = 0;

	ask_in_vain(e);
	for (;; refused++) {
		last = &e->conns[e->conn_count - 1];
		if (last->route.client.port >= 20000)
			break;
		refuse(e, last);
		engine_pull(e);
		engine_wait(e, 2000);
		assert_int_equal(e->conn_count, refused + 2);
	}
	e->mode = TARGET_ANSWERS;
	engine_wait(e, 4000000);
	assert_int_equal(ledger(e)->routes_refused, refused);
	assert_int_equal(ledger(e)->turns.answered, 1);
}

static void test_no_link_no_packet(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000), other = client_at(2, 5000);

	engine_start(e);
	client_syn(e, &c);
	client_send(e, &c, 100, 0);
	engine_wait(e, 20000);
	engine_links(e, false);
	e->packets = 0;
	client_send(e, &c, 100, 100);
	client_syn(e, &other);
	client_send(e, &other, 100, 0);
	engine_wait(e, 10000000);
	assert_int_equal(e->packets, 0);
	assert_int_equal(e->conn_count, 1);
	e->conns[0].routes = 0;
	engine_links(e, true);
	engine_wait(e, 3000);
	/* told again, with its old id, and both go on */
	assert_true(e->conns[0].routes > 0);
	assert_int_equal(e->conn_count, 2);
	assert_int_equal(e->conns[0].bytes, 200);
	assert_int_equal(e->conns[1].bytes, 100);
	assert_int_equal(ledger(e)->turns.answered, 3);
}

/* Answers were lost with the links: what is not acknowledged goes again. */
static void test_sent_again_after_the_links_return(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	engine_start(e);
	client_syn(e, &c);
	e->mode = TARGET_SILENT;
	client_send(e, &c, 100, 0);
	engine_links(e, false);
	engine_wait(e, 5000000);
	e->mode = TARGET_ANSWERS;
	engine_links(e, true);
	engine_wait(e, 3000);
	assert_int_equal(e->conns[0].bytes, 100);
	assert_int_equal(ledger(e)->turns.answered, 1);
}

/* Those with a bit in the mask are. */
static void fill_links(struct engine *e, unsigned mask)
{
	for (unsigned i = 0; i < 3; i++)
		replay_on_link_room(e->r, i, !(mask >> i & 1));
}

/* Nine clients, three for each link. */
static void fill_all_links(struct engine *e)
{
	for (uint8_t i = 0; i < 9; i++) {
		struct client c = client_at((uint8_t)(i + 1), 5000);

		fill_links(e, 1u << (i + 2) % 3);
		client_syn(e, &c);
		fill_links(e, 0);
	}
}

/* One of several links is enough, and takes the routes of the others. */
static void test_the_last_link_takes_all(void **state)
{
	struct engine *e = *state;

	e->cfg.relay = true;
	engine_start(e);
	fill_all_links(e);
	assert_int_equal(e->links_used, 7);
	e->links_used = 0;
	replay_on_link(e->r, 0, false, e->now_us);
	replay_on_link(e->r, 2, false, e->now_us);
	for (unsigned i = 0; i < 9; i++)
		e->conns[i].routes = 0;
	engine_wait(e, 3000);
	assert_int_equal(e->links_used, 2);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(e->conns[i].routes, 1);
}

/* It is as good as gone, and back when it answers. */
static void test_the_others_take_a_silent_links_routes(void **state)
{
	struct engine *e = *state;
	struct client c;

	e->cfg.relay = true;
	engine_start(e);
	fill_all_links(e);
	e->links_used = 0;
	for (unsigned i = 0; i < 9; i++)
		e->conns[i].routes = 0;
	replay_on_link_silence(e->r, 1, true, e->now_us);
	engine_wait(e, 3000);
	assert_int_equal(e->links_used, 5);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(e->conns[i].routes, 1);
	/* nor do new ones take it */
	for (uint8_t i = 11; i <= 19; i++) {
		c = client_at(i, 5000);
		fill_links(e, 1u << i % 3);
		client_syn(e, &c);
		client_send(e, &c, 100, 0);
		fill_links(e, 0);
	}
	assert_int_equal(e->links_used, 5);
	replay_on_link_silence(e->r, 1, false, e->now_us);
	engine_wait(e, 3000);
	assert_int_equal(e->links_used, 7);
	assert_int_equal(ledger(e)->turns.answered, 9);
}

/* Two intercepts see the target's answers: each is told. */
static void test_every_intercept_of_a_target_is_told(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	e->targets[0].groups = 3;
	e->cfg.group_count = 2;
	engine_start(e);
	client_syn(e, &c);
	assert_int_equal(e->conns[0].routes, 2);
	assert_int_equal(__builtin_popcountll(e->links_used), 2);
	assert_true(e->links_used & 7 && e->links_used & 7 << 3);
}

/* The end of a session whose route's end nobody heard of. */
static void lose_the_end(struct engine *e, struct client *ended,
			 struct client *lasting)
{
	*ended = client_at(1, 5000);
	*lasting = client_at(2, 5000);
	engine_start(e);
	client_syn(e, lasting);
	client_send(e, lasting, 100, 0);
	e->deaf = true;
	client_talk(e, ended, 1);
	engine_wait(e, 10000000);
	assert_false(e->conns[0].gone);
	assert_false(e->conns[1].gone);
	assert_int_equal(replay_sessions(e->r), 1);
}

/* All routes are told again, and what is not among them can go. */
static void test_a_round_leaves_out_what_is_over(void **state)
{
	struct engine *e = *state;
	struct client ended, lasting;

	lose_the_end(e, &ended, &lasting);
	replay_on_link(e->r, 1, false, e->now_us);
	engine_wait(e, 3000);
	assert_false(e->conns[0].gone);
	assert_true(e->conns[1].gone);
	client_send(e, &lasting, 100, 100);
	assert_int_equal(e->conns[0].bytes, 200);
}

/* The next change comes before the round is over: only the last one ends. */
static void test_a_round_is_begun_anew(void **state)
{
	struct engine *e = *state;
	struct client ended, lasting;
	uint32_t before;

	lose_the_end(e, &ended, &lasting);
	before = e->link_rounds[0];
	e->conns[0].routes = 0;
	replay_on_link(e->r, 1, false, e->now_us);
	replay_on_link(e->r, 1, true, e->now_us);
	engine_pull(e);
	assert_int_equal(e->link_rounds[0], before + 2);
	assert_int_equal(e->link_rounds[1], before + 2);
	assert_int_equal(e->conns[0].routes, 0);
	assert_false(e->conns[1].gone);
	engine_wait(e, 3000);
	assert_int_equal(e->conns[0].routes, 1);
	assert_true(e->conns[1].gone);
}

/* Between its connections a session has its route all the same. */
static void test_a_round_tells_of_sessions_between_connections(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	engine_start(e);
	client_syn(e, &c);
	client_send(e, &c, 100, 0);
	engine_respond(e, &e->conns[0], TCP_ACK | TCP_RST, 0);
	engine_pull(e);
	replay_on_link(e->r, 1, false, e->now_us);
	engine_wait(e, 3000);
	assert_false(e->conns[0].gone);
}

static void test_answers_to_nobody(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);
	struct target_conn gone;

	engine_start(e);
	client_talk(e, &c, 1);
	gone = e->conns[0];
	engine_wait(e, 10000000);
	engine_respond(e, &gone, TCP_ACK, 10);
	gone.route.route_id = UINT64_MAX;
	engine_respond(e, &gone, TCP_ACK, 10);
	gone.route.route_id = 0;
	engine_respond(e, &gone, TCP_RST, 0);
	assert_int_equal(ledger(e)->responses_stale, 3);
	assert_int_equal(replay_sessions(e->r), 0);
}

static void test_nothing_is_due_when_all_is_over(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	engine_start(e);
	engine_wait(e, 3000);
	assert_true(replay_deadline_us(e->r) == UINT64_MAX);
	client_talk(e, &c, 2);
	assert_true(replay_deadline_us(e->r) < e->now_us + 5000000);
	engine_wait(e, 70000000);
	assert_true(replay_deadline_us(e->r) == UINT64_MAX);
}

/* Anything from the target's side, about one of its connections. */
static void random_answer(struct engine *e, struct dice *d, bool is_refusal)
{
	struct target_conn *t;

	if (e->conn_count == 0)
		return;
	t = &e->conns[dice_below(d, e->conn_count)];
	if (is_refusal) {
		refuse(e, t);
	} else {
		t->rcv_nxt += dice_below(d, 2000) - 1000;
		engine_respond(e, t, dice_below(d, 32), dice_below(d, 2000));
	}
	engine_pull(e);
}

static void random_event(struct engine *e, struct dice *d, struct client *c)
{
	uint32_t len = dice_below(d, 3) ? dice_below(d, 3000) : 0;

	e->mode = (enum target_mode)(dice_below(d, 8) % 5);
	c->ack += dice_below(d, 2) * dice_below(d, 300);
	switch (dice_below(d, 12)) {
	case 0:
		c->seq += dice_below(d, 100000);
		client_syn(e, c);
		break;
	case 1:
		client_packet(e, c, TCP_FIN | TCP_ACK, c->seq, len);
		break;
	case 2:
		client_end(e, c, TCP_RST);
		break;
	case 3:
		client_packet(e, c, TCP_ACK,
			      c->seq + dice_below(d, 4000) - 2000, len);
		break;
	case 4:
		if (dice_below(d, 10) == 0)
			engine_links(e, dice_below(d, 2));
		break;
	case 5:
		engine_wait(e, dice_below(d, 3000000));
		break;
	case 6:
		random_answer(e, d, false);
		break;
	case 7:
		random_answer(e, d, true);
		break;
	default:
		client_send(e, c, 1 + len, 0);
	}
}

/* Clients and answers without any sense. */
static void random_events(uint64_t seed)
{
	static struct engine e;
	struct dice d = {.state = seed};
	struct client c[4];

	engine_init(&e);
	e.cfg.copies = 1 + seed % 3;
	e.cfg.memory_bytes = 100000u << seed % 5;
	e.cfg.timeout_us = 2000000;
	e.cfg.max_hold_us = 1000000;
	e.cfg.resend = seed % 2;
	engine_start(&e);
	for (uint8_t i = 0; i < 4; i++)
		c[i] = client_at(i, 5000);
	for (int step = 0; step < 1500; step++)
		random_event(&e, &d, &c[dice_below(&d, 4)]);
	engine_end(&e);
}

static void test_anything(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++)
		random_events(seed);
}

/* ---- packets by the links ---- */

/* Its end is told behind its last packet. */
static void test_relay_keeps_the_route_to_the_end(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	e->cfg.relay = true;
	engine_start(e);
	client_syn(e, &c);
	client_send(e, &c, 100, 0);
	client_end(e, &c, TCP_RST);
	engine_wait(e, 1000000);
	assert_int_equal(e->conns[0].bytes, 100);
	assert_int_equal(e->conns[0].rsts, 1);
	assert_true(e->conns[0].gone);
	assert_int_equal(e->conns[0].after_gone, 0);
}

/* The link by which this client's next request goes. */
static unsigned link_of(struct engine *e, struct client *c, uint32_t acked)
{
	client_send(e, c, 100, acked);
	return replay_packet_link(e->r);
}

/* Sessions share a link until that is full; those that begin then share the
 * next one, and so on. */
static void test_a_link_is_used_until_it_is_full(void **state)
{
	static const struct {
		unsigned full, link;
	} steps[] = {{0, 0}, {1, 1}, {0, 1}, {4, 1}, {6, 0}, {1, 1}};
	struct engine *e = *state;
	struct client c[6];

	e->cfg.relay = true;
	engine_start(e);
	for (uint8_t i = 0; i < 6; i++) {
		c[i] = client_at((uint8_t)(i + 1), 5000);
		fill_links(e, steps[i].full);
		client_syn(e, &c[i]);
		assert_int_equal(link_of(e, &c[i], 0), steps[i].link);
		fill_links(e, 0);
	}
	engine_wait(e, 100000);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(link_of(e, &c[i], 100), steps[i].link);
}

/* That is the one that they would take as well. */
static void test_the_next_of_a_full_link_that_stood_in(void **state)
{
	struct engine *e = *state;
	struct client a = client_at(1, 5000), b = client_at(2, 5000);

	e->cfg.relay = true;
	engine_start(e);
	replay_on_link(e->r, 0, false, e->now_us);
	client_syn(e, &a);
	assert_int_equal(link_of(e, &a, 0), 1);
	fill_links(e, 2);
	client_syn(e, &b);
	assert_int_equal(link_of(e, &b, 0), 2);
}

/* A full link keeps its own sessions only, and no silence is a loss. */
static void test_relay_waits_for_room(void **state)
{
	struct engine *e = *state;
	struct client c[3];

	e->cfg.relay = true;
	engine_start(e);
	for (uint8_t i = 0; i < 3; i++) {
		c[i] = client_at((uint8_t)(i + 1), 5000);
		fill_links(e, 7 & ~(1u << i));
		client_syn(e, &c[i]);
		client_send(e, &c[i], 100, 0);
		fill_links(e, 0);
	}
	engine_wait(e, 100000);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(e->conns[i].bytes, 100);
	replay_on_link_room(e->r, 1, false);
	for (unsigned i = 0; i < 3; i++)
		client_send(e, &c[i], 100, 100);
	engine_wait(e, 5000000);
	assert_int_equal(
		e->conns[0].bytes + e->conns[1].bytes + e->conns[2].bytes, 500);
	replay_on_link_room(e->r, 1, true);
	engine_wait(e, 1000);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(e->conns[i].bytes, 200);
	assert_int_equal(ledger(e)->packets_resent, 0);
}

/* What is in flight when its link fills up is not sent again for that. */
static void test_relay_timers_rest_while_a_link_is_full(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	e->cfg.relay = true;
	engine_start(e);
	client_syn(e, &c);
	client_send(e, &c, 100, 0);
	e->mode = TARGET_SILENT;
	client_send(e, &c, 100, 100);
	for (unsigned i = 0; i < 3; i++)
		replay_on_link_room(e->r, i, false);
	engine_wait(e, 9000000);
	assert_int_equal(ledger(e)->packets_resent, 0);
	for (unsigned i = 0; i < 3; i++)
		replay_on_link_room(e->r, i, true);
	engine_wait(e, 1000);
	assert_int_equal(ledger(e)->packets_resent, 0);
	engine_wait(e, 4000000);
	assert_true(ledger(e)->packets_resent > 0);
}

/* Nor for ever: as long after the last word of the target as always. */
static void test_relay_gives_up_while_a_link_is_full(void **state)
{
	struct engine *e = *state;
	struct client c[2] = {client_at(1, 5000), client_at(2, 5000)};

	e->cfg.relay = true;
	engine_start(e);
	for (unsigned i = 0; i < 2; i++) {
		client_syn(e, &c[i]);
		client_send(e, &c[i], 100, 0);
	}
	engine_wait(e, 1000000);
	fill_links(e, 7);
	for (unsigned i = 0; i < 2; i++)
		client_send(e, &c[i], 100, 100);
	engine_wait(e, 20000000);
	engine_respond(e, &e->conns[0], TCP_ACK, 0);
	engine_wait(e, 20000000);
	assert_int_equal(ledger(e)->turns.lost[LOSS_TIMEOUT], 1);
	engine_wait(e, 15000000);
	assert_int_equal(ledger(e)->turns.lost[LOSS_TIMEOUT], 2);
}

/* Packets for a link that falls silent go by another one. What it had taken
 * is still in it when it answers again. */
static void test_relay_when_a_full_link_is_silent(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);
	unsigned link_id;

	e->cfg.relay = true;
	engine_start(e);
	client_syn(e, &c);
	link_id = replay_packet_link(e->r);
	replay_on_link_room(e->r, link_id, false);
	client_send(e, &c, 100, 0);
	engine_wait(e, 100000);
	assert_int_equal(e->conns[0].bytes, 0);
	replay_on_link_silence(e->r, link_id, true, e->now_us);
	engine_wait(e, 1000);
	assert_int_equal(e->conns[0].bytes, 100);
	replay_on_link_silence(e->r, link_id, false, e->now_us);
	client_send(e, &c, 100, 100);
	engine_wait(e, 100000);
	assert_int_equal(e->conns[0].bytes, 100);
	replay_on_link_room(e->r, link_id, true);
	engine_wait(e, 1000);
	assert_int_equal(e->conns[0].bytes, 200);
}

/* Another link takes them, or they wait for one. */
static void test_relay_when_full_links_go(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	e->cfg.relay = true;
	engine_start(e);
	for (unsigned i = 0; i < 3; i++)
		replay_on_link_room(e->r, i, false);
	client_syn(e, &c);
	client_send(e, &c, 100, 0);
	engine_wait(e, 100000);
	assert_int_equal(e->packets, 0);
	engine_links(e, false);
	engine_links(e, true);
	engine_wait(e, 2000000);
	assert_int_equal(e->conns[0].bytes, 100);
}

/* By a link a turn is one packet, by the other way as many as it has segments.
 * A limit of the payload holds by both. */
static void test_relay_of_large_packets(void **state)
{
	static const uint32_t len = 5 * 1400;
	struct engine *e = *state;
	struct client a = client_at(1, 5000);
	unsigned before;

	e->cfg.relay_bytes = 20000;
	e->cfg.relay = true;
	engine_start(e);
	client_syn(e, &a);
	engine_wait(e, 100000);
	before = e->packets;
	client_send(e, &a, len, 0);
	assert_in_range(e->packets, before + 1, before + 2); /* an ACK */
	assert_int_equal(e->conns[0].bytes, len);
	engine_wait(e, 100000);
	replay_set_relay(e->r, e->cfg.relay = false, e->now_us);
	before = e->packets;
	client_send(e, &a, len, len);
	assert_true(e->packets >= before + 5);
	assert_int_equal(e->conns[0].bytes, 2 * len);
	engine_wait(e, 100000);
	replay_set_relay(e->r, e->cfg.relay = true, e->now_us);
	before = e->packets;
	client_send(e, &a, len, len);
	assert_in_range(e->packets, before + 1, before + 2);
}

static void test_relay_with_a_limit_of_the_payload(void **state)
{
	struct engine *e = *state;
	struct client a = client_at(1, 5000);
	unsigned before;

	e->cfg.relay_bytes = 20000;
	e->cfg.mss_bytes = 1000;
	e->cfg.relay = true;
	engine_start(e);
	client_syn(e, &a);
	engine_wait(e, 100000);
	before = e->packets;
	client_send(e, &a, 7000, 0);
	assert_true(e->packets >= before + 7);
}

/* What waits for a link when that way is left goes at once by the other, and
 * routes of sessions that ended meanwhile are given up. */
static void test_relay_is_left(void **state)
{
	struct engine *e = *state;
	struct client a = client_at(1, 5000), b = client_at(2, 5000);

	e->cfg.relay = true;
	engine_start(e);
	client_syn(e, &a);
	client_syn(e, &b);
	client_send(e, &a, 100, 0);
	client_send(e, &b, 100, 0);
	engine_wait(e, 100000);
	for (unsigned i = 0; i < 3; i++)
		replay_on_link_room(e->r, i, false);
	client_send(e, &a, 100, 100);
	client_end(e, &b, TCP_RST);
	engine_wait(e, 100000);
	assert_int_equal(e->conns[0].bytes, 100);
	replay_set_relay(e->r, false, e->now_us);
	engine_wait(e, 1000000);
	assert_int_equal(e->conns[0].bytes, 200);
	assert_int_equal(e->conns[1].rsts, 1);
	assert_true(e->conns[1].gone);
	assert_int_equal(replay_sessions(e->r), 1);
}

/* A target that has not answered gets its time anew; one that has, goes on. */
static void test_another_way_is_another_chance(void **state)
{
	struct engine *e = *state;
	struct client a = client_at(1, 5000);

	e->cfg.relay = true;
	engine_start(e);
	e->mode = TARGET_SILENT;
	client_syn(e, &a);
	engine_wait(e, 6000000);
	assert_int_equal(e->notices[NOTICE_NO_RESPONSE], 1);
	replay_set_relay(e->r, false, e->now_us);
	a = client_at(2, 5000);
	client_syn(e, &a);
	engine_wait(e, 6000000);
	assert_int_equal(e->notices[NOTICE_NO_RESPONSE], 2);
	e->mode = TARGET_ANSWERS;
	a = client_at(3, 5000);
	client_syn(e, &a);
	engine_wait(e, 2000000);
	assert_int_equal(e->notices[NOTICE_FIRST_RESPONSE], 1);
	replay_set_relay(e->r, true, e->now_us);
	engine_wait(e, 10000000);
	assert_int_equal(e->notices[NOTICE_NO_RESPONSE], 2);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, engine_setup, engine_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_a_second_until_it_answers),
		TEST(test_a_refused_route_takes_another_tuple),
		TEST(test_the_rst_is_for_the_refused_tuple),
		TEST(test_a_run_of_refused_ports),
		TEST(test_no_link_no_packet),
		TEST(test_sent_again_after_the_links_return),
		TEST(test_the_last_link_takes_all),
		TEST(test_the_others_take_a_silent_links_routes),
		TEST(test_every_intercept_of_a_target_is_told),
		TEST(test_a_round_leaves_out_what_is_over),
		TEST(test_a_round_is_begun_anew),
		TEST(test_a_round_tells_of_sessions_between_connections),
		TEST(test_answers_to_nobody),
		TEST(test_nothing_is_due_when_all_is_over),
		TEST(test_relay_keeps_the_route_to_the_end),
		TEST(test_a_link_is_used_until_it_is_full),
		TEST(test_the_next_of_a_full_link_that_stood_in),
		TEST(test_relay_waits_for_room),
		TEST(test_relay_timers_rest_while_a_link_is_full),
		TEST(test_relay_gives_up_while_a_link_is_full),
		TEST(test_relay_when_a_full_link_is_silent),
		TEST(test_relay_when_full_links_go),
		TEST(test_relay_of_large_packets),
		TEST(test_relay_with_a_limit_of_the_payload),
		TEST(test_relay_is_left),
		TEST(test_another_way_is_another_chance),
		cmocka_unit_test(test_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
