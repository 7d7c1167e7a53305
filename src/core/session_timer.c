// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A session has four deadlines: retransmission (or window probe), delayed ACK,
 * gate, and the time after which a silent target is given up; their minimum is
 * what the engine's timer is set to. Deadlines may lie in the past while the
 * links are down: nothing is sent then, so nothing is timed.
 */
#include "core/session_internal.h"

#include "core/seq.h"

/* Is there anything that the target owes us? */
static bool waits_for_target(const struct session *s)
{
	switch ((enum session_state)s->state) {
	case SESSION_WAITING:
	case SESSION_SYN_SENT:
	case SESSION_FIN_WAIT_1:
	case SESSION_FIN_WAIT_2:
	case SESSION_CLOSING:
	case SESSION_LAST_ACK:
		return true;
	case SESSION_ESTABLISHED:
	case SESSION_CLOSE_WAIT:
		return session_in_flight(s) || s->turn_end != s->hold->end ||
		       hold_closed(s->hold) != HOLD_OPEN ||
		       (s->begun && !s->sent);
	case SESSION_IDLE:
	case SESSION_TIME_WAIT:
	case SESSION_DONE:
		return false;
	}
	return false;
}

static uint64_t time_wait_us(const struct session *s,
			     const struct session_params *params)
{
	if (s->paused && s->ack_due) /* the last ACK cannot go yet */
		return later(params->timeout_us, SESSION_TIME_WAIT_US);
	return s->fin_again ? SESSION_LOSSY_WAIT_US : SESSION_TIME_WAIT_US;
}

uint64_t session_give_up_us(const struct session *s,
			    const struct session_params *params)
{
	if (s->state == SESSION_TIME_WAIT)
		return s->progress_us + time_wait_us(s, params);
	if (!waits_for_target(s) ||
	    params->timeout_us > UINT64_MAX - s->progress_us)
		return UINT64_MAX;
	return s->progress_us + params->timeout_us;
}

uint64_t session_deadline_us(const struct session *s,
			     const struct session_params *params)
{
	uint64_t at = session_give_up_us(s, params);

	if (s->state == SESSION_WAITING)
		return at;
	if (!s->paused)
		at = earlier(at, s->rto_at_us);
	at = earlier(at, s->ack_at_us);
	return earlier(at, s->gate_at_us);
}

/* A target that only waits to be asked again must not be given up meanwhile:
 * that happens within half of the time that it has for an answer. */
static void back_off(struct session *s, const struct session_params *params)
{
	if (rtt_rto_us(&s->rtt) <= params->timeout_us / 4)
		rtt_back_off(&s->rtt);
}

static void on_rto(struct session *s, const struct session_params *params)
{
	uint32_t flight = s->snd_max - s->target.snd_una;

	s->rto_at_us = UINT64_MAX;
	s->timing = false;
	back_off(s, params);
	if (s->state == SESSION_SYN_SENT) {
		s->syn_due = true;
		return;
	}
	s->dup_acks = 0;
	s->recover = s->target.snd_una;
	s->target.snd_nxt = s->target.snd_una;
	if (s->target.snd_wnd == 0) {
		s->probe_due = true;
		return;
	}
	s->ssthresh =
		flight / 2 > 2u * s->mss_bytes ? flight / 2 : 2u * s->mss_bytes;
	s->cwnd = s->mss_bytes;
}

static void give_up(struct session *s, const struct session_env *env,
		    uint64_t now_us)
{
	if (s->state == SESSION_TIME_WAIT) {
		session_change_state(s, SESSION_DONE);
		return;
	}
	if (s->fin_sent && seq_geq(s->target.snd_una, s->hold->end)) {
		session_send_rst(s); /* all delivered, it only will not close */
		session_finish(s, env, SESSION_DONE, now_us);
		return;
	}
	session_fail(s, env, s->tries > 0 ? LOSS_REFUSED : LOSS_TIMEOUT);
	session_advance(s, env, now_us);
}

void session_defer_rto(struct session *s, uint64_t now_us)
{
	if (s->rto_at_us <= now_us)
		s->rto_at_us = now_us + rtt_rto_us(&s->rtt);
}

void session_on_timer(struct session *s, const struct session_env *env,
		      uint64_t now_us)
{
	if (s->ack_at_us <= now_us)
		session_ack_on_timer(s, now_us);
	if (s->gate_at_us <= now_us) {
		s->gate_at_us = UINT64_MAX;
		session_advance(s, env, now_us);
	}
	if (s->rto_at_us <= now_us && !s->paused)
		on_rto(s, env->params);
	if (session_give_up_us(s, env->params) <= now_us)
		give_up(s, env, now_us);
}
