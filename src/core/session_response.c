// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * What the target says, as headers only: nobody reads its bytes, so data is
 * taken in whatever order it comes, and bytes whose header was lost on the way
 * to us count as received (rcv_nxt only ever goes forward). Acknowledgements
 * are brought into the client's numbers first. A response is believed only if
 * its numbers fit the connection: those of an earlier connection on the same
 * tuple may still be under way.
 */
#include "core/session_internal.h"

#include "core/seq.h"

/* Further off than this cannot be this connection's. */
#define PLAUSIBLE_BYTES (1 << 28)

static bool plausible(uint32_t a, uint32_t b)
{
	int32_t d = seq_diff(a, b);

	return d > -PLAUSIBLE_BYTES && d < PLAUSIBLE_BYTES;
}

static void establish(struct session *s, const struct session_env *env,
		      const struct wire_response *resp, uint64_t now_us)
{
	uint16_t mss = resp->opts.mss_bytes ? resp->opts.mss_bytes : 536;

	s->target.irs = resp->seq;
	s->target.rcv_nxt = resp->seq + 1;
	s->target.snd_una = s->open_seq;
	s->target.snd_nxt = s->open_seq;
	s->target.snd_wnd = resp->wnd;
	s->target.snd_wscale = resp->opts.has_wscale ? resp->opts.wscale : 0;
	s->mss_bytes =
		mss < env->params->mss_bytes ? mss : env->params->mss_bytes;
	s->cwnd = 10u * s->mss_bytes;
	s->ssthresh = UINT32_MAX / 2;
	s->recover = s->open_seq;
	s->gate_base = s->target.rcv_nxt;
	s->progress_us = now_us;
	s->tries = 0;
	s->ack_due = true;
	/* What still waited to be sent was for the time before. */
	s->rst_left = 0;
	s->syn_due = false;
	s->rto_at_us = UINT64_MAX;
	if (s->timing)
		rtt_sample(&s->rtt, now_us - s->timed_us);
	s->rtt.backoff = 0;
	s->timing = false;
	session_change_state(s, SESSION_ESTABLISHED);
	session_advance(s, env, now_us);
}

/* Something that still knows an earlier connection answers our SYN. */
static void on_challenge(struct session *s, const struct wire_response *resp)
{
	s->rst_seq = s->rst_seq2 = resp->ack;
	s->rst_ack = resp->seq;
	s->rst_left = 1; /* again if need be: it may have been lost */
	s->syn_due = s->syn_due || !s->syn_retried;
	s->syn_retried = true;
}

static void on_syn_sent(struct session *s, const struct session_env *env,
			const struct wire_response *resp, uint64_t now_us)
{
	bool for_us =
		resp->flags & TCP_ACK && resp->ack == s->open_seq + s->delta;

	if (resp->flags & TCP_RST) {
		if (for_us)
			session_refused(s, now_us);
		return;
	}
	if (resp->flags & TCP_SYN) {
		if (for_us)
			establish(s, env, resp, now_us);
		return;
	}
	if (resp->flags & TCP_ACK && !for_us)
		on_challenge(s, resp);
}

/* What one ACK is for may be as much as goes in one packet, RFC 3465 or not. */
static void grow_cwnd(struct session *s, const struct session_params *params,
		      uint32_t acked_bytes)
{
	uint32_t mss = s->mss_bytes, most = 2 * mss;

	if (most < params->most_bytes)
		most = params->most_bytes;
	if (s->cwnd < s->ssthresh)
		s->cwnd += acked_bytes < most ? acked_bytes : most;
	else
		s->cwnd += mss * mss / s->cwnd + 1;
	if (s->cwnd > 1u << 30)
		s->cwnd = 1u << 30;
}

static void on_new_ack(struct session *s, const struct session_params *params,
		       uint32_t una, uint64_t now_us)
{
	uint32_t acked = una - s->target.snd_una;

	s->target.snd_una = una;
	s->target.snd_nxt = seq_max(s->target.snd_nxt, una);
	s->dup_acks = 0;
	if (s->timing && seq_geq(una, s->timed_seq)) {
		rtt_sample(&s->rtt, now_us - s->timed_us);
		s->timing = false;
	}
	s->rtt.backoff = 0;
	if (seq_lt(una, s->recover)) {
		s->rexmit_due = true; /* the next hole (RFC 6582) */
	} else {
		grow_cwnd(s, params, acked);
		s->recover = una;
	}
	s->rto_at_us = UINT64_MAX;
	session_arm_rto(s, now_us);
}

