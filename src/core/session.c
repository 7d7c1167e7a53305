// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A session lives as long as its captured connection. Within that time it may
 * have several connections to the target, one after the other: the target may
 * close one that the client goes on with, or one may fail. IDLE is the state
 * between two of them: the next turn of the client opens the next one.
 *
 * Everything about what was sent is in the client's own sequence numbers;
 * `delta` is added when a segment is written and taken off when a response
 * comes in (session_response.c, session_output.c). Each new connection gets an
 * iss above everything that the tuple has used before.
 *
 * Places in the ledger are given by session_turns.c, but for the connection
 * itself, which gets its own here, in session_finish().
 */
#include "core/session_internal.h"

#include "core/check.h"
#include "core/seq.h"

#define RETRY_MIN_US 250000u
#define RETRY_MAX_US 4000000u

static void begin_at(struct session *s, uint32_t seq)
{
	s->open_seq = seq;
	s->turn_start = seq - 1;
	s->turn_end = seq;
	s->begun = s->sent = s->answered = false;
	s->fin_ready = s->fin_sent = false;
	s->target.iss = seq - 1;
	s->target.snd_una = s->target.snd_nxt = seq - 1;
	s->snd_max = seq - 1;
	s->accounted = seq;
}

void session_init(struct session *s, struct hold *hold, uint32_t seq,
		  bool whole, uint64_t now_us)
{
	*s = (struct session){
		.hold = hold,
		.loss = LOSS_NONE,
		.conn_loss = LOSS_NONE,
		.state = SESSION_WAITING,
		.resent_at = seq - 1,
		.retry_at_us = now_us,
		.whole = whole,
		.for_turn = !whole,
		.rto_at_us = UINT64_MAX,
		.ack_at_us = UINT64_MAX,
		.gate_at_us = UINT64_MAX,
		.progress_us = now_us,
	};
	begin_at(s, seq);
}

void session_spread(struct session *s, uint32_t spread_us)
{
	s->spread_us = spread_us;
	s->retry_at_us += spread_us;
}

void session_change_state(struct session *s, enum session_state state)
{
	s->state = (uint8_t)state;
}

uint32_t session_own_iss(const struct session *s)
{
	return s->open_seq - 1 + s->delta;
}

uint32_t session_wire_snd_nxt(const struct session *s)
{
	return s->snd_max + s->delta;
}

bool session_wants_open(const struct session *s, uint64_t now_us)
{
	return s->state == SESSION_WAITING && s->rst_left == 0 &&
	       now_us >= s->retry_at_us;
}

void session_open(struct session *s, uint32_t iss, uint64_t now_us)
{
	ASSERT(s->state == SESSION_WAITING);
	s->delta = iss - s->target.iss;
	s->target.snd_una = s->target.snd_nxt = s->target.iss;
	s->snd_max = s->target.iss;
	s->target.irs = s->target.rcv_nxt = 0; /* not known yet */
	s->peer_closed = s->pushed = s->timing = false;
	s->syn_retried = s->rexmit_due = s->probe_due = false;
	session_ack_init(s);
	s->dup_acks = 0;
	s->gate_at_us = UINT64_MAX;
	rtt_init(&s->rtt);
	s->syn_due = true;
	s->heard_us = now_us;
	session_change_state(s, SESSION_SYN_SENT);
}

void session_send_rst(struct session *s)
{
	if (!session_is_open(s) || s->snd_max == s->target.iss)
		return; /* or its SYN has never been sent */
	/* The target takes it only at its own rcv_nxt, which is one of these
	 * two unless segments are missing in between. */
	s->rst_seq = s->snd_max + s->delta;
	s->rst_seq2 = s->target.snd_una + s->delta;
	if (s->state == SESSION_SYN_SENT)
		s->rst_seq = s->rst_seq2 = s->open_seq + s->delta;
	s->rst_ack = s->target.rcv_nxt;
	s->rst_left = s->rst_seq == s->rst_seq2 ? 1 : 2;
}

static void stop_timers(struct session *s)
{
	s->rto_at_us = s->ack_at_us = s->gate_at_us = UINT64_MAX;
	s->syn_due = s->ack_due = s->rexmit_due = s->probe_due = false;
}

static void go_idle(struct session *s, const struct session_env *env,
		    enum loss why)
{
	session_lose_rest(s, env, why);
	stop_timers(s);
	s->tries = 0; /* the next turn is another matter */
	session_change_state(s, SESSION_IDLE);
}

void session_dropped(struct session *s, const struct session_env *env)
{
	s->rst_left = 0; /* nothing may be sent on it, not even an RST */
	go_idle(s, env, LOSS_TARGET_CLOSED);
}

void session_fail(struct session *s, const struct session_env *env,
		  enum loss why)
{
	session_send_rst(s);
	go_idle(s, env, why);
	if (s->conn_loss == LOSS_NONE)
		s->conn_loss = (uint8_t)why;
}

