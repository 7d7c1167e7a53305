// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * The current turn is the one that was let go last. It is in flight until it
 * is delivered to its last byte and the target has answered something; then
 * it is answered. When the next turn is let go first, or the connection ends,
 * a delivered one is unanswered and any other lost. `accounted` is the first
 * byte without a place: bytes follow their turn, but a lost turn's bytes that
 * the target did acknowledge count as delivered.
 *
 * A turn may grow after it was answered (the client writes on without having
 * seen an answer); its later bytes then get the same place as they are
 * acknowledged.
 */
#include "core/session_internal.h"

#include "core/check.h"
#include "core/gate.h"
#include "core/seq.h"

#define RESENDS_MAX    2
#define RESEND_WAIT_US 250000u /* before the second time */

static void place_bytes(struct session *s, struct ledger_unit *bytes,
			uint64_t *place, uint32_t upto)
{
	uint32_t n = upto - s->accounted;

	ASSERT(seq_geq(upto, s->accounted));
	bytes->in_flight -= n;
	*place += n;
	s->accounted = upto;
}

static void place_turn(struct ledger_unit *turns, uint64_t *place)
{
	turns->in_flight--;
	*place += 1;
}

uint32_t session_got_bytes(const struct session *s)
{
	if (!s->sent && s->begun)
		return 0;
	return s->target.rcv_nxt - s->gate_base - (s->peer_closed ? 1 : 0);
}

static bool delivered(const struct session *s)
{
	return s->state >= SESSION_ESTABLISHED &&
	       seq_geq(s->target.snd_una, s->turn_end);
}

/* Acknowledged bytes, without our FIN. */
static uint32_t acked_bytes_end(const struct session *s)
{
	uint32_t end = seq_min(s->target.snd_una, s->hold->end);

	return s->state < SESSION_ESTABLISHED ? s->accounted
					      : seq_max(end, s->accounted);
}

void session_settle_turn(struct session *s, const struct session_env *env)
{
	struct ledger *l = env->ledger;

	if (!s->begun)
		return;
	if (!s->answered && s->sent && delivered(s) &&
	    session_got_bytes(s) > 0) {
		place_turn(&l->turns, &l->turns.answered);
		session_trace(env, TRACE_ANSWERED, 0, s->turn_start);
		s->answered = true;
		s->any_answer = true;
		s->may_resend = false;
	}
	if (s->answered)
		place_bytes(s, &l->bytes, &l->bytes.answered,
			    seq_min(acked_bytes_end(s), s->turn_end));
	else if (s->may_resend &&
		 s->target.snd_una - s->turn_start > SESSION_RESEND_MAX)
		s->may_resend = false;
}

static void note_loss(struct session *s, enum loss why)
{
	if (s->conn_loss == LOSS_NONE)
		s->conn_loss = (uint8_t)why;
}

static void lose_one(const struct session_env *env, enum loss why,
		     uint32_t start)
{
	struct ledger *l = env->ledger;

	place_turn(&l->turns, &l->turns.lost[why]);
	session_trace(env, TRACE_LOST, why, start);
}

static void end_current_turn(struct session *s, const struct session_env *env,
			     enum loss why)
{
	struct ledger *l = env->ledger;

	session_settle_turn(s, env);
	if (!s->begun || s->answered)
		return;
	place_bytes(s, &l->bytes, &l->bytes.unanswered,
		    seq_min(acked_bytes_end(s), s->turn_end));
	if (delivered(s)) {
		place_turn(&l->turns, &l->turns.unanswered);
		session_trace(env, TRACE_UNANSWERED, 0, s->turn_start);
	} else {
		lose_one(env, why, s->turn_start);
		note_loss(s, why);
	}
	s->answered = true;
}

void session_lose_rest(struct session *s, const struct session_env *env,
		       enum loss why)
{
	struct ledger *l = env->ledger;
	const struct hold_turn *turn;

