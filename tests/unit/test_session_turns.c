// SPDX-License-Identifier: BSD-2-Clause
/* Turns: when they go, where they end in the ledger, opening again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../helpers/one_session.h"

#define ISS 0xffffff00u
#define IRS 0xffffff80u

static int setup(void **state)
{
	return one_setup(state, ISS, IRS);
}

/* answered, unanswered, in flight, lost for a reason */
static void check_unit(const struct ledger_unit *u, uint64_t answered,
		       uint64_t unanswered, uint64_t in_flight, enum loss why,
		       uint64_t lost)
{
	uint64_t all = 0;

	assert_int_equal(u->answered, answered);
	assert_int_equal(u->unanswered, unanswered);
	assert_int_equal(u->in_flight, in_flight);
	for (unsigned i = 0; i < LOSS_COUNT; i++)
		all += u->lost[i];
	assert_int_equal(all, lost);
	if (why != LOSS_NONE)
		assert_int_equal(u->lost[why], lost);
}

#define NONE LOSS_NONE, 0

/* A turn of 100 bytes, delivered and answered with 50; the client had seen the
 * answer before. */
static void one_exchange(struct one_session *o, uint32_t seen)
{
	uint32_t end = o->hold.end - o->iss + 100;

	one_client(o, 100, seen);
	one_out(o, true);
	one_target(o, TCP_PSH, end, 50);
	one_after(o, SESSION_DELAYED_US);
	one_out(o, true);
}

static void test_delivered_and_answered(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_sends(o, "PA 1+100 a1");
	check_unit(&o->ledger.turns, 0, 0, 1, NONE);
	one_target(o, 0, 101, 0); /* delivered, no answer */
	check_unit(&o->ledger.turns, 0, 0, 1, NONE);
	check_unit(&o->ledger.bytes, 0, 0, 100, NONE);
	one_target(o, 0, 101, 1);
	check_unit(&o->ledger.turns, 1, 0, 0, NONE);
	check_unit(&o->ledger.bytes, 100, 0, 0, NONE);
}

/* A turn of 100 bytes that the session is not told of. */
static struct hold_growth untold(struct one_session *o, uint32_t seen)
{
	static const uint8_t bytes[100];
	struct hold_growth growth;

	o->seen += seen;
	growth = hold_insert(&o->hold, &o->store, o->hold.end, o->seen, true,
			     bytes, sizeof(bytes), o->now_us);
	one_add(&o->ledger.turns, growth.turns);
	one_add(&o->ledger.bytes, growth.bytes);
	return growth;
}

/* What comes behind a turn that waits goes when it is due, told of or not. */
static void test_behind_a_turn_that_waits(void **state)
{
	struct one_session *o = *state;
	struct hold_growth growth, none = {0};

	one_establish(o);
	one_client(o, 100, 0);
	one_sends(o, "PA 1+100 a1");
	growth = untold(o, 50);
	assert_false(session_is_behind(&o->s, &growth));
	session_on_growth(&o->s, &o->env, &growth, o->now_us);
	growth = untold(o, 50);
	assert_true(session_is_behind(&o->s, &growth));
	assert_false(session_is_behind(&o->s, &none));
	one_target(o, TCP_PSH, 101, 50);
	one_sends(o, "PA 101+100 a51");
	one_target(o, TCP_PSH, 201, 50);
	one_sends(o, "PA 201+100 a101");
	one_target(o, TCP_PSH, 301, 50);
	check_unit(&o->ledger.turns, 3, 0, 0, NONE);
}

/* Bytes of the server from before the turn was sent are no answer to it. */
static void test_what_came_before_is_no_answer(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_target(o, 0, 1, 500);
	one_client(o, 100, 0);
	one_out(o, true);
	one_target(o, 0, 101, 0);
	check_unit(&o->ledger.turns, 0, 0, 1, NONE);
}

/* An answer to half of it is none until the rest is there. */
static void test_answered_before_it_was_delivered(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 2000, 0);
	one_out(o, true);
	one_target(o, 0, 1001, 10);
	check_unit(&o->ledger.turns, 0, 0, 1, NONE);
	check_unit(&o->ledger.bytes, 0, 0, 2000, NONE);
	one_target(o, 0, 2001, 0);
	check_unit(&o->ledger.turns, 1, 0, 0, NONE);
	check_unit(&o->ledger.bytes, 2000, 0, 0, NONE);
}

static void test_unanswered_when_the_next_one_goes(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_out(o, true);
	one_target(o, 0, 101, 0);
	one_client(o, 100, 30);
	one_sends(o, "");
	one_after(o, ONE_TIMEOUT - 1);
	one_sends(o, "");
	one_after(o, 1);
	one_sends(o, "PA 101+100 a1");
	assert_int_equal(o->ledger.early_hold, 1);
	check_unit(&o->ledger.turns, 0, 1, 1, NONE);
	check_unit(&o->ledger.bytes, 0, 100, 100, NONE);
}