static void on_duplicate_ack(struct session *s)
{
	if (s->dup_acks < UINT8_MAX)
		s->dup_acks++;
	if (s->dup_acks != 3 || seq_lt(s->target.snd_una, s->recover))
		return;
	s->ssthresh = seq_diff(s->snd_max, s->target.snd_una) / 2u;
	if (s->ssthresh < 2u * s->mss_bytes)
		s->ssthresh = 2u * s->mss_bytes;
	s->cwnd = s->ssthresh;
	s->recover = s->snd_max;
	s->rexmit_due = true;
	s->timing = false;
}

static void on_ack(struct session *s, const struct session_params *params,
		   const struct wire_response *resp, uint64_t now_us)
{
	uint32_t una = resp->ack - s->delta;
	uint32_t wnd = (uint32_t)resp->wnd << s->target.snd_wscale;

	if (seq_gt(una, s->snd_max) || seq_lt(una, s->target.snd_una))
		return; /* of bytes never sent, or old */
	if (una != s->target.snd_una)
		on_new_ack(s, params, una, now_us);
	else if (resp->payload_len == 0 && !(resp->flags & TCP_FIN) &&
		 wnd == s->target.snd_wnd && session_in_flight(s))
		on_duplicate_ack(s);
	if (s->target.snd_wnd == 0 && wnd > 0) /* a probe was not taken */
		s->target.snd_nxt = s->target.snd_una;
	s->target.snd_wnd = wnd;
	if (wnd > 0)
		s->probe_due = false;
}

/* It asks whether we live (RFC 9293, 3.8.4). */
static bool is_keep_alive(const struct session *s,
			  const struct wire_response *resp)
{
	return resp->payload_len == 0 && resp->flags == TCP_ACK &&
	       resp->seq == s->target.rcv_nxt - 1;
}

/* And has nothing else to say. */
static bool says_nothing(const struct session *s,
			 const struct wire_response *resp)
{
	return is_keep_alive(s, resp) &&
	       resp->ack - s->delta == s->target.snd_una;
}

static void on_data(struct session *s, const struct session_env *env,
		    const struct wire_response *resp, uint64_t now_us)
{
	uint32_t end = resp->seq + resp->payload_len;
	uint32_t grown = end - s->target.rcv_nxt;

	if (resp->payload_len == 0) {
		if (is_keep_alive(s, resp))
			s->ack_due = true;
		return;
	}
	env->ledger->response_bytes += resp->payload_len;
	if (s->peer_closed || !seq_gt(end, s->target.rcv_nxt)) {
		session_ack_repeated(s);
		return;
	}
	s->pushed = resp->flags & TCP_PSH;
	if (s->sent && session_got_bytes(s) == 0 &&
	    now_us - s->sent_us > s->slowest_us)
		s->slowest_us = now_us - s->sent_us;
	s->target.rcv_nxt = end;
	if (resp->flags & WIRE_LOCAL)
		session_ack_last(s, now_us);
	else
		session_ack_owe(s, grown, now_us);
}

/* Our FIN is acknowledged. */
static bool fin_acked(const struct session *s)
{
	return s->fin_sent && seq_gt(s->target.snd_una, s->hold->end);
}

static void on_fin(struct session *s, const struct session_env *env,
		   uint64_t now_us)
{
	switch ((enum session_state)s->state) {
	case SESSION_ESTABLISHED:
		session_change_state(s, SESSION_CLOSE_WAIT);
		session_on_target_closed(s, env, false, now_us);
		break;
	case SESSION_FIN_WAIT_1:
		session_change_state(s, SESSION_CLOSING);
		break;
	case SESSION_FIN_WAIT_2:
		session_finish(s, env, SESSION_TIME_WAIT, now_us);
		break;
	case SESSION_TIME_WAIT:
		s->fin_again = true;
		s->progress_us = now_us;
		break;
	case SESSION_IDLE:
	case SESSION_WAITING:
	case SESSION_SYN_SENT:
	case SESSION_CLOSE_WAIT:
	case SESSION_CLOSING:
	case SESSION_LAST_ACK:
	case SESSION_DONE:
		break;
	}
}