	end_current_turn(s, env, why);
	while ((turn = hold_turn_after(s->hold, env->store, s->turn_start))) {
		lose_one(env, why, turn->start);
		s->turn_start = turn->start;
		s->begun = s->answered = true;
	}
	s->turn_end = s->hold->end;
	if (s->accounted != s->hold->end) {
		place_bytes(s, &l->bytes, &l->bytes.lost[why], s->hold->end);
		note_loss(s, why);
	}
	s->loss = (uint8_t)why;
	s->may_resend = false;
}

/* What the current turn has left undelivered is lost. */
static void lose_bytes_before(struct session *s, const struct session_env *env,
			      uint32_t seq, enum loss why)
{
	if (s->accounted == seq)
		return;
	place_bytes(s, &env->ledger->bytes, &env->ledger->bytes.lost[why], seq);
	note_loss(s, why);
}

/* Loses one turn, which is the current one or becomes it. */
static void lose_turn(struct session *s, const struct session_env *env,
		      const struct hold_turn *turn, enum loss why)
{
	struct ledger *l = env->ledger;

	end_current_turn(s, env, why);
	if (turn) {
		lose_one(env, why, turn->start);
		s->turn_start = turn->start;
	}
	turn = hold_turn_after(s->hold, env->store, s->turn_start);
	s->turn_end = turn ? turn->start : s->hold->end;
	place_bytes(s, &l->bytes, &l->bytes.lost[why], s->turn_end);
	s->begun = s->answered = true;
	s->may_resend = false;
	s->loss = (uint8_t)why;
	note_loss(s, why);
}

/* What the client did next: a turn, or its end. */
struct step {
	uint32_t seq, need_bytes, ack, gap_us;
	uint64_t at_us;
};

/* Since the connection began the target has sent as much as the client had
 * seen then. */
static bool had_all(const struct session *s, uint32_t ack)
{
	uint32_t seen = ack - s->ack_base;
	uint32_t got = s->target.rcv_nxt - s->target.irs - 1;

	return s->begun && seq_geq(got, seen);
}

/* Since the last response, or since there is a step to be held; and not longer
 * than until the session would be given up, with what is held. */
static uint64_t hold_until_us(const struct session *s,
			      const struct session_params *params)
{
	uint64_t give_up_us = session_give_up_us(s, params);

	if (params->max_hold_us > UINT64_MAX - s->progress_us)
		return give_up_us;
	return earlier(s->progress_us + params->max_hold_us, give_up_us);
}

static enum gate_verdict ask_gate(struct session *s,
				  const struct session_env *env,
				  const struct step *next, uint64_t now_us)
{
	struct gate_view view = {
		.acked = delivered(s),
		.finished = s->peer_closed,
		.pushed = s->pushed,
		.paused = s->paused,
		.need_bytes = next->need_bytes,
		.got_bytes = session_got_bytes(s),
		.had_all = had_all(s, next->ack),
		.slowest_us = s->slowest_us,
		.srtt_us = s->rtt.srtt_us,
		.gap_us = next->gap_us,
		.quiet_since_us = later(s->heard_us, s->acked_us),
		.hold_until_us = hold_until_us(s, env->params),
	};
	enum gate_verdict verdict = gate_ask(&view, now_us, &s->gate_at_us);

	if (verdict == GATE_EARLY_QUIET)
		env->ledger->early_quiet++;
	else if (verdict == GATE_EARLY_HOLD)
		env->ledger->early_hold++;
	if (env->trace)
		trace_gate(env->trace, &view, verdict, next->seq);
	return verdict;
}

static enum gate_verdict ask(struct session *s, const struct session_env *env,
			     const struct step *next, uint64_t now_us)
{
	if (now_us < next->at_us + s->spread_us) {
		s->gate_at_us = next->at_us + s->spread_us;
		session_trace(env, TRACE_HELD, TRACE_HOLD_SPREAD, next->seq);
		return GATE_SHUT;
	}
	/* Behind a turn that has just been let go there is nothing to ask. */
	if (!delivered(s) && !env->trace) {
		s->gate_at_us = UINT64_MAX;
		return GATE_SHUT;
	}
	return ask_gate(s, env, next, now_us);
}