/* A turn may be held for longer than a target may be silent. */
static void test_let_go_rather_than_given_up(void **state)
{
	struct one_session *o = *state;

	o->params.max_hold_us = 10ull * ONE_TIMEOUT;
	one_establish(o);
	one_client(o, 100, 0);
	one_out(o, true);
	one_target(o, 0, 101, 0);
	one_client(o, 100, 30);
	one_after(o, ONE_TIMEOUT - 1);
	one_sends(o, "");
	one_after(o, 1);
	one_sends(o, "PA 101+100 a1");
	assert_int_equal(o->ledger.early_hold, 1);
	one_target(o, TCP_PSH, 201, 60);
	check_unit(&o->ledger.turns, 1, 1, 0, NONE);
	/* and so with the client's end */
	one_client_ends(o, HOLD_FIN, 100);
	one_after(o, ONE_TIMEOUT);
	one_sends(o, "FA 201 a61");
}

/* A client that ends after having waited for longer than a target may be
 * silent: the end waits for the answer from there. */
static void test_an_end_after_a_long_wait(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_out(o, true);
	one_target(o, 0, 101, 0);
	one_after(o, 2 * ONE_TIMEOUT);
	one_client_ends(o, HOLD_RST, 51);
	one_sends(o, "");
	one_after(o, ONE_TIMEOUT - 1);
	one_sends(o, "");
	one_target(o, TCP_PSH, 101, 50);
	one_sends(o, "RA 101 a51");
	assert_int_equal(o->ledger.early_hold, 0);
	check_unit(&o->ledger.turns, 1, 0, 0, NONE);
}

/* And one that ends without having seen one gives the target its time. */
static void test_a_half_close_after_a_long_wait(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_out(o, true);
	one_target(o, 0, 101, 0);
	one_after(o, 2 * ONE_TIMEOUT);
	one_client_ends(o, HOLD_FIN, 0);
	one_sends(o, "FA 101 a1");
	one_after(o, 1000);
	one_sends(o, "");
	one_target(o, TCP_PSH, 102, 50);
	assert_int_equal(o->s.state, SESSION_FIN_WAIT_2);
	check_unit(&o->ledger.turns, 1, 0, 0, NONE);
}

/* That the target's kernel asks whether we live is no answer. */
static void test_keep_alives_are_silence(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_out(o, true);
	one_target(o, 0, 101, 0);
	one_client(o, 100, 30);
	one_after(o, ONE_TIMEOUT - 1);
	one_header(o, TCP_ACK, o->sent - 1, ISS + 101, 0);
	one_sends(o, "A 101 a1");
	one_after(o, 1);
	one_sends(o, "PA 101+100 a1");
	assert_int_equal(o->ledger.early_hold, 1);
	/* one that acknowledges is more than that */
	one_after(o, ONE_TIMEOUT - 1);
	one_header(o, TCP_ACK, o->sent - 1, ISS + 201, 0);
	one_client_ends(o, HOLD_RST, 50);
	one_out(o, true);
	one_after(o, ONE_TIMEOUT - 1);
	assert_int_equal(o->s.state, SESSION_ESTABLISHED);
	/* and the client's end is not held for ever either */
	one_header(o, TCP_ACK, o->sent - 1, ISS + 201, 0);
	one_after(o, 1);
	assert_int_equal(o->s.state, SESSION_DONE);
	check_unit(&o->ledger.turns, 0, 2, 0, NONE);
}

static void test_the_gate_waits_for_as_many_bytes(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_out(o, true);
	one_client(o, 100, 50);
	one_sends(o, "");
	one_target(o, 0, 101, 49);
	one_sends(o, "");
	one_target(o, 0, 101, 1);
	one_sends(o, "PA 101+100 a51");
	assert_int_equal(o->ledger.early_hold + o->ledger.early_quiet, 0);
}

/* All bytes came, but the turn is not acknowledged. */
static void test_the_gate_waits_for_the_ack(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_out(o, true);
	one_client(o, 100, 50);
	one_target(o, 0, 100, 50);
	assert_null(strstr(one_out(o, true), "+"));
	one_target(o, 0, 101, 0);
	one_sends(o, "PA 101+100 a51");
}

/* A surplus of an answer does not count for the next turn. */
static void test_no_surplus(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_client(o, 100, 50);
	one_client(o, 100, 50);
	one_sends(o, "PA 1+100 a1");
	one_target(o, 0, 101, 80);
	one_sends(o, "PA 101+100 a81");
	one_target(o, 0, 201, 20);
	assert_null(strstr(one_out(o, true), "+"));
	one_target(o, 0, 201, 30);
	one_sends(o, "PA 201+100 a131");
}

/* The client writes a request in pieces and reads earlier answers meanwhile;
 * the target has sent those already, and waits for the last piece. */
