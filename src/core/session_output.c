// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Segments are pulled one at a time, the most urgent first: RST, SYN, the
 * segment that a duplicate ACK asks for, turns and FIN within the target's and
 * our own window, a window probe, a bare ACK. Every one but the SYN carries
 * the ACK, so whatever goes first takes the owed ACK along.
 *
 * What a turn sends for the first time may be several segments in one packet.
 * They are those that would go one by one: whole ones, and the rest of the turn
 * if that fits the windows as well. What goes again is cut.
 *
 * After a timeout snd_nxt goes back to snd_una and everything is sent again as
 * the congestion window opens; snd_max remembers how far we had been.
 */
#include "core/session_internal.h"

#include "core/check.h"
#include "core/seq.h"

void session_arm_rto(struct session *s, uint64_t now_us)
{
	if (s->rto_at_us == UINT64_MAX && session_in_flight(s))
		s->rto_at_us = now_us + rtt_rto_us(&s->rtt);
}

static void put_rst(struct session *s, struct session_segment *out)
{
	out->seg.seq = s->rst_left == 2 ? s->rst_seq2 : s->rst_seq;
	out->seg.ack = s->rst_ack;
	out->seg.flags = s->rst_ack ? TCP_RST | TCP_ACK : TCP_RST;
	s->rst_left--;
}

static void put_syn(struct session *s, const struct session_env *env,
		    struct session_segment *out, uint64_t now_us)
{
	out->again = seq_gt(s->snd_max, s->target.iss);
	out->seg.seq = s->target.iss + s->delta;
	out->seg.flags = TCP_SYN;
	out->seg.wnd = SESSION_RCV_WND;
	out->seg.opts.mss_bytes = env->params->mss_bytes;
	out->seg.opts.has_wscale = true;
	out->seg.opts.wscale = SESSION_RCV_WSCALE;
	s->syn_due = false;
	s->timing = !out->again;
	s->timed_us = now_us;
	s->snd_max = s->open_seq;
	s->rto_at_us = UINT64_MAX;
	session_arm_rto(s, now_us);
}

static void put_ack(struct session *s, struct session_segment *out,
		    uint64_t now_us)
{
	out->seg.ack = s->target.rcv_nxt;
	out->seg.flags |= TCP_ACK;
	out->seg.wnd = SESSION_RCV_WND;
	session_ack_sent(s, now_us);
}

/* len bytes of the hold from seq on, and the FIN behind them if fin. */
static void put_bytes(struct session *s, struct session_segment *out,
		      uint32_t seq, uint32_t len, bool fin, uint64_t now_us)
{
	uint32_t end = seq + len + fin;

	out->from = seq;
	out->again = seq_lt(seq, s->snd_max);
	out->seg.seq = seq + s->delta;
	out->seg.payload_len = len;
	if (len > 0 && seq + len == s->turn_end)
		out->seg.flags |= TCP_PSH;
	if (fin)
		out->seg.flags |= TCP_FIN;
	if (out->again) {
		s->timing = false;
	} else if (!s->timing) {
		s->timing = true;
		s->timed_seq = end;
		s->timed_us = now_us;
	}
	s->snd_max = seq_max(s->snd_max, end);
	put_ack(s, out, now_us);
	session_arm_rto(s, now_us);
}

static void note_fin_sent(struct session *s)
{
	if (s->fin_sent)
		return;
	s->fin_sent = true;
	session_change_state(s, s->state == SESSION_CLOSE_WAIT
					? SESSION_LAST_ACK
					: SESSION_FIN_WAIT_1);
}

/* The turn's first byte goes for the first time: from here on the target's
 * bytes count as its answer. */
static void note_turn_sent(struct session *s, uint32_t seq, uint64_t now_us)
{
	if (s->sent || !s->begun || seq_lt(seq, s->turn_start))
		return;
	s->sent = true;
	s->sent_us = now_us;
	s->paused_segs = 0; /* it paused since it had answered */
	s->gate_base = s->target.rcv_nxt - (s->peer_closed ? 1 : 0);
}

static bool put_retransmission(struct session *s, struct session_segment *out,
			       uint64_t now_us)
{
	uint32_t una = s->target.snd_una;
	uint32_t bytes_end = seq_min(s->snd_max, s->hold->end);
	uint32_t len = seq_gt(bytes_end, una) ? bytes_end - una : 0;

	s->rexmit_due = false;
	if (!session_in_flight(s))
		return false;
	if (len > s->mss_bytes)
		len = s->mss_bytes;
	put_bytes(s, out, una, len, s->fin_sent && una + len == s->hold->end,
		  now_us);
	return true;
}