/* The first turn of a connection that was joined or reopened in the middle
 * waits for nothing: what the client had seen came on another connection. */
static uint32_t need_of(const struct session *s, const struct hold_turn *turn)
{
	return !s->begun && !s->whole ? 0 : turn->need_bytes;
}

static void begin_turn(struct session *s, const struct session_env *env,
		       const struct hold_turn *turn, uint64_t now_us)
{
	end_current_turn(s, env, LOSS_TARGET_CLOSED);
	if (!s->begun && need_of(s, turn) > 0)
		s->greeted = true;
	if (!s->begun)
		s->ack_base = turn->ack - need_of(s, turn);
	s->turn_start = turn->start;
	s->begun = true;
	s->sent = s->answered = false;
	s->may_resend =
		env->params->resend && !s->greeted &&
		(s->resent_at != turn->start || s->resends < RESENDS_MAX);
	s->progress_us = now_us;
}

/* The next turn after the current one, whose end is set by the way. */
static const struct hold_turn *next_turn(struct session *s,
					 const struct session_env *env)
{
	const struct hold_turn *next =
		hold_turn_after(s->hold, env->store, s->turn_start);

	s->turn_end = next ? next->start : s->hold->end;
	return next;
}

static void advance_turns(struct session *s, const struct session_env *env,
			  uint64_t now_us)
{
	s->gate_at_us = UINT64_MAX;
	for (;;) {
		const struct hold_turn *next = next_turn(s, env);
		struct step step;

		session_settle_turn(s, env);
		if (!next)
			return;
		step = (struct step){
			.seq = next->start,
			.need_bytes = need_of(s, next),
			.ack = next->ack,
			.gap_us = next->gap_us,
			.at_us = next->at_us,
		};
		if (ask(s, env, &step, now_us) == GATE_SHUT)
			return;
		begin_turn(s, env, next, now_us);
	}
}

/* The client's own end, once all its turns have gone. */
static void advance_close(struct session *s, const struct session_env *env,
			  uint64_t now_us)
{
	enum hold_close how = hold_closed(s->hold);
	struct step step;

	if (how == HOLD_OPEN || s->fin_ready || s->turn_end != s->hold->end)
		return;
	step = (struct step){
		.seq = s->hold->end,
		.need_bytes = hold_close_need(s->hold),
		.ack = s->hold->last_ack + hold_close_need(s->hold),
		.gap_us = s->hold->close_gap_us,
		.at_us = s->hold->last_us,
	};
	if (how == HOLD_FIN && step.need_bytes == 0) {
		s->fin_ready = true; /* rides with the turn's last bytes */
		return;
	}
	if (ask(s, env, &step, now_us) == GATE_SHUT)
		return;
	if (how == HOLD_FIN) {
		s->fin_ready = true;
		s->progress_us = now_us;
		return;
	}
	session_send_rst(s);
	session_finish(s, env, SESSION_DONE, now_us);
}

/* The target has closed; the turn at seq needs another connection. */
static void open_another(struct session *s, const struct session_env *env,
			 uint32_t seq, uint64_t now_us)
{
	env->ledger->reopened++;
	session_trace(env, TRACE_REOPENED, 0, seq);
	session_reopen(s, seq, now_us);
}

/* What the current turn still lacks is lost, and the next one needs another
 * connection. */
static void leave_for(struct session *s, const struct session_env *env,
		      const struct hold_turn *next, uint64_t now_us)
{
	end_current_turn(s, env, LOSS_TARGET_CLOSED);
	lose_bytes_before(s, env, next->start, LOSS_TARGET_CLOSED);
	open_another(s, env, next->start, now_us);
}

static void advance_close_wait(struct session *s, const struct session_env *env,
			       uint64_t now_us)
{
	const struct hold_turn *next = next_turn(s, env);

	session_settle_turn(s, env);
	if (next)
		leave_for(s, env, next, now_us);
	else
		advance_close(s, env, now_us);
}