static void test_both_sides_speaking(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_client(o, 100, 30);
	one_client(o, 100, 30);
	one_out(o, true);
	one_target(o, TCP_PSH, 101, 70);
	one_sends(o, "PA 101+100 a71");
	one_after(o, 7000);
	one_target(o, 0, 201, 0);
	one_after(o, GATE_SILENT_MIN_US - 1);
	assert_int_equal(o->s.snd_max, ISS + 201);
	one_after(o, 1);
	one_sends(o, "PA 201+100 a71");
	assert_int_equal(o->ledger.early_quiet, 1);
	/* of this it has sent 10 bytes, and still owes 20 */
	one_client(o, 100, 30);
	one_target(o, 0, 301, 0);
	one_after(o, ONE_TIMEOUT - 1);
	assert_int_equal(o->s.snd_max, ISS + 301);
	assert_int_equal(o->ledger.early_quiet, 1);
}

/* A piece that comes again says nothing of how the answer ended. */
static void test_a_repeated_piece_is_not_the_end(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_out(o, true);
	one_client(o, 100, 200);
	one_target(o, TCP_PSH, 101, 100);
	one_header(o, TCP_ACK, IRS + 1, ISS + 101, 40);
	one_sends(o, "A 101 a101");
	one_after(o, ONE_TIMEOUT - 1);
	one_sends(o, "PA 101+100 a101");
	assert_int_equal(o->ledger.early_quiet, 1);
}

/* Four times as long as it has taken before. */
static void test_a_slow_target_is_waited_for(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_out(o, true);
	one_after(o, 30000);
	one_target(o, TCP_PSH, 101, 200);
	one_after(o, SESSION_DELAYED_US);
	one_out(o, true);
	one_client(o, 100, 50);
	one_client(o, 100, 50);
	one_sends(o, "PA 101+100 a201");
	one_target(o, 0, 201, 0);
	one_after(o, 119999);
	assert_int_equal(o->ledger.early_quiet, 0);
	one_after(o, 1);
	assert_int_equal(o->ledger.early_quiet, 1);
}

static void test_a_shorter_answer(void **state)
{
	struct one_session *o = *state;
	uint64_t before_us;

	one_establish(o);
	one_client(o, 100, 0);
	one_client(o, 100, 50);
	one_out(o, true);
	one_target(o, TCP_PSH, 101, 20);
	before_us = o->now_us;
	while (o->ledger.early_quiet == 0) {
		assert_null(strstr(one_out(o, true), "+"));
		one_wait(o);
	}
	/* after the last ACK of ours, which was delayed */
	assert_int_equal(o->now_us - before_us, SESSION_DELAYED_US + 20000);
	one_sends(o, "PA 101+100 a21");
	check_unit(&o->ledger.turns, 1, 0, 1, NONE);
}

/* The same client ack: one turn, whatever the packets. */
static void test_a_turn_goes_as_it_comes(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 10, 0);
	one_sends(o, "PA 1+10 a1");
	one_client(o, 10, 0);
	one_sends(o, "PA 11+10 a1");
	assert_int_equal(o->ledger.turns.captured, 1);
}

static void test_a_turn_that_grows_after_its_answer(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 10, 0);
	one_out(o, true);
	one_target(o, 0, 11, 5);
	one_client(o, 10, 0);
	one_sends(o, "PA 11+10 a6");
	check_unit(&o->ledger.bytes, 10, 0, 10, NONE);
	one_target(o, 0, 21, 0);
	check_unit(&o->ledger.bytes, 20, 0, 0, NONE);
	check_unit(&o->ledger.turns, 1, 0, 0, NONE);
}

static void test_the_server_speaks_first(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 78);
	one_sends(o, "");
	one_target(o, 0, 1, 77);
	one_sends(o, "");
	one_target(o, 0, 1, 1);
	one_sends(o, "PA 1+100 a79");
	/* what such a session has sent is never sent again */
	one_target(o, TCP_FIN, 101, 0);
	assert_int_equal(o->s.state, SESSION_CLOSE_WAIT);
	assert_int_equal(o->ledger.turns_resent, 0);
}

/* The session has been opened again; the target takes it. */
static void one_again(struct one_session *o, uint32_t first)
{
	assert_int_equal(o->s.state, SESSION_WAITING);
	assert_int_equal(o->s.open_seq, o->iss + first);
	one_out(o, true);
	one_open(o);
	assert_string_equal(one_out(o, false), "S");
	o->sent = o->irs;
	one_target(o, TCP_SYN, first, 0);
}

/* Its first connection was given up before the client said anything. */
static void test_the_server_speaks_first_on_the_next_one(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_target(o, 0, 1, 78);
	session_give_up(&o->s, &o->env, LOSS_NO_TUPLE, o->now_us);
	assert_int_equal(o->s.state, SESSION_IDLE);
	one_client(o, 100, 78);
	one_again(o, 1);
	one_sends(o, "A 1 a1");
	one_target(o, 0, 1, 78);
	one_sends(o, "PA 1+100 a79");
}

