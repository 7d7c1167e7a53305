// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * The target's bytes are acknowledged with the next turn, or after a while by
 * an ACK of its own. A target that still has more to send may be waiting for
 * that: how much it sends unacknowledged is its congestion window, which we do
 * not see. But what it has sent so once, it can send again: from ack_segs
 * segments on it is acknowledged at once, and short of them only when it has
 * paused for SESSION_PAUSE_US.
 *
 * In the beginning ack_segs is two, as it is for everybody (RFC 9293, 3.8.6.3).
 * A sender in slow start may send as much more as was acknowledged (RFC 5681,
 * 3.1): so when n segments are, it is twice that. Where it was too much, the
 * target pauses within its answer and goes on after our ACK. From then on only
 * what has been seen counts (ack_proven). So a target is kept waiting once, for
 * a short time; whoever sends as a rule what the answer needs gets one ACK for
 * it, or none but the next turn's.
 *
 * intercept does all that itself for long answers by relay (local_ack.c), but
 * for their last segment, which waits for the next turn or for nothing more to
 * come.
 *
 * What has repeated bytes, or was silent for long, has given its window up.
 */
#include "core/session_internal.h"

#define ACK_SEGS_MIN 2u
#define ACK_SEGS_MAX 255u

static unsigned segs_max(const struct session *s)
{
	unsigned n = SESSION_UNACKED_MAX / s->mss_bytes;

	if (n < ACK_SEGS_MIN)
		return ACK_SEGS_MIN;
	return n < ACK_SEGS_MAX ? n : ACK_SEGS_MAX;
}

static void set_segs(struct session *s, uint32_t segs)
{
	unsigned max = segs_max(s);

	s->ack_segs = (uint8_t)(segs < max ? segs : max);
}

static uint32_t at_once_bytes(const struct session *s)
{
	unsigned n = s->ack_segs > ACK_SEGS_MIN ? s->ack_segs : ACK_SEGS_MIN;

	return (uint32_t)n * s->mss_bytes;
}

void session_ack_init(struct session *s)
{
	s->ack_owed_bytes = 0;
	s->ack_at_us = UINT64_MAX;
	s->ack_due = s->ack_proven = false;
	s->ack_segs = s->paused_segs = 0;
}

static void begin_owing(struct session *s, uint64_t now_us)
{
	s->owed_us = now_us;
	if (now_us >= s->acked_us + SESSION_RESTART_US)
		s->ack_segs = s->paused_segs = 0;
}

/* It did not send more until it had our ACK. */
static void learn_pause(struct session *s)
{
	if (s->paused_segs > 0 && !s->ack_due) {
		set_segs(s, s->paused_segs);
		s->ack_proven = true;
	}
	s->paused_segs = 0;
}

void session_ack_owe(struct session *s, uint32_t bytes, uint64_t now_us)
{
	uint64_t at_us;

	if (s->ack_owed_bytes == 0)
		begin_owing(s, now_us);
	learn_pause(s);
	s->ack_owed_bytes += bytes;
	if (s->ack_owed_bytes >= at_once_bytes(s)) {
		s->ack_due = true;
		return;
	}
	at_us = s->owed_us + SESSION_DELAYED_US;
	if (s->ack_owed_bytes >= ACK_SEGS_MIN * s->mss_bytes &&
	    now_us + SESSION_PAUSE_US < at_us)
		at_us = now_us + SESSION_PAUSE_US;
	s->ack_at_us = at_us;
}

_Static_assert(SESSION_RCV_WND == WIRE_LOCAL_WND, "it speaks for us");

void session_ack_last(struct session *s, uint64_t now_us)
{
	if (s->ack_owed_bytes == 0)
		begin_owing(s, now_us);
	s->ack_owed_bytes = 1;
	s->paused_segs = 0;
	s->ack_at_us = now_us + SESSION_DELAYED_US;
}

void session_ack_repeated(struct session *s)
{
	s->ack_due = true; /* it did not get our ACK */
	s->ack_proven = true;
	s->ack_segs = s->paused_segs = 0;
}

void session_ack_on_timer(struct session *s, uint64_t now_us)
{
	uint32_t segs = s->ack_owed_bytes / s->mss_bytes;

	s->ack_at_us = UINT64_MAX;
	if (!s->ack_due && segs >= ACK_SEGS_MIN &&
	    now_us >= s->heard_us + SESSION_PAUSE_US)
		s->paused_segs = (uint8_t)segs;
	s->ack_due = true;
}

void session_ack_sent(struct session *s, uint64_t now_us)
{
	uint32_t owed = s->ack_owed_bytes;

	if (owed > 0 || s->ack_due)
		s->acked_us = now_us;
	if (owed >= at_once_bytes(s))
		set_segs(s, owed / s->mss_bytes * (s->ack_proven ? 1 : 2));
	s->ack_owed_bytes = 0;
	s->ack_at_us = UINT64_MAX;
	s->ack_due = false;
}