/* No connection: what belongs to a turn already lost is lost as well. */
static void advance_idle(struct session *s, const struct session_env *env,
			 uint64_t now_us)
{
	const struct hold_turn *next = next_turn(s, env);

	lose_bytes_before(s, env, s->turn_end, (enum loss)s->loss);
	if (next && s->barred) {
		session_lose_rest(s, env, (enum loss)s->loss);
		next = NULL;
	}
	if (next)
		session_reopen(s, next->start, now_us);
	else if (hold_closed(s->hold) != HOLD_OPEN)
		session_finish(s, env, SESSION_DONE, now_us);
}

void session_advance(struct session *s, const struct session_env *env,
		     uint64_t now_us)
{
	switch ((enum session_state)s->state) {
	case SESSION_IDLE:
		advance_idle(s, env, now_us);
		return;
	case SESSION_ESTABLISHED:
		advance_turns(s, env, now_us);
		advance_close(s, env, now_us);
		return;
	case SESSION_CLOSE_WAIT:
		advance_close_wait(s, env, now_us);
		return;
	case SESSION_FIN_WAIT_1:
	case SESSION_FIN_WAIT_2:
	case SESSION_CLOSING:
	case SESSION_LAST_ACK:
		session_settle_turn(s, env);
		return;
	case SESSION_WAITING:
	case SESSION_SYN_SENT:
	case SESSION_TIME_WAIT:
	case SESSION_DONE:
		return;
	}
}

bool session_is_behind(const struct session *s,
		       const struct hold_growth *growth)
{
	return s->state == SESSION_ESTABLISHED && growth->bytes > 0 &&
	       s->turn_end != s->hold->end - growth->bytes;
}

void session_on_growth(struct session *s, const struct session_env *env,
		       const struct hold_growth *growth, uint64_t now_us)
{
	bool had_all = s->turn_end == s->hold->end - growth->bytes;

	if (s->state == SESSION_DONE || s->state == SESSION_TIME_WAIT)
		return;
	/* what is waited for begins here, be it with the client's end */
	if (had_all && s->target.snd_una == s->snd_max &&
	    s->state >= SESSION_ESTABLISHED)
		s->progress_us = now_us;
	session_advance(s, env, now_us);
}

void session_on_gap(struct session *s, const struct session_env *env,
		    enum loss why)
{
	if (s->state == SESSION_DONE || s->state == SESSION_TIME_WAIT)
		return;
	/* what it is barred for would have lost the rest anyway */
	session_fail(s, env, s->barred ? (enum loss)s->loss : why);
}

/* By a reset twice: what is being restarted resets its connections, and then
 * those that had got no further than its backlog. */
static bool resendable(const struct session *s, bool reset)
{
	return s->begun && !s->answered && s->may_resend &&
	       session_got_bytes(s) == 0 &&
	       (reset || s->resent_at != s->turn_start);
}

static void send_again(struct session *s, const struct session_env *env,
		       uint64_t now_us)
{
	bool again = s->resent_at == s->turn_start;

	s->resends = again ? s->resends + 1 : 1;
	s->resent_at = s->turn_start;
	env->ledger->turns_resent++;
	open_another(s, env, s->turn_start, now_us);
	if (again)
		s->retry_at_us = now_us + RESEND_WAIT_US;
}

void session_on_target_closed(struct session *s, const struct session_env *env,
			      bool reset, uint64_t now_us)
{
	const struct hold_turn *next = next_turn(s, env);

	session_settle_turn(s, env);
	if (resendable(s, reset)) {
		send_again(s, env, now_us);
		return;
	}
	s->may_resend = false;
	/* opened for this turn, and closed before it could be sent */
	if (next && !s->begun && s->for_turn) {
		lose_turn(s, env, next, LOSS_TARGET_CLOSED);
		next = next_turn(s, env);
		if (!next && !reset) /* what was lost may not go any more */
			session_fail(s, env, LOSS_TARGET_CLOSED);
	}
	if (next)
		leave_for(s, env, next, now_us);
}
