// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Copies that may have something to send stand on the ready list. Its head is
 * asked for segments until it has none, and these are made packets of.
 *
 * With relay a packet may have several segments in it: what injects it on the
 * target needs no segmentation, and each record costs both sides the same
 * whatever its size. Packets go by the link of their session's route, behind
 * its registration and before its end. Copies whose link takes no packets now
 * are held: they leave the list of those that are ready, and come back to its
 * head when any link has room, or has come or gone. Meanwhile nothing is lost
 * but time, so their retransmission timers begin anew instead of going off.
 */
#include "core/replay_internal.h"

#include "core/check.h"

/* Where a copy's packets go now, -1: nowhere. */
static int relay_link(const struct replay *r, const struct copy *c)
{
	unsigned group = replay_relay_group(r, c);
	int link = replay_pick_link(r, group, c->link);

	return link >= 0 && r->link_full[link] ? -1 : link;
}

bool replay_may_send(const struct replay *r, const struct copy *c)
{
	return !r->cfg.relay || relay_link(r, c) >= 0;
}

void replay_push_ready(struct replay *r, struct copy *c)
{
	if (c->in_ready)
		return;
	c->in_ready = true;
	copy_list_push(&r->ready, LIST_READY, c);
}

void replay_release_held(struct replay *r)
{
	if (!r->held.head)
		return;
	r->held.tail->work->next[LIST_READY] = r->ready.head;
	if (!r->ready.head)
		r->ready.tail = r->held.tail;
	r->ready.head = r->held.head;
	r->held = (struct copy_list){0};
}

void replay_on_link_room(struct replay *r, unsigned link_id, bool room)
{
	r->link_full[link_id] = !room;
	if (room)
		replay_release_held(r);
}

/* The last line: nothing goes anywhere but to a configured target. */
static bool may_send_to(const struct replay *r, const struct endpoint *to)
{
	for (size_t i = 0; i < r->cfg.target_count; i++)
		if (endpoint_equal(&r->targets[i].cfg.at, to))
			return true;
	return false;
}

static size_t build(struct replay *r, struct copy *c,
		    struct session_segment *out, uint8_t *slot, size_t cap)
{
	struct segment *seg = &out->seg;
	struct trace *t;
	uint64_t sum = 0;
	size_t header;

	seg->tuple.src = replay_client(r, c);
	seg->tuple.dst = r->targets[c->target].cfg.at;
	if (!may_send_to(r, &seg->tuple.dst)) {
		r->ledger.packets_blocked++;
		return 0;
	}
	header = packet_header_len(seg);
	ASSERT(header + seg->payload_len <= cap);
	seg->payload_cap = seg->payload_len;
	if (seg->payload_len)
		sum = hold_read(&c->flow->hold, &r->store, out->from,
				slot + header, seg->payload_len);
	r->ledger.packets_sent++;
	r->ledger.packets_resent += out->again;
	if (seg->flags & TCP_SYN && out->again)
		replay_push_msg(r, c);
	t = replay_trace(r, c);
	if (t)
		trace_segment(t, out->again ? TRACE_RESENT : TRACE_SENT, seg);
	return packet_build_around(slot, cap, seg, sum, r->ip_id++);
}

/* The head of the list is ready, but its link is not. */
static void hold_back(struct replay *r)
{
	struct copy *c = copy_list_pop(&r->ready, LIST_READY);

	copy_list_push(&r->held, LIST_READY, c);
	replay_arm_timer(r, c);
	replay_trace_hold(r, c, TRACE_NOT_SENT,
			  r->targets[c->target].up
				  ? TRACE_HOLD_FULL
				  : replay_paused_for(&r->targets[c->target]));
}

/* Whether its packets can go, and by which link. */
static bool choose_link(struct replay *r, const struct copy *c)
{
	int link = r->cfg.relay ? relay_link(r, c) : 0;

	if (link >= 0)
		r->packet_link = (unsigned)link;
	return link >= 0;
}

static void pop_ready(struct replay *r, uint64_t now_us)
{
	struct copy *c = copy_list_pop(&r->ready, LIST_READY);

	c->in_ready = false;
	if (c->work->session.paused && session_state_is_open(replay_state(c)))
		replay_trace_hold(r, c, TRACE_NOT_SENT,
				  replay_paused_for(&r->targets[c->target]));
	/* With relay, or when it was given up since. */
	if (c->registered && c->work->session.state == SESSION_DONE)
		replay_push_msg(r, c);
	replay_arm_timer(r, c);
	replay_put_down(r, c, now_us);
}

size_t replay_next_packet(struct replay *r, uint8_t *slot, size_t slot_cap,
			  uint64_t now_us)
{
	struct session_segment out;
	struct copy *c;
	size_t len;

	if (now_us >= r->lease_us) /* not one packet more */
		replay_on_leases(r, now_us);
	while ((c = r->ready.head)) {
		struct session_env env = replay_env(r, c);

		if (!choose_link(r, c)) {
			hold_back(r);
			continue;
		}
		if (c->tuple == POOL_NONE ||
		    !session_next_segment(&c->work->session, &env, &out,
					  now_us)) {
			pop_ready(r, now_us);
			continue;
		}
		len = build(r, c, &out, slot, slot_cap);
		if (len == 0)
			continue;
		replay_note_sent(r, len, now_us);
		return len;
	}
	return 0;
}

void replay_set_most(const struct replay *r, struct target *t)
{
	uint16_t headers = addr_is_v4(&t->cfg.at.addr) ? 40 : 60;
	bool large = r->cfg.relay && !r->cfg.mss_bytes &&
		     r->cfg.relay_bytes > r->cfg.mtu_bytes;

	t->params.most_bytes =
		large ? (uint16_t)(r->cfg.relay_bytes - headers) : 0;
}

void replay_set_relay(struct replay *r, bool relay, uint64_t now_us)
{
	r->cfg.relay = relay;
	replay_release_held(r);
	for (size_t i = 0; i < r->cfg.target_count; i++) {
		replay_set_most(r, &r->targets[i]);
		if (!r->targets[i].proven)
			replay_forget_proof(&r->targets[i], now_us);
	}
}

unsigned replay_packet_link(const struct replay *r)
{
	return r->packet_link;
}

int replay_packet_link_guess(const struct replay *r)
{
	return r->ready.head ? relay_link(r, r->ready.head) : -1;
}
