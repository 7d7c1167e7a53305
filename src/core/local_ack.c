// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * The rule is the session's (session_ack.c): two segments' worth is
 * acknowledged at once, then as much more each time as the target's window must
 * have grown; short of that when it has paused. What tcpcopy sends passes here,
 * so its ACKs are known, and how long they mostly take: the end of an answer is
 * left to the next turn for up to twice that.
 *
 * But the last segment is never acknowledged here. Whatever is told of an
 * answer, or lost on its way to tcpcopy, or forgotten with intercept: its end
 * is not acknowledged until tcpcopy has heard of it, and until then the target
 * repeats it. Bytes before it that were acknowledged and never told count as
 * soon as anything behind them is told. So nobody has to remember anything.
 *
 * tcpcopy needs to hear of the answer's end, and not of what comes before. The
 * target's kernel sets PSH in every packet of several segments, so that is no
 * sign of an end. But it fills its packets: one that is as large as another
 * behind which more has come may be followed by more as well, and waits for it
 * until the answer pauses; a smaller one is told at once. If that has waited
 * in vain, only a larger one waits again. Who may send much at once is not
 * acknowledged there, since the next turn does that. Of an answer that trickles
 * on without end nothing waits long enough for the target to repeat it.
 *
 * Packets of a batch are taken first and settled together. Those that may pause
 * are in a queue by time.
 */
#include "core/local_ack.h"

#include "core/seq.h"
#include "core/timers.h"

bool locals_init(struct locals *l, const struct mem *mem, uint32_t count)
{
	l->head = l->tail = l->touched = POOL_NONE;
	return pool_init(&l->pool, mem, sizeof(struct local), count);
}

void locals_fini(struct locals *l, const struct mem *mem)
{
	pool_fini(&l->pool, mem);
}

static struct local *at(const struct locals *l, uint32_t id)
{
	return pool_at(&l->pool, id);
}

const struct local *locals_at(const struct locals *l, uint32_t id)
{
	return at(l, id);
}

/* ---- lists ---- */

/* It is looked at a pause after that. Since all pauses are the same, who comes
 * last is due last. */
static void enqueue(struct locals *l, struct local *s, uint64_t from_us)
{
	uint32_t id = pool_index(&l->pool, s);

	s->queued = true;
	s->due_us = from_us + LOCAL_ACK_PAUSE_US;
	s->next = POOL_NONE;
	s->prev = l->tail;
	if (l->tail == POOL_NONE)
		l->head = id;
	else
		at(l, l->tail)->next = id;
	l->tail = id;
}

static void dequeue(struct locals *l, struct local *s)
{
	if (!s->queued)
		return;
	s->queued = false;
	if (s->prev == POOL_NONE)
		l->head = s->next;
	else
		at(l, s->prev)->next = s->next;
	if (s->next == POOL_NONE)
		l->tail = s->prev;
	else
		at(l, s->next)->prev = s->prev;
}

static void touch(struct locals *l, struct local *s)
{
	if (s->touched)
		return;
	s->touched = true;
	s->touched_next = l->touched;
	l->touched = pool_index(&l->pool, s);
}

static void untouch(struct locals *l, struct local *s)
{
	uint32_t *link = &l->touched;

	if (!s->touched)
		return;
	while (at(l, *link) != s)
		link = &at(l, *link)->touched_next;
	*link = s->touched_next;
	s->touched = false;
}

/* ---- life ---- */

static bool is_plain(const struct segment *seg)
{
	return seg->payload_len > 0 && (seg->flags & ~TCP_PSH) == TCP_ACK;
}

bool locals_begins(const struct segment *seg, uint16_t mss_bytes)
{
	return mss_bytes > 0 && is_plain(seg) &&
	       (seg->payload_len > mss_bytes || !(seg->flags & TCP_PSH));
}

uint32_t locals_begin(struct locals *l, struct route *route, uint16_t mss_bytes,
		      const struct segment *seg)
{
	uint32_t id = pool_take(&l->pool);

	if (id == POOL_NONE)
		return POOL_NONE;
	*at(l, id) = (struct local){
		.route = route,
		.told = seg->seq,
		.acked = seg->seq,
		.rcv_nxt = seg->seq,
		.ack = seg->ack,
		.snd_nxt = seg->ack,
		.at_once_bytes = 2u * mss_bytes,
		.mss_bytes = mss_bytes,
		.our_wnd = WIRE_LOCAL_WND,
	};
	return id;
}

void locals_end(struct locals *l, uint32_t id)
{
	struct local *s = at(l, id);

	untouch(l, s);
	dequeue(l, s);
	pool_give(&l->pool, id);
}

/* ---- what comes ---- */