/* A target that closes twice instead of greeting: what waited is lost, and not
 * a byte of it goes. */
static void test_no_greeting_but_a_fin(void **state)
{
	struct one_session *o = *state;

	one_client(o, 50, 56);
	one_establish(o);
	one_target(o, TCP_FIN, 1, 0);
	one_again(o, 1);
	one_sends(o, "A 1 a1");
	one_target(o, TCP_PSH, 1, 9);
	one_target(o, TCP_FIN, 1, 0);
	assert_string_equal(one_out(o, false), "RA");
	assert_int_equal(o->s.state, SESSION_IDLE);
	assert_int_equal(o->ledger.turns.lost[LOSS_TARGET_CLOSED], 1);
	assert_int_equal(o->ledger.bytes.lost[LOSS_TARGET_CLOSED], 50);
	one_client(o, 10, 5);
	assert_int_equal(o->s.state, SESSION_WAITING);
	assert_int_equal(o->ledger.turns.in_flight, 1);
}

/* Thrown away by a target that closes, acknowledged or not. */
static void test_a_turn_thrown_away_is_sent_again(void **state)
{
	struct one_session *o = *state;
	uint32_t wire;

	one_establish(o);
	one_exchange(o, 0);
	one_client(o, 100, 50);
	one_sends(o, "PA 101+100 a51");
	wire = session_wire_snd_nxt(&o->s);
	one_target(o, TCP_FIN, 201, 0);
	assert_string_equal(one_out(o, false), "RA");
	/* above all that this tuple has sent */
	assert_int_equal(session_own_iss(&o->s), wire + 1);
	one_again(o, 101);
	one_sends(o, "PA 101+100 a1");
	one_target(o, 0, 201, 50);
	assert_int_equal(o->ledger.turns_resent, 1);
	assert_int_equal(o->ledger.reopened, 1);
	check_unit(&o->ledger.turns, 2, 0, 0, NONE);
	check_unit(&o->ledger.bytes, 200, 0, 0, NONE);
}

/* The target drops what is over but for its closing. */
static void test_a_reset_after_the_answer_loses_nothing(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_exchange(o, 0);
	one_target(o, TCP_RST, 101, 0);
	assert_int_equal(o->s.state, SESSION_IDLE);
	one_sends(o, "");
	one_client_ends(o, HOLD_FIN, 50);
	assert_int_equal(o->s.state, SESSION_DONE);
	one_sends(o, "");
	check_unit(&o->ledger.turns, 1, 0, 0, NONE);
	check_unit(&o->ledger.conns, 1, 0, 0, NONE);
}

/* The client goes on: its next turn is copied on another connection. */
static void test_a_reset_between_two_turns(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_exchange(o, 0);
	one_target(o, TCP_RST, 101, 0);
	one_client(o, 100, 50);
	one_again(o, 101);
	one_sends(o, "PA 101+100 a1");
	one_target(o, 0, 201, 50);
	one_client_ends(o, HOLD_RST, 50);
	check_unit(&o->ledger.turns, 2, 0, 0, NONE);
	check_unit(&o->ledger.conns, 1, 0, 0, NONE);
}

/* What the client wrote behind an answered turn had not arrived. */
static void test_a_reset_before_the_last_bytes(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_exchange(o, 0);
	one_client(o, 100, 0);
	one_out(o, true);
	one_target(o, TCP_RST, 101, 0);
	one_client_ends(o, HOLD_FIN, 50);
	check_unit(&o->ledger.turns, 1, 0, 0, NONE);
	check_unit(&o->ledger.bytes, 100, 0, 0, LOSS_TARGET_CLOSED, 100);
	check_unit(&o->ledger.conns, 0, 0, 0, LOSS_TARGET_CLOSED, 1);
}

static void test_sent_again_twice_at_most(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_out(o, true);
	one_target(o, TCP_RST, 1, 0);
	one_again(o, 1);
	one_sends(o, "PA 1+100 a1");
	one_target(o, TCP_RST, 1, 0);
	assert_false(session_wants_open(&o->s, o->now_us + 249999));
	one_after(o, 250000);
	one_again(o, 1);
	one_sends(o, "PA 1+100 a1");
	one_target(o, TCP_RST, 1, 0);
	assert_int_equal(o->s.state, SESSION_IDLE);
	assert_int_equal(o->ledger.turns_resent, 2);
	check_unit(&o->ledger.turns, 0, 0, 0, LOSS_TARGET_CLOSED, 1);
	check_unit(&o->ledger.bytes, 0, 0, 0, LOSS_TARGET_CLOSED, 100);
	/* the client goes on: so do we */
	one_client(o, 100, 10);
	one_again(o, 101);
	one_sends(o, "PA 101+100 a1");
	one_target(o, TCP_FIN, 101, 0);
	assert_int_equal(o->ledger.turns_resent, 3);
	one_again(o, 101);
	one_sends(o, "PA 101+100 a1");
	/* it has been read, and is not wanted */
	one_target(o, TCP_FIN, 201, 0);
	assert_int_equal(o->s.state, SESSION_CLOSE_WAIT);
	one_target(o, TCP_RST, 201, 0);
	assert_int_equal(o->s.state, SESSION_IDLE);
	assert_int_equal(o->ledger.turns_resent, 3);
}

