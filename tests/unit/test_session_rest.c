// SPDX-License-Identifier: BSD-2-Clause
/* A session that is put to rest and woken goes on as if it had not been; and
 * connections that do nothing have no work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/replay_internal.h"
#include "../helpers/one_engine.h"
#include "../helpers/one_session.h"

#define ISS    0xffffff00u
#define IRS    0x7fffff00u
#define REST_S 3600000000ull

static int setup(void **state)
{
	return one_setup(state, ISS, IRS);
}

static bool can_rest(const struct one_session *o)
{
	struct session_rest rest;

	return session_put_to_rest(&o->s, &o->params, &rest);
}

static void rest_for(struct one_session *o, uint64_t us)
{
	struct session_rest rest;

	assert_true(session_put_to_rest(&o->s, &o->params, &rest));
	memset(&o->s, 0xff, sizeof(o->s));
	o->now_us += us;
	session_wake(&o->s, &rest, &o->hold, o->now_us);
}

/* For an hour. */
static void rest(struct one_session *o)
{
	rest_for(o, REST_S);
}

static void let_go(struct one_session *o)
{
	hold_release(&o->hold, &o->store, session_keeps_from(&o->s),
		     session_turns_done(&o->s));
}

/* A turn, an answer of as many bytes, and our ACK. */
static void turn(struct one_session *o, uint32_t len, uint32_t seen)
{
	one_client(o, len, seen);
	one_out(o, false);
	one_target(o, TCP_PSH, o->s.snd_max - ISS, len);
	one_after(o, SESSION_DELAYED_US);
	one_out(o, false);
	let_go(o);
}

/* All but what resting cannot know. */
#define SAME(field) assert_int_equal(before->field, after->field)

static void same_numbers(const struct session *before,
			 const struct session *after)
{
	SAME(target.iss);
	SAME(target.irs);
	SAME(target.snd_una);
	SAME(target.snd_nxt);
	SAME(target.rcv_nxt);
	SAME(target.snd_wnd);
	SAME(target.snd_wscale);
	SAME(delta);
	SAME(snd_max);
	SAME(open_seq);
	SAME(turn_end);
	SAME(accounted);
	SAME(gate_base);
	SAME(ack_base);
}

static void same_learnt(const struct session *before,
			const struct session *after)
{
	SAME(cwnd);
	SAME(ssthresh);
	SAME(recover);
	SAME(rtt.srtt_us);
	SAME(rtt.rttvar_us);
	SAME(rtt.backoff);
	SAME(slowest_us);
	SAME(spread_us);
	SAME(mss_bytes);
	SAME(rto_at_us);
	SAME(ack_at_us);
	SAME(gate_at_us);
	SAME(ack_owed_bytes);
	SAME(ack_segs);
	SAME(paused_segs);
	SAME(ack_proven);
	SAME(dup_acks);
	SAME(tries);
	SAME(loss);
	SAME(conn_loss);
	SAME(rst_left);
}

static void same_flags(const struct session *before,
		       const struct session *after)
{
	SAME(state);
	SAME(begun);
	SAME(sent);
	SAME(answered);
	SAME(may_resend);
	SAME(any_answer);
	SAME(pushed);
	SAME(peer_closed);
	SAME(fin_ready);
	SAME(fin_sent);
	SAME(syn_due);
	SAME(ack_due);
	SAME(probe_due);
	SAME(rexmit_due);
	SAME(timing);
	SAME(whole);
	SAME(for_turn);
	SAME(greeted);
	SAME(barred);
	SAME(paused);
}

static void assert_same(const struct session *before,
			const struct session *after)
{
	same_numbers(before, after);
	same_learnt(before, after);
	same_flags(before, after);
	assert_ptr_equal(before->hold, after->hold);
}

static void test_nothing_else_changes(void **state)
{
	struct one_session *o = *state;
	struct session before;

	one_establish(o);
	before = o->s;
	rest(o);
	assert_same(&before, &o->s);
	for (int i = 0; i < 5; i++) {
		turn(o, 700, i ? 700 : 0);
		before = o->s;
		rest(o);
		assert_same(&before, &o->s);
	}
}