void session_bar(struct session *s, const struct session_env *env,
		 enum loss why, uint64_t now_us)
{
	if (s->state == SESSION_TIME_WAIT || s->state == SESSION_DONE)
		return;
	session_fail(s, env, why);
	s->barred = true;
	session_advance(s, env, now_us);
}

void session_give_up(struct session *s, const struct session_env *env,
		     enum loss why, uint64_t now_us)
{
	if (s->state == SESSION_TIME_WAIT || s->state == SESSION_DONE)
		return;
	session_fail(s, env, why);
	session_advance(s, env, now_us);
}

static void account_connection(struct session *s, struct ledger_unit *conns)
{
	conns->in_flight--;
	if (s->conn_loss != LOSS_NONE)
		conns->lost[s->conn_loss]++;
	else if (s->any_answer)
		conns->answered++;
	else
		conns->unanswered++;
}

void session_finish(struct session *s, const struct session_env *env,
		    enum session_state state, uint64_t now_us)
{
	ASSERT(state == SESSION_TIME_WAIT || state == SESSION_DONE);
	session_lose_rest(s, env, LOSS_TARGET_CLOSED);
	account_connection(s, &env->ledger->conns);
	session_trace(env, TRACE_ENDED, s->conn_loss, s->hold->end);
	s->rto_at_us = s->gate_at_us = UINT64_MAX;
	s->progress_us = now_us;
	session_change_state(s, state);
}

void session_end(struct session *s, const struct session_env *env,
		 enum loss why, uint64_t now_us)
{
	if (s->state == SESSION_DONE)
		return;
	if (s->state == SESSION_TIME_WAIT) {
		session_change_state(s, SESSION_DONE);
		return;
	}
	session_send_rst(s);
	session_lose_rest(s, env, why);
	if (s->conn_loss == LOSS_NONE &&
	    (s->state == SESSION_WAITING || s->state == SESSION_SYN_SENT))
		s->conn_loss = (uint8_t)why;
	stop_timers(s);
	session_finish(s, env, SESSION_DONE, now_us);
}

void session_reopen(struct session *s, uint32_t seq, uint64_t now_us)
{
	uint32_t wire = session_wire_snd_nxt(s);

	session_send_rst(s);
	stop_timers(s);
	s->whole = s->whole && seq == s->open_seq;
	s->for_turn = true;
	begin_at(s, seq);
	s->retry_at_us = now_us;
	/* above everything that this tuple has sent */
	s->delta = wire + 1 - s->target.iss;
	s->progress_us = now_us;
	session_change_state(s, SESSION_WAITING);
}

void session_move_to(struct session *s, uint32_t seq)
{
	s->accounted = s->turn_end = seq;
	s->turn_start = seq - 1; /* a turn may begin at seq */
	s->begun = s->answered = true;
}

void session_rejoin(struct session *s, uint32_t seq, uint64_t now_us)
{
	if (s->barred || s->state != SESSION_IDLE)
		return;
	session_reopen(s, seq, now_us);
}

void session_retry_open(struct session *s, uint64_t at_us)
{
	stop_timers(s);
	s->retry_at_us = at_us;
	s->delta++; /* the next SYN must be a new one */
	session_change_state(s, SESSION_WAITING);
}

void session_refused(struct session *s, uint64_t now_us)
{
	uint64_t wait_us = (uint64_t)RETRY_MIN_US << s->tries;

	if (s->tries < 8)
		s->tries++;
	session_retry_open(
		s, now_us + (wait_us < RETRY_MAX_US ? wait_us : RETRY_MAX_US));
}

void session_set_paused(struct session *s, bool paused, uint64_t now_us)
{
	/* an outage and the target's silence before it are two things */
	if (s->paused != paused &&
	    (s->state != SESSION_TIME_WAIT || s->ack_due))
		s->progress_us = now_us;
	if (s->paused && !paused) {
		/* silence begins to count now */
		s->heard_us = s->sent_us = now_us;
		if (session_in_flight(s)) {
			/* what was sent meanwhile went nowhere: say it again */
			rtt_init(&s->rtt);
			s->rto_at_us = now_us;
		}
		if (s->state == SESSION_ESTABLISHED ||
		    s->state == SESSION_CLOSE_WAIT)
			s->gate_at_us = now_us; /* nobody asked it meanwhile */
	}
	s->paused = paused;
}

uint32_t session_keeps_from(const struct session *s)
{
	if (s->may_resend || s->state < SESSION_ESTABLISHED)
		return s->accounted;
	return seq_max(s->accounted, seq_min(s->target.snd_una, s->hold->end));
}

uint32_t session_turns_done(const struct session *s)
{
	return s->may_resend ? s->turn_start - 1 : s->turn_start;
}