static void test_not_sent_again_when_forbidden(void **state)
{
	struct one_session *o = *state;

	o->params.resend = false;
	one_establish(o);
	one_client(o, 100, 0);
	one_out(o, true);
	one_target(o, TCP_RST, 51, 0);
	assert_int_equal(o->s.state, SESSION_IDLE);
	check_unit(&o->ledger.turns, 0, 0, 0, LOSS_TARGET_CLOSED, 1);
	assert_int_equal(o->ledger.turns_resent, 0);
}

static void test_a_partly_answered_turn_is_not_sent_again(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 3000, 0);
	one_out(o, true);
	one_target(o, 0, 1001, 1);
	one_out(o, true);
	one_target(o, TCP_RST, 1001, 0);
	assert_int_equal(o->s.state, SESSION_IDLE);
	check_unit(&o->ledger.turns, 0, 0, 0, LOSS_TARGET_CLOSED, 1);
	/* what it did acknowledge was delivered */
	check_unit(&o->ledger.bytes, 0, 1000, 0, LOSS_TARGET_CLOSED, 2000);
}

static void test_too_large_to_be_kept(void **state)
{
	struct one_session *o = *state;

	hold_fini(&o->hold, &o->store);
	hold_store_fini(&o->store, &o->mem.mem);
	assert_true(hold_store_init(&o->store, &o->mem.mem, 8000, 100));
	hold_init(&o->hold, ISS + 1);
	one_establish(o);
	for (uint32_t len = 50000; len <= SESSION_RESEND_MAX + 50000;
	     len += 50000) {
		one_client(o, 50000, 0);
		while (o->s.target.snd_una != o->hold.end) {
			one_out(o, false);
			one_target(o, 0, o->s.snd_max - o->iss, 0);
		}
		assert_int_equal(session_keeps_from(&o->s),
				 len <= SESSION_RESEND_MAX ? ISS + 1
							   : o->hold.end);
	}
	one_target(o, TCP_FIN, o->hold.end - ISS, 0);
	assert_int_equal(o->s.state, SESSION_CLOSE_WAIT);
	assert_int_equal(o->ledger.turns_resent, 0);
}

/* Closed after its answer: the client's next turn needs a new connection, and
 * waits for nothing there. */
static void test_opened_again_for_the_next_turn(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_exchange(o, 0);
	one_target(o, TCP_FIN, 101, 0);
	one_sends(o, "A 101 a52");
	one_client(o, 100, 50);
	one_again(o, 101);
	one_sends(o, "PA 101+100 a1");
	assert_int_equal(o->ledger.turns_resent, 0);
	assert_int_equal(o->ledger.reopened, 1);
	one_client(o, 100, 30);
	one_sends(o, "");
	one_target(o, 0, 201, 30);
	one_sends(o, "PA 201+100 a31");
	check_unit(&o->ledger.turns, 2, 0, 1, NONE);
}

/* The next turn was here before the target closed. */
static void test_opened_again_at_once(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_client(o, 100, 80);
	one_out(o, true);
	one_target(o, TCP_FIN, 101, 60);
	one_again(o, 101);
	one_sends(o, "PA 101+100 a1");
	check_unit(&o->ledger.turns, 1, 0, 1, NONE);
}

static void test_both_close(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_exchange(o, 0);
	one_target(o, TCP_FIN, 101, 0);
	one_sends(o, "A 101 a52");
	one_client_ends(o, HOLD_FIN, 51);
	one_sends(o, "FA 101 a52");
	one_target(o, 0, 102, 0);
	assert_int_equal(o->s.state, SESSION_DONE);
	check_unit(&o->ledger.conns, 1, 0, 0, NONE);
}

static void test_a_connection_without_a_byte(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client_ends(o, HOLD_FIN, 0);
	one_sends(o, "FA 1 a1");
	one_target(o, TCP_FIN, 2, 0);
	assert_int_equal(o->s.state, SESSION_TIME_WAIT);
	check_unit(&o->ledger.conns, 0, 1, 0, NONE);
	one_sends(o, "A 2 a2");
	one_wait(o);
	assert_int_equal(o->s.state, SESSION_DONE);
}

/* Our last ACK got lost, and may again: the target asks at longer and longer
 * intervals. */