/* What was learnt of the target's window, and that it may be waiting. */
static void test_how_much_goes_without_an_ack(void **state)
{
	struct one_session *o = *state;
	struct session before;

	one_establish(o);
	one_target(o, 0, 1, 4 * ONE_MSS);
	one_sends(o, "A 1 a4001");
	before = o->s;
	rest_for(o, 1000);
	assert_same(&before, &o->s);
	one_target(o, 0, 1, 3 * ONE_MSS);
	one_wait(o);
	one_sends(o, "A 1 a7001");
	before = o->s;
	assert_int_equal(before.paused_segs, 3);
	rest_for(o, 1000);
	assert_same(&before, &o->s);
	one_target(o, 0, 1, 3 * ONE_MSS);
	one_sends(o, "A 1 a10001");
	before = o->s;
	assert_true(before.ack_proven);
	rest_for(o, 1000);
	assert_same(&before, &o->s);
}

/* What is under way can't rest. */
static void test_while_something_is_under_way(void **state)
{
	struct one_session *o = *state;

	assert_false(can_rest(o)); /* to be opened */
	one_open(o);
	assert_false(can_rest(o)); /* its SYN is due */
	one_sends(o, "S 0");
	assert_false(can_rest(o)); /* and not answered */
	one_target(o, TCP_SYN, 1, 0);
	assert_false(can_rest(o)); /* our ACK is due */
	one_sends(o, "A 1 a1");
	assert_true(can_rest(o));
	one_client(o, 100, 0);
	assert_false(can_rest(o)); /* a turn is to go */
	one_sends(o, "PA 1+100 a1");
	assert_false(can_rest(o)); /* and not acknowledged */
	one_target(o, 0, 101, 0);
	assert_false(can_rest(o)); /* nor answered */
	one_target(o, TCP_PSH, 101, 5);
	assert_false(can_rest(o)); /* our ACK is to go */
	one_client(o, 100, 10);
	assert_false(can_rest(o)); /* and a turn waits at the gate */
	one_target(o, TCP_PSH, 101, 5);
	one_sends(o, "PA 101+100 a11");
	one_target(o, TCP_PSH, 201, 5);
	one_after(o, SESSION_DELAYED_US);
	one_sends(o, "A 201 a16");
	assert_true(can_rest(o));
	one_client_ends(o, HOLD_FIN, 0);
	assert_false(can_rest(o)); /* a FIN is to go */
	one_sends(o, "FA 201 a16");
	assert_false(can_rest(o));
}

/* The gate remembers what the target has sent since the last turn. */
static void test_the_gate_remembers(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_out(o, false);
	one_target(o, 0, 101, 40);
	one_after(o, SESSION_DELAYED_US);
	one_out(o, false);
	let_go(o);
	rest(o);
	one_target(o, 0, 101, 60); /* late */
	one_after(o, SESSION_DELAYED_US);
	one_out(o, false);
	rest(o);
	one_client(o, 100, 101);
	one_sends(o, ""); /* one byte is missing */
	one_target(o, 0, 101, 1);
	one_sends(o, "PA 101+100 a102");
}

/* The same turn goes on after its answer. */
static void test_a_turn_that_grows(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	turn(o, 100, 0);
	rest(o);
	one_client(o, 50, 0);
	one_sends(o, "PA 101+50 a101");
	one_target(o, 0, 151, 0);
	assert_int_equal(o->ledger.turns.answered, 1);
	assert_int_equal(o->ledger.bytes.answered, 150);
	let_go(o);
	assert_true(can_rest(o));
}

/* The client has slept longer than a target may be silent: its FIN is waited
 * for like any other. */
static void test_a_fin_after_a_long_rest(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	turn(o, 100, 0);
	rest(o);
	one_client_ends(o, HOLD_FIN, 0);
	one_sends(o, "FA 101 a101");
	assert_true(session_deadline_us(&o->s, &o->params) > o->now_us);
	one_target(o, TCP_FIN, 102, 0);
	one_sends(o, "A 102 a102");
	assert_int_equal(o->s.state, SESSION_TIME_WAIT);
	assert_int_equal(o->ledger.conns.answered, 1);
}