static uint32_t owed_bytes(const struct local *s)
{
	return s->rcv_nxt - s->acked;
}

static void set_at_once(struct local *s, uint32_t bytes)
{
	if (bytes > LOCAL_ACK_MOST_BYTES)
		bytes = LOCAL_ACK_MOST_BYTES;
	if (bytes < 2u * s->mss_bytes)
		bytes = 2u * s->mss_bytes;
	s->at_once_bytes = bytes;
}

/* What it has been given is no measure any more. */
static void begin_anew(struct local *s, bool proven)
{
	set_at_once(s, 0);
	s->proven = proven;
}

/* It waited for our ACK, if what set it going was not something else. */
static bool was_stalled(const struct local *s, uint64_t now_us)
{
	return s->paused_bytes > 0 && now_us < s->paused_us + LOCAL_ACK_GOES_US;
}

/* What the packet before has turned out to be. */
static void learn(struct local *s, const struct segment *seg, uint64_t now_us)
{
	bool same_turn = seg->ack == s->ack;

	if (same_turn && s->last_bytes > s->full_bytes)
		s->full_bytes = s->last_bytes;
	else if (!same_turn && s->waited)
		s->full_bytes = s->last_bytes + 1;
	if (same_turn && was_stalled(s, now_us)) {
		set_at_once(s, s->paused_bytes);
		s->proven = true;
	}
	s->waited = false;
	s->paused_bytes = 0;
}

static void tell(struct local *s, struct wire_response *resp)
{
	*resp = (struct wire_response){
		.seq = s->told,
		.ack = s->ack,
		.payload_len = s->rcv_nxt - s->told,
		.wnd = s->wnd,
		.flags = TCP_ACK | WIRE_LOCAL | (s->pushed ? TCP_PSH : 0),
	};
	s->told = s->rcv_nxt;
}

static void take(struct locals *l, struct local *s, const struct segment *seg,
		 uint64_t now_us)
{
	learn(s, seg, now_us);
	if (now_us >= s->heard_us + LOCAL_ACK_RESTART_US)
		begin_anew(s, false);
	if (s->told == s->rcv_nxt)
		s->untold_us = now_us;
	if (owed_bytes(s) == 0)
		s->owed_us = now_us;
	s->heard_us = now_us;
	s->rcv_nxt += seg->payload_len;
	s->ack = seg->ack;
	s->snd_nxt = seq_max(s->snd_nxt, seg->ack);
	s->wnd = seg->wnd;
	s->last_bytes = seg->payload_len;
	s->pushed = seg->flags & TCP_PSH;
	touch(l, s);
}

/* The target takes this for its round trip time, and smooths it so. */
static void note_delay(struct local *s, uint64_t now_us)
{
	uint64_t us = now_us - s->heard_us;

	if (us > LOCAL_ACK_LEAVE_MOST_US)
		us = LOCAL_ACK_LEAVE_MOST_US;
	s->usual_us = (s->usual_us * 7 + (uint32_t)us) / 8;
}

/* It is told as it is, behind what was untold. */
static void skip(struct locals *l, struct local *s, const struct segment *seg)
{
	uint32_t end = seg->seq + seg->payload_len;

	if (seq_geq(seg->ack, s->ack))
		s->ack = seg->ack;
	if (seg->payload_len == 0)
		return;
	if (seq_leq(end, s->rcv_nxt)) /* it did not get our ACK */
		begin_anew(s, true);
	s->rcv_nxt = seq_max(s->rcv_nxt, end);
	s->told = s->acked = s->rcv_nxt;
	s->last_bytes = s->paused_bytes = 0;
	s->waited = false;
	dequeue(l, s);
}

static void flush(struct locals *l, struct local *s, struct local_word *word)
{
	*word = (struct local_word){0};
	untouch(l, s);
	if (s->told == s->rcv_nxt)
		return;
	word->tell = true;
	tell(s, &word->resp);
}

bool locals_take(struct locals *l, uint32_t id, const struct segment *seg,
		 uint64_t now_us, struct local_word *before)
{
	struct local *s = at(l, id);

	if (is_plain(seg) && seg->seq == s->rcv_nxt &&
	    seq_geq(seg->ack, s->ack)) {
		take(l, s, seg, now_us);
		return true;
	}
	flush(l, s, before);
	skip(l, s, seg);
	return false;
}