static void test_a_fin_that_is_repeated(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client_ends(o, HOLD_FIN, 0);
	one_sends(o, "FA 1 a1");
	one_target(o, TCP_FIN, 2, 0);
	one_sends(o, "A 2 a2");
	one_after(o, 3000000);
	one_header(o, TCP_FIN | TCP_ACK, IRS + 1, ISS + 2, 0);
	one_sends(o, "A 2 a2");
	one_after(o, 15000000);
	assert_int_equal(o->s.state, SESSION_TIME_WAIT);
	one_header(o, TCP_FIN | TCP_ACK, IRS + 1, ISS + 2, 0);
	one_sends(o, "A 2 a2");
	one_after(o, 21000000);
	assert_int_equal(o->s.state, SESSION_DONE);
}

/* Nobody listens there; an RST each time is no reason to go on for ever. */
static void test_refused(void **state)
{
	struct one_session *o = *state;
	uint64_t begun_us = o->now_us;
	unsigned syns = 0;

	one_client(o, 100, 0);
	while (o->s.state != SESSION_IDLE) {
		if (session_wants_open(&o->s, o->now_us)) {
			one_open(o);
			assert_string_equal(one_out(o, false), "S");
			one_header(o, TCP_RST | TCP_ACK, 0, o->iss + 1, 0);
			syns++;
		}
		o->now_us = o->s.retry_at_us;
		session_on_timer(&o->s, &o->env, o->now_us);
		assert_true(syns < 100);
	}
	assert_in_range(syns, 5, 20);
	assert_in_range(o->now_us - begun_us, ONE_TIMEOUT,
			ONE_TIMEOUT + 4000000);
	check_unit(&o->ledger.turns, 0, 0, 0, LOSS_REFUSED, 1);
	check_unit(&o->ledger.bytes, 0, 0, 0, LOSS_REFUSED, 100);
	one_client_ends(o, HOLD_FIN, 0);
	check_unit(&o->ledger.conns, 0, 0, 0, LOSS_REFUSED, 1);
}

/* The time is over while the RST to the latest SYN is on its way. */
static void test_refused_and_just_asked_again(void **state)
{
	struct one_session *o = *state;

	one_client(o, 100, 0);
	one_open(o);
	one_out(o, true);
	one_header(o, TCP_RST | TCP_ACK, 0, o->iss + 1, 0);
	o->now_us += ONE_TIMEOUT - 1000;
	one_open(o);
	one_out(o, true);
	one_after(o, 1000);
	check_unit(&o->ledger.turns, 0, 0, 0, LOSS_REFUSED, 1);
}

/* Each SYN is a new one: the target may remember the one before. */
static void test_refused_and_then_taken(void **state)
{
	struct one_session *o = *state;
	uint32_t wire;

	one_open(o);
	one_out(o, true);
	wire = o->s.target.iss + o->s.delta;
	one_header(o, TCP_RST | TCP_ACK, 0, o->iss + 1, 0);
	assert_false(session_wants_open(&o->s, o->now_us));
	o->now_us += 250000;
	assert_true(session_wants_open(&o->s, o->now_us));
	one_establish(o);
	assert_int_equal(o->s.target.iss + o->s.delta, wire + 1);
	one_exchange(o, 0);
	check_unit(&o->ledger.turns, 1, 0, 0, NONE);
}

/* That the turn before was refused says nothing about this one. */
static void test_refused_and_then_silence(void **state)
{
	struct one_session *o = *state;

	one_client(o, 100, 0);
	one_open(o);
	one_out(o, true);
	one_header(o, TCP_RST | TCP_ACK, 0, o->iss + 1, 0);
	one_after(o, ONE_TIMEOUT);
	check_unit(&o->ledger.turns, 0, 0, 0, LOSS_REFUSED, 1);
	one_client(o, 100, 50);
	one_open(o);
	one_out(o, true);
	one_after(o, ONE_TIMEOUT);
	assert_int_equal(o->s.state, SESSION_IDLE);
	assert_int_equal(o->ledger.turns.lost[LOSS_REFUSED], 1);
	assert_int_equal(o->ledger.turns.lost[LOSS_TIMEOUT], 1);
}

/* The target resets what it has answered; then tcpcopy ends. */
static void test_nothing_was_lost_before_the_end(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_exchange(o, 0);
	one_header(o, TCP_RST, o->sent, 0, 0);
	assert_int_equal(o->s.state, SESSION_IDLE);
	session_end(&o->s, &o->env, LOSS_SHUTDOWN, o->now_us);
	check_unit(&o->ledger.conns, 1, 0, 0, NONE);
}

static void test_silence(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_out(o, true);
	while (o->s.state == SESSION_ESTABLISHED) {
		one_wait(o);
		one_out(o, false);
	}
	assert_int_equal(o->s.state, SESSION_IDLE);
	check_unit(&o->ledger.turns, 0, 0, 0, LOSS_TIMEOUT, 1);
	check_unit(&o->ledger.bytes, 0, 0, 0, LOSS_TIMEOUT, 100);
	check_unit(&o->ledger.conns, 0, 0, 1, NONE);
	one_client_ends(o, HOLD_FIN, 0);
	check_unit(&o->ledger.conns, 0, 0, 0, LOSS_TIMEOUT, 1);
}