/* What the target closes meanwhile is opened again for the next turn. */
static void test_the_target_closes(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	turn(o, 100, 0);
	rest(o);
	one_target(o, TCP_FIN, 101, 0);
	one_sends(o, "A 101 a102");
	assert_int_equal(o->s.state, SESSION_CLOSE_WAIT);
	rest(o);
	one_client(o, 100, 100);
	assert_string_equal(one_out(o, false), "RA");
	assert_int_equal(o->s.state, SESSION_WAITING);
	one_open(o);
	one_sends(o, "S 100");
	assert_true(session_wire_snd_nxt(&o->s) > ISS + 101);
}

static void test_the_target_resets(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	turn(o, 100, 0);
	one_target(o, TCP_RST, 101, 0);
	assert_int_equal(o->s.state, SESSION_IDLE);
	rest(o);
	one_client(o, 100, 100);
	assert_int_equal(o->s.state, SESSION_WAITING);
	one_open(o);
	one_sends(o, "S 100");
}

/* Links go and come back while it rests. */
static void test_pauses(void **state)
{
	struct one_session *o = *state;
	struct session_rest r;

	one_establish(o);
	turn(o, 100, 0);
	assert_true(session_put_to_rest(&o->s, &o->params, &r));
	session_rest_set_paused(&r, true, o->now_us + 1);
	session_wake(&o->s, &r, &o->hold, o->now_us);
	assert_true(o->s.paused);
	assert_true(o->s.heard_us <= o->now_us);
	assert_true(session_put_to_rest(&o->s, &o->params, &r));
	o->now_us += 1000000;
	session_rest_set_paused(&r, false, o->now_us);
	session_wake(&o->s, &r, &o->hold, o->now_us);
	assert_false(o->s.paused);
	assert_int_equal(o->s.heard_us, o->now_us);
}

static void assert_works(const struct engine *e, uint32_t works)
{
	assert_int_equal(e->r->works.used, works);
	assert_int_equal(e->r->store.stocks.used, 0);
	assert_int_equal(e->r->store.blocks.links.used, 0);
	assert_int_equal(e->r->store.marks.used, 0);
}

/* Connections that do nothing have no work, whatever happens around them, and
 * each of them goes on afterwards. */
static void test_engine_at_rest(void **state)
{
	static struct client clients[50];
	struct engine *e = *state;

	e->cfg.copies = 2;
	engine_start(e);
	for (uint8_t i = 0; i < 50; i++) {
		clients[i] = client_at(i, 5000);
		client_syn(e, &clients[i]);
		client_send(e, &clients[i], 100, 0);
	}
	engine_wait(e, 100000);
	assert_int_equal(ledger(e)->turns.answered, 100);
	assert_works(e, 0);
	engine_links(e, false);
	assert_works(e, 0);
	engine_links(e, true); /* all routes are told again */
	engine_wait(e, 100000);
	assert_works(e, 0);
	for (uint8_t i = 0; i < 50; i++)
		client_send(e, &clients[i], 100, 100);
	engine_wait(e, 100000);
	assert_int_equal(ledger(e)->turns.answered, 200);
	assert_works(e, 0);
	for (uint8_t i = 0; i < 50; i++)
		client_end(e, &clients[i], TCP_FIN);
	engine_wait(e, 10000000);
	assert_int_equal(ledger(e)->conns.answered, 100);
	assert_int_equal(replay_flows(e->r), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, one_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_else_changes),
		TEST(test_while_something_is_under_way),
		TEST(test_how_much_goes_without_an_ack),
		TEST(test_the_gate_remembers),
		TEST(test_a_turn_that_grows),
		TEST(test_a_fin_after_a_long_rest),
		TEST(test_the_target_closes),
		TEST(test_the_target_resets),
		TEST(test_pauses),
		cmocka_unit_test_setup_teardown(test_engine_at_rest,
						engine_setup, engine_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