void locals_pass(struct locals *l, uint32_t id, const struct segment *seg,
		 uint64_t now_us)
{
	struct local *s = at(l, id);

	uint32_t end =
		seg->seq + seg->payload_len + (seg->flags & TCP_FIN ? 1 : 0);

	s->snd_nxt = seq_max(s->snd_nxt, end);
	s->our_wnd = seg->wnd;
	if (!seq_gt(seg->ack, s->acked) || seq_gt(seg->ack, s->rcv_nxt))
		return;
	note_delay(s, now_us);
	s->acked = seg->ack;
	s->owed_us = s->heard_us;
	if (s->told == s->rcv_nxt && owed_bytes(s) < 2u * s->mss_bytes)
		dequeue(l, s);
}

/* ---- what is done ---- */

/* Everything but the last segment. Returns how much that is. */
static uint32_t acknowledge(struct local *s, struct local_word *word,
			    uint64_t now_us)
{
	uint32_t last = (s->last_bytes - 1) % s->mss_bytes + 1;
	uint32_t acked = owed_bytes(s) - last;

	note_delay(s, now_us);
	s->acked += acked;
	s->owed_us = s->heard_us;
	word->ack = true;
	word->seg = (struct segment){
		.seq = s->wnd ? s->snd_nxt : s->ack, /* no probe's */
		.ack = s->acked,
		.wnd = s->our_wnd,
		.flags = TCP_ACK,
	};
	return acked;
}

static bool expects_more(const struct local *s)
{
	return !s->pushed ||
	       (s->full_bytes > 0 && s->last_bytes >= s->full_bytes);
}

/* To the next turn: it has come to its end, and a large window is not full. */
static bool leaves_it(const struct local *s)
{
	return !expects_more(s) &&
	       s->at_once_bytes >= LOCAL_ACK_MOST_BYTES / 2 &&
	       owed_bytes(s) < 2 * LOCAL_ACK_MOST_BYTES;
}

static bool is_late(const struct local *s, uint64_t now_us)
{
	return now_us >= s->owed_us + LOCAL_ACK_LATE_US &&
	       owed_bytes(s) > s->last_bytes;
}

static void settle(struct locals *l, struct local *s, bool may_ack,
		   struct local_word *word, uint64_t now_us)
{
	*word = (struct local_word){0};
	if (may_ack && owed_bytes(s) >= s->at_once_bytes && !leaves_it(s))
		set_at_once(s,
			    acknowledge(s, word, now_us) * (s->proven ? 1 : 2));
	else if (may_ack && is_late(s, now_us))
		acknowledge(s, word, now_us);
	if (!expects_more(s) || now_us >= s->untold_us + LOCAL_ACK_PAUSE_US) {
		word->tell = true;
		tell(s, &word->resp);
	}
	dequeue(l, s);
	if (s->told != s->rcv_nxt || owed_bytes(s) >= 2u * s->mss_bytes)
		enqueue(l, s, s->heard_us);
}

uint32_t locals_settle(struct locals *l, bool may_ack, struct local_word *word,
		       uint64_t now_us)
{
	uint32_t id = l->touched;

	if (id == POOL_NONE)
		return POOL_NONE;
	untouch(l, at(l, id));
	settle(l, at(l, id), may_ack, word, now_us);
	return id;
}

/* For the next turn to bring the ACK: the answer has come to its end, so that
 * nothing else is waiting for it, and the target's tail loss probe is not due
 * when it is looked at again. That comes after twice its round trip time, which
 * our ACKs make, and two ticks of its clock. */
static bool may_wait(const struct local *s, uint64_t now_us)
{
	uint32_t us = 2 * s->usual_us + LOCAL_ACK_TICKS_US;

	if (us > LOCAL_ACK_LEAVE_MOST_US)
		us = LOCAL_ACK_LEAVE_MOST_US;
	return !expects_more(s) && owed_bytes(s) < s->at_once_bytes &&
	       now_us + LOCAL_ACK_PAUSE_US <= s->heard_us + us;
}

uint32_t locals_due(struct locals *l, bool may_ack, struct local_word *word,
		    uint64_t now_us)
{
	uint32_t id = l->head;
	struct local *s;

	if (id == POOL_NONE || locals_deadline_us(l) > now_us)
		return POOL_NONE;
	s = at(l, id);
	*word = (struct local_word){0};
	dequeue(l, s);
	if (s->told != s->rcv_nxt) {
		word->tell = s->waited = true;
		tell(s, &word->resp);
	}
	if (owed_bytes(s) < 2u * s->mss_bytes)
		return id;
	if (may_wait(s, now_us))
		enqueue(l, s, now_us);
	else if (may_ack) {
		s->paused_bytes = acknowledge(s, word, now_us);
		s->paused_us = now_us;
	}
	return id;
}

uint64_t locals_deadline_us(const struct locals *l)
{
	return l->head == POOL_NONE ? TIME_NEVER : at(l, l->head)->due_us;
}