/* With nothing to wait for, silence is no fault. */
static void test_a_quiet_connection_stays(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_exchange(o, 0);
	assert_int_equal(session_deadline_us(&o->s, &o->params), UINT64_MAX);
	one_after(o, 100ull * ONE_TIMEOUT);
	assert_int_equal(o->s.state, SESSION_ESTABLISHED);
	one_client(o, 100, 50);
	one_sends(o, "PA 101+100 a51");
	assert_true(session_deadline_us(&o->s, &o->params) > o->now_us);
}

static void test_all_delivered_but_not_closed(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_exchange(o, 0);
	one_client_ends(o, HOLD_FIN, 50);
	one_sends(o, "FA 101 a51");
	one_target(o, 0, 102, 0);
	one_after(o, ONE_TIMEOUT);
	assert_int_equal(o->s.state, SESSION_DONE);
	one_sends(o, "RA 102 a51");
	check_unit(&o->ledger.conns, 1, 0, 0, NONE);
}

/* While there is no link, silence means nothing; it counts from its return. */
static void test_the_gate_while_paused(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_client(o, 100, 50);
	one_out(o, true);
	one_target(o, TCP_PSH, 101, 20);
	one_after(o, SESSION_DELAYED_US);
	one_sends(o, "A 101 a21");
	session_set_paused(&o->s, true, o->now_us);
	one_after(o, 1000000);
	one_sends(o, "");
	session_set_paused(&o->s, false, o->now_us);
	one_after(o, 0);
	one_sends(o, "");
	one_wait(o);
	one_sends(o, "PA 101+100 a21");
	assert_int_equal(o->ledger.early_quiet, 1);
}

/* All the time that a target has begins anew with its link. */
static void test_a_pause_and_then_silence(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_client(o, 100, 50);
	one_out(o, true);
	one_target(o, 0, 101, 0);
	session_set_paused(&o->s, true, o->now_us);
	one_after(o, ONE_TIMEOUT - 1);
	session_set_paused(&o->s, false, o->now_us);
	one_after(o, ONE_TIMEOUT - 1);
	one_sends(o, "");
	one_after(o, 1);
	one_sends(o, "PA 101+100 a1");
	check_unit(&o->ledger.turns, 0, 1, 1, NONE);
}

/* An outage is no silence of the target, whenever it comes. */
static void test_silence_and_then_a_pause(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_client(o, 100, 50);
	one_out(o, true);
	one_target(o, 0, 101, 0);
	one_after(o, ONE_TIMEOUT - 1);
	session_set_paused(&o->s, true, o->now_us);
	one_after(o, ONE_TIMEOUT - 1);
	session_set_paused(&o->s, false, o->now_us);
	one_after(o, 0);
	one_sends(o, "");
	one_target(o, TCP_PSH, 101, 50);
	one_sends(o, "PA 101+100 a51");
	check_unit(&o->ledger.turns, 1, 0, 1, NONE);
}

/* Nor does it say how long the target takes to answer. */
static void test_slow_while_paused(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_out(o, true);
	one_target(o, 0, 101, 0);
	session_set_paused(&o->s, true, o->now_us);
	one_after(o, 5000000);
	session_set_paused(&o->s, false, o->now_us);
	one_target(o, TCP_PSH, 101, 50);
	assert_int_equal(o->s.slowest_us, 0);
}

/* The target waits for our last ACK. */
static void test_time_wait_while_paused(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_exchange(o, 0);
	one_client_ends(o, HOLD_FIN, 50);
	one_sends(o, "FA 101 a51");
	one_target(o, 0, 102, 0);
	session_set_paused(&o->s, true, o->now_us);
	one_target(o, TCP_FIN, 102, 0);
	assert_int_equal(o->s.state, SESSION_TIME_WAIT);
	one_sends(o, "");
	one_after(o, SESSION_TIME_WAIT_US + 1000000);
	assert_int_equal(o->s.state, SESSION_TIME_WAIT);
	session_set_paused(&o->s, false, o->now_us);
	one_sends(o, "A 102 a52");
	one_after(o, SESSION_TIME_WAIT_US - 1);
	assert_int_equal(o->s.state, SESSION_TIME_WAIT);
	one_after(o, 1);
	assert_int_equal(o->s.state, SESSION_DONE);
}

static void test_tls_copies_nothing_more(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	session_bar(&o->s, &o->env, LOSS_TLS, o->now_us);
	one_sends(o, "RA 1 a1");
	one_client(o, 100, 0);
	one_client(o, 100, 50);
	assert_int_equal(o->s.state, SESSION_IDLE);
	check_unit(&o->ledger.turns, 0, 0, 0, LOSS_TLS, 2);
	check_unit(&o->ledger.bytes, 0, 0, 0, LOSS_TLS, 300);
	one_client_ends(o, HOLD_FIN, 0);
	check_unit(&o->ledger.conns, 0, 0, 0, LOSS_TLS, 1);
}