static uint32_t window_left(const struct session *s)
{
	uint32_t wnd =
		s->cwnd < s->target.snd_wnd ? s->cwnd : s->target.snd_wnd;
	uint32_t used = s->target.snd_nxt - s->target.snd_una;

	return wnd > used ? wnd - used : 0;
}

/* How many bytes may be in one packet. */
static uint32_t packet_most(const struct session *s,
			    const struct session_params *params)
{
	if (params->most_bytes <= s->mss_bytes ||
	    seq_lt(s->target.snd_nxt, s->snd_max))
		return s->mss_bytes;
	return params->most_bytes;
}

/* How many bytes of the current turn may go in one packet now. */
static uint32_t sendable(const struct session *s,
			 const struct session_params *params)
{
	uint32_t left = 0, len, window = window_left(s);

	if (s->begun && seq_lt(s->target.snd_nxt, s->turn_end))
		left = s->turn_end - s->target.snd_nxt;
	len = packet_most(s, params);
	len = len < window ? len : window;
	if (left <= len)
		return left;
	len -= len % s->mss_bytes;
	if (len > 0)
		return len;
	/* a silly segment only if nothing else will open the window */
	return s->target.snd_nxt == s->target.snd_una ? window : 0;
}

static bool put_turn(struct session *s, const struct session_params *params,
		     struct session_segment *out, uint64_t now_us)
{
	uint32_t seq = s->target.snd_nxt, len = sendable(s, params);
	bool fin = s->fin_ready && seq + len == s->hold->end;

	if (len == 0 && !fin)
		return false;
	/* alone it probes a shut window */
	if (fin && len == 0 && window_left(s) == 0 && seq != s->target.snd_una)
		return false;
	note_turn_sent(s, seq, now_us);
	s->target.snd_nxt = seq + len + fin;
	put_bytes(s, out, seq, len, fin, now_us);
	if (fin)
		note_fin_sent(s);
	return true;
}

/* One byte beyond a closed window. */
static bool put_probe(struct session *s, struct session_segment *out,
		      uint64_t now_us)
{
	uint32_t seq = s->target.snd_una;

	s->probe_due = false;
	if (!s->begun || !seq_lt(seq, s->turn_end))
		return false;
	note_turn_sent(s, seq, now_us);
	s->target.snd_nxt = seq + 1;
	put_bytes(s, out, seq, 1, false, now_us);
	return true;
}

/* Something to send, a closed window, and nothing under way that would bring
 * news: the probe timer must run. */
static void arm_probe(struct session *s, uint64_t now_us)
{
	if (s->begun && s->target.snd_wnd == 0 && !session_in_flight(s) &&
	    seq_lt(s->target.snd_nxt, s->turn_end) &&
	    s->rto_at_us == UINT64_MAX)
		s->rto_at_us = now_us + rtt_rto_us(&s->rtt);
}

static bool put_synchronized(struct session *s,
			     const struct session_params *params,
			     struct session_segment *out, uint64_t now_us)
{
	if (s->rexmit_due && put_retransmission(s, out, now_us))
		return true;
	if (put_turn(s, params, out, now_us))
		return true;
	if (s->probe_due && put_probe(s, out, now_us))
		return true;
	arm_probe(s, now_us);
	if (!s->ack_due)
		return false;
	out->seg.seq = s->target.snd_nxt + s->delta;
	put_ack(s, out, now_us);
	return true;
}

bool session_next_segment(struct session *s, const struct session_env *env,
			  struct session_segment *out, uint64_t now_us)
{
	*out = (struct session_segment){0};
	if (s->rst_left > 0) {
		put_rst(s, out);
		return true;
	}
	if (s->paused)
		return false;
	switch ((enum session_state)s->state) {
	case SESSION_SYN_SENT:
		if (!s->syn_due)
			return false;
		put_syn(s, env, out, now_us);
		return true;
	case SESSION_ESTABLISHED:
	case SESSION_CLOSE_WAIT:
	case SESSION_FIN_WAIT_1:
	case SESSION_FIN_WAIT_2:
	case SESSION_CLOSING:
	case SESSION_LAST_ACK:
		return put_synchronized(s, env->params, out, now_us);
	case SESSION_TIME_WAIT:
		if (!s->ack_due)
			return false;
		out->seg.seq = s->snd_max + s->delta;
		put_ack(s, out, now_us);
		return true;
	case SESSION_IDLE:
	case SESSION_WAITING:
	case SESSION_DONE:
		return false;
	}
	return false;
}