static void take_fin(struct session *s, const struct session_env *env,
		     const struct wire_response *resp, uint64_t now_us)
{
	uint32_t fin_seq = resp->seq + resp->payload_len;

	s->ack_due = true;
	if (!s->peer_closed && seq_geq(fin_seq, s->target.rcv_nxt)) {
		s->peer_closed = true;
		s->target.rcv_nxt = fin_seq + 1;
		on_fin(s, env, now_us);
	} else if (s->state == SESSION_TIME_WAIT) {
		on_fin(s, env, now_us);
	}
}

static void on_our_fin_acked(struct session *s, const struct session_env *env,
			     uint64_t now_us)
{
	if (!fin_acked(s))
		return;
	session_settle_turn(s, env);
	if (s->state == SESSION_FIN_WAIT_1)
		session_change_state(s, SESSION_FIN_WAIT_2);
	else if (s->state == SESSION_CLOSING)
		session_finish(s, env, SESSION_TIME_WAIT, now_us);
	else if (s->state == SESSION_LAST_ACK)
		session_finish(s, env, SESSION_DONE, now_us);
}

/* The target has dropped the connection: nothing may be sent on it any more,
 * not even an RST. */
static void on_reset(struct session *s, const struct session_env *env,
		     uint64_t now_us)
{
	bool closing = s->fin_sent || s->state == SESSION_TIME_WAIT;

	if (s->state == SESSION_TIME_WAIT) {
		session_change_state(s, SESSION_DONE);
		return;
	}
	if (!closing || seq_lt(s->target.snd_una, s->hold->end))
		session_on_target_closed(s, env, true, now_us);
	s->rst_left = 0;
	if (!session_is_open(s))
		return; /* reopened */
	if (closing) {
		session_finish(s, env, SESSION_DONE, now_us);
		return;
	}
	session_dropped(s, env);
	session_advance(s, env, now_us);
}

/* What an earlier connection on this tuple has left behind acknowledges
 * numbers that are below this one's. An RST that acknowledges nothing has a
 * number that we have acknowledged, or one of our window (RFC 9293, 3.10.7.4);
 * as distances from the first one, since there may be more than 2 GB. */
static bool is_ours(const struct session *s, const struct wire_response *resp)
{
	uint32_t at = resp->seq - s->target.irs;
	uint32_t end = s->target.rcv_nxt - s->target.irs +
		       (SESSION_RCV_WND << SESSION_RCV_WSCALE);

	if (!plausible(resp->seq, s->target.rcv_nxt))
		return false;
	if (!(resp->flags & TCP_ACK))
		return at > 0 && at <= end;
	return seq_geq(resp->ack - s->delta, s->open_seq);
}

static void on_synchronized(struct session *s, const struct session_env *env,
			    const struct wire_response *resp, uint64_t now_us)
{
	if (!is_ours(s, resp)) {
		env->ledger->responses_stale++;
		return;
	}
	if (resp->flags & TCP_RST) {
		on_reset(s, env, now_us);
		return;
	}
	if (resp->flags & TCP_SYN) {
		s->ack_due = true; /* our handshake ACK was lost */
		return;
	}
	if (resp->flags & TCP_ACK)
		on_ack(s, env->params, resp, now_us);
	on_data(s, env, resp, now_us);
	on_our_fin_acked(s, env, now_us);
	session_advance(s, env, now_us);
	if (!(resp->flags & TCP_FIN))
		return;
	if (session_is_open(s) || s->state == SESSION_TIME_WAIT)
		take_fin(s, env, resp, now_us);
	session_advance(s, env, now_us);
}

void session_on_response(struct session *s, const struct session_env *env,
			 const struct wire_response *resp, uint64_t now_us)
{
	switch ((enum session_state)s->state) {
	case SESSION_IDLE:
	case SESSION_WAITING:
	case SESSION_DONE:
		env->ledger->responses_stale++;
		return;
	case SESSION_SYN_SENT:
		s->heard_us = now_us;
		on_syn_sent(s, env, resp, now_us);
		return;
	case SESSION_ESTABLISHED:
	case SESSION_CLOSE_WAIT:
	case SESSION_FIN_WAIT_1:
	case SESSION_FIN_WAIT_2:
	case SESSION_CLOSING:
	case SESSION_LAST_ACK:
		if (!says_nothing(s, resp))
			s->heard_us = s->progress_us = now_us;
		on_synchronized(s, env, resp, now_us);
		return;
	case SESSION_TIME_WAIT:
		on_synchronized(s, env, resp, now_us);
		return;
	}
}