static void test_not_to_be_opened(void **state)
{
	struct one_session *o = *state;

	one_client(o, 100, 0);
	session_give_up(&o->s, &o->env, LOSS_NO_TUPLE, o->now_us);
	assert_int_equal(o->s.state, SESSION_IDLE);
	check_unit(&o->ledger.turns, 0, 0, 0, LOSS_NO_TUPLE, 1);
	/* the same turn goes on: it is lost already */
	one_client(o, 100, 0);
	assert_int_equal(o->s.state, SESSION_IDLE);
	check_unit(&o->ledger.bytes, 0, 0, 0, LOSS_NO_TUPLE, 200);
	one_client(o, 100, 10);
	assert_int_equal(o->s.state, SESSION_WAITING);
	check_unit(&o->ledger.turns, 0, 0, 1, LOSS_NO_TUPLE, 1);
}

/* A hole in the capture, and the stream goes on beyond it. */
static void test_gap_and_rejoin(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_exchange(o, 0);
	one_client(o, 100, 50);
	one_out(o, true);
	session_on_gap(&o->s, &o->env, LOSS_CAPTURE_GAP);
	check_unit(&o->ledger.turns, 1, 0, 0, LOSS_CAPTURE_GAP, 1);
	check_unit(&o->ledger.bytes, 100, 0, 0, LOSS_CAPTURE_GAP, 100);
	one_out(o, true);
	hold_jump(&o->hold, &o->store);
	hold_skip(&o->hold, o->hold.end + 77, o->seen, true, 1, o->now_us);
	session_move_to(&o->s, o->hold.end);
	session_rejoin(&o->s, o->hold.end, o->now_us);
	one_client(o, 100, 500);
	one_again(o, o->hold.end - 100 - ISS);
	assert_string_equal(one_out(o, false), "PA");
	one_target(o, 0, o->hold.end - ISS, 9);
	check_unit(&o->ledger.turns, 2, 0, 0, LOSS_CAPTURE_GAP, 1);
	check_unit(&o->ledger.bytes, 200, 0, 0, LOSS_CAPTURE_GAP, 100);
	assert_int_equal(o->ledger.reopened, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, one_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_delivered_and_answered),
		TEST(test_behind_a_turn_that_waits),
		TEST(test_what_came_before_is_no_answer),
		TEST(test_answered_before_it_was_delivered),
		TEST(test_unanswered_when_the_next_one_goes),
		TEST(test_let_go_rather_than_given_up),
		TEST(test_an_end_after_a_long_wait),
		TEST(test_a_half_close_after_a_long_wait),
		TEST(test_keep_alives_are_silence),
		TEST(test_the_gate_waits_for_as_many_bytes),
		TEST(test_the_gate_waits_for_the_ack),
		TEST(test_no_surplus),
		TEST(test_both_sides_speaking),
		TEST(test_a_repeated_piece_is_not_the_end),
		TEST(test_a_slow_target_is_waited_for),
		TEST(test_a_shorter_answer),
		TEST(test_a_turn_goes_as_it_comes),
		TEST(test_a_turn_that_grows_after_its_answer),
		TEST(test_the_server_speaks_first),
		TEST(test_the_server_speaks_first_on_the_next_one),
		TEST(test_no_greeting_but_a_fin),
		TEST(test_a_turn_thrown_away_is_sent_again),
		TEST(test_a_reset_after_the_answer_loses_nothing),
		TEST(test_a_reset_between_two_turns),
		TEST(test_a_reset_before_the_last_bytes),
		TEST(test_sent_again_twice_at_most),
		TEST(test_not_sent_again_when_forbidden),
		TEST(test_a_partly_answered_turn_is_not_sent_again),
		TEST(test_too_large_to_be_kept),
		TEST(test_opened_again_for_the_next_turn),
		TEST(test_opened_again_at_once),
		TEST(test_both_close),
		TEST(test_a_connection_without_a_byte),
		TEST(test_a_fin_that_is_repeated),
		TEST(test_refused),
		TEST(test_refused_and_just_asked_again),
		TEST(test_refused_and_then_taken),
		TEST(test_refused_and_then_silence),
		TEST(test_nothing_was_lost_before_the_end),
		TEST(test_silence),
		TEST(test_a_quiet_connection_stays),
		TEST(test_all_delivered_but_not_closed),
		TEST(test_the_gate_while_paused),
		TEST(test_a_pause_and_then_silence),
		TEST(test_silence_and_then_a_pause),
		TEST(test_slow_while_paused),
		TEST(test_time_wait_while_paused),
		TEST(test_tls_copies_nothing_more),
		TEST(test_not_to_be_opened),
		TEST(test_gap_and_rejoin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
