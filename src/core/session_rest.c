// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * At rest every byte and turn has its place in the ledger, every deadline is
 * "never", nothing is due, and what was sent is acknowledged, or the connection
 * that it was sent on is gone (IDLE). So the many numbers of a session are all
 * one of two: the end of the hold, and snd_max.
 *
 * Three things are not brought back as they were, since nobody can tell: where
 * the last turn began (before the end: only that matters to the next one),
 * which of response and ACK came last, and how long ago there was progress.
 * What wakes a session is the beginning of something to wait for.
 */
#include "core/session_rest.h"

#include "core/session_internal.h"

static bool may_rest(const struct session *s)
{
	switch ((enum session_state)s->state) {
	case SESSION_IDLE:
		return true;
	case SESSION_ESTABLISHED:
	case SESSION_CLOSE_WAIT:
		return s->target.snd_una == s->snd_max &&
		       s->target.snd_nxt == s->snd_max;
	case SESSION_WAITING:
	case SESSION_SYN_SENT:
	case SESSION_FIN_WAIT_1:
	case SESSION_FIN_WAIT_2:
	case SESSION_CLOSING:
	case SESSION_LAST_ACK:
	case SESSION_TIME_WAIT:
	case SESSION_DONE:
		return false;
	}
	return false;
}

static bool is_settled(const struct session *s)
{
	return s->accounted == s->hold->end && s->turn_end == s->hold->end &&
	       (!s->begun || s->answered) && !s->may_resend;
}

static bool anything_due(const struct session *s)
{
	return s->rst_left > 0 || s->syn_due || s->ack_due || s->probe_due ||
	       s->rexmit_due || s->fin_ready || s->fin_sent;
}

bool session_put_to_rest(const struct session *s,
			 const struct session_params *params,
			 struct session_rest *rest)
{
	if (!may_rest(s) || !is_settled(s) || anything_due(s) ||
	    session_deadline_us(s, params) != UINT64_MAX)
		return false;
	*rest = (struct session_rest){
		.quiet_us = later(s->heard_us, s->acked_us),
		.end = s->accounted,
		.iss = s->target.iss,
		.irs = s->target.irs,
		.rcv_nxt = s->target.rcv_nxt,
		.snd_max = s->snd_max,
		.delta = s->delta,
		.gate_base = s->gate_base,
		.ack_base = s->ack_base,
		.snd_wnd = s->target.snd_wnd,
		.cwnd = s->cwnd,
		.ssthresh = s->ssthresh,
		.srtt_us = s->rtt.srtt_us,
		.rttvar_us = s->rtt.rttvar_us,
		.slowest_us = s->slowest_us < UINT32_MAX
				      ? (uint32_t)s->slowest_us
				      : UINT32_MAX,
		.mss_bytes = s->mss_bytes,
		.snd_wscale = s->target.snd_wscale,
		.spread_us = s->spread_us,
		.state = s->state,
		.loss = s->loss,
		.conn_loss = s->conn_loss,
		.ack_segs = s->ack_segs,
		.paused_segs = s->paused_segs,
		.ack_proven = s->ack_proven,
		.begun = s->begun,
		.sent = s->sent,
		.any_answer = s->any_answer,
		.pushed = s->pushed,
		.peer_closed = s->peer_closed,
		.whole = s->whole,
		.for_turn = s->for_turn,
		.greeted = s->greeted,
		.barred = s->barred,
		.paused = s->paused,
	};
	return true;
}

void session_wake(struct session *s, const struct session_rest *rest,
		  struct hold *hold, uint64_t now_us)
{
	*s = (struct session){
		.hold = hold,
		.target =
			{
				.iss = rest->iss,
				.irs = rest->irs,
				.snd_una = rest->snd_max,
				.snd_nxt = rest->snd_max,
				.rcv_nxt = rest->rcv_nxt,
				.snd_wnd = rest->snd_wnd,
				.snd_wscale = rest->snd_wscale,
			},
		.delta = rest->delta,
		.snd_max = rest->snd_max,
		.open_seq = rest->iss + 1,
		.turn_start = rest->end - 1,
		.turn_end = rest->end,
		.accounted = rest->end,
		.gate_base = rest->gate_base,
		.ack_base = rest->ack_base,
		.resent_at = rest->end - 1,
		.cwnd = rest->cwnd,
		.ssthresh = rest->ssthresh,
		.recover = rest->snd_max,
		.rtt = {.srtt_us = rest->srtt_us, .rttvar_us = rest->rttvar_us},
		.rto_at_us = UINT64_MAX,
		.ack_at_us = UINT64_MAX,
		.gate_at_us = UINT64_MAX,
		.slowest_us = rest->slowest_us,
		.heard_us = rest->quiet_us,
		.acked_us = rest->quiet_us,
		.progress_us = now_us,
		.spread_us = rest->spread_us,
		.mss_bytes = rest->mss_bytes,
		.state = rest->state,
		.loss = rest->loss,
		.conn_loss = rest->conn_loss,
		.ack_segs = rest->ack_segs,
		.paused_segs = rest->paused_segs,
		.ack_proven = rest->ack_proven,
		.begun = rest->begun,
		.sent = rest->sent,
		.answered = rest->begun,
		.any_answer = rest->any_answer,
		.pushed = rest->pushed,
		.peer_closed = rest->peer_closed,
		.whole = rest->whole,
		.for_turn = rest->for_turn,
		.greeted = rest->greeted,
		.barred = rest->barred,
		.paused = rest->paused,
	};
}

void session_rest_set_paused(struct session_rest *rest, bool paused,
			     uint64_t now_us)
{
	if (rest->paused && !paused)
		rest->quiet_us = now_us; /* silence begins to count now */
	rest->paused = paused;
}
