// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Segment arrival is RFC 9293, 3.10.7, with RFC 5961's rules for RST and SYN,
 * and the kernel's for a SYN in TIME_WAIT. Received bytes are compared with the
 * client's stream as they become contiguous (check.c). Our own sending is
 * simple: what the peer's window and slow start allow, at once, go-back-N after
 * a timeout.
 */
#include "tests/sim/target.h"

#include <string.h>

#include "tests/sim/check.h"
#include "tests/sim/index.h"
#include "tests/sim/net.h"

#define RTO_FIRST_US	 200000u
#define RTO_LAST_US	 20000000u
#define RETRIES_MAX	 40u
#define TIME_WAIT_US	 60000000u
#define DELAYED_ACK_US	 40000u
#define GSO_BYTES	 16000u
#define CWND_MAX	 (1u << 30)
#define WINDOW_PLAIN_MAX 65535u

struct target {
	struct target_connection *all;
	struct target_connection *by_tuple[SIM_CHAINS]; /* newest first */
	uint64_t refuse_from_us, refuse_until_us;
};

/* a is after b on the circle of sequence numbers. */
static bool is_after(uint32_t a, uint32_t b)
{
	uint32_t forward = a - b;

	return forward != 0 && forward < 0x80000000u;
}

static bool is_within(uint32_t x, uint32_t first, uint32_t len)
{
	return (uint32_t)(x - first) < len;
}

struct target_connection *target_all(struct sim *sim)
{
	return sim->target->all;
}

uint32_t target_sent_bytes(const struct target_connection *t)
{
	uint32_t n = t->snd_max - t->iss - 1;

	return n > t->written ? t->written : n;
}

struct target_connection *target_find(struct sim *sim,
				      const struct four_tuple *tuple,
				      uint32_t irs, uint32_t iss)
{
	struct target_connection *t =
		sim->target->by_tuple[index_of_tuple(tuple)];

	while (t && !(t->irs == irs && t->iss == iss &&
		      four_tuple_equal(&t->tuple, tuple)))
		t = t->next_of_tuple;
	return t;
}

static struct target_connection *find_live(struct sim *sim,
					   const struct four_tuple *tuple)
{
	struct target_connection *t =
		sim->target->by_tuple[index_of_tuple(tuple)];

	while (t &&
	       !(t->state != T_CLOSED && four_tuple_equal(&t->tuple, tuple)))
		t = t->next_of_tuple;
	return t;
}

/* --- sending ------------------------------------------------------------- */

static void emit(struct sim *sim, const struct four_tuple *tuple,
		 struct segment *seg)
{
	seg->tuple.src = tuple->dst;
	seg->tuple.dst = tuple->src;
	sim_trace_segment(sim, "answer", seg);
	net_to_queue(sim, sim_packet_new(sim, seg));
}

static void reply_rst(struct sim *sim, const struct segment *to)
{
	struct segment seg = {.flags = TCP_RST};

	if (to->flags & TCP_ACK) {
		seg.seq = to->ack;
	} else {
		seg.flags |= TCP_ACK;
		seg.ack = to->seq + to->payload_len +
			  (to->flags & TCP_SYN ? 1 : 0) +
			  (to->flags & TCP_FIN ? 1 : 0);
	}
	emit(sim, &to->tuple, &seg);
}

/* The window to advertise; the right edge never goes back and never forward
 * by a silly amount. */
static uint16_t window(struct sim *sim, struct target_connection *t)
{
	uint32_t unread = t->received - t->read;
	uint32_t room = unread < t->buffer_bytes ? t->buffer_bytes - unread : 0;
	uint32_t least = t->segment_max < t->buffer_bytes / 2
				 ? t->segment_max
				 : t->buffer_bytes / 2;
	uint32_t wish = t->rcv_nxt + room, field;

	if (!is_after(wish, t->edge) || wish - t->edge < least)
		wish = is_after(t->edge, t->rcv_nxt) ? t->edge : t->rcv_nxt;
	field = (wish - t->rcv_nxt) >> t->rcv_scale;
	if (field > WINDOW_PLAIN_MAX)
		field = WINDOW_PLAIN_MAX;
	wish = t->rcv_nxt + (field << t->rcv_scale);
	if (is_after(wish, t->edge))
		t->edge = wish;
	if (field == 0)
		SIM_COVER(sim, windows_closed);
	return (uint16_t)field;
}

static void emit_synchronized(struct sim *sim, struct target_connection *t,
			      uint32_t seq, uint32_t len, uint8_t flags)
{
	struct segment seg = {
		.seq = seq,
		.ack = t->rcv_nxt,
		.payload_len = len,
		.flags = flags | TCP_ACK,
		.wnd = window(sim, t),
	};

	t->ack_pending = false;
	t->unacked_segments = 0;
	emit(sim, &t->tuple, &seg);
}

static void send_ack(struct sim *sim, struct target_connection *t)
{
	emit_synchronized(sim, t, t->snd_nxt, 0, 0);
}

static void send_syn_ack(struct sim *sim, struct target_connection *t)
{
	uint32_t plain = t->buffer_bytes < WINDOW_PLAIN_MAX ? t->buffer_bytes
							    : WINDOW_PLAIN_MAX;
	struct segment seg = {
		.seq = t->iss,
		.ack = t->rcv_nxt,
		.flags = TCP_SYN | TCP_ACK,
		.wnd = (uint16_t)plain,
		.opts = {.mss_bytes = t->segment_max,
			 .has_wscale = t->rcv_scale > 0,
			 .wscale = t->rcv_scale},
	};

	if (is_after(t->rcv_nxt + plain, t->edge))
		t->edge = t->rcv_nxt + plain;
	emit(sim, &t->tuple, &seg);
}

static void on_rto(struct sim *sim, void *obj, uint64_t arg);

static void arm_rto(struct sim *sim, struct target_connection *t)
{
	sim_at(sim, sim->now_us + t->rto_us, on_rto, t, ++t->rto_timer);
}

static void stop_rto(struct target_connection *t)
{
	t->rto_timer++;
	t->rto_us = RTO_FIRST_US;
	t->retries = 0;
}

static void enter(struct target_connection *t, enum target_state state)
{
	t->state = state;
	if (state == T_CLOSED)
		t->rto_timer++;
}

static void end_time_wait(struct sim *sim, void *obj, uint64_t arg)
{
	struct target_connection *t = obj;

	(void)sim;
	if (t->state == T_TIME_WAIT && t->rto_timer == arg)
		enter(t, T_CLOSED);
}

static void enter_time_wait(struct sim *sim, struct target_connection *t)
{
	stop_rto(t);
	enter(t, T_TIME_WAIT);
	sim_at(sim, sim->now_us + TIME_WAIT_US, end_time_wait, t, t->rto_timer);
}

static void send_fin(struct sim *sim, struct target_connection *t)
{
	if (!t->fin_sent)
		enter(t, t->state == T_CLOSE_WAIT ? T_LAST_ACK : T_FIN_WAIT_1);
	t->fin_sent = true;
	emit_synchronized(sim, t, t->snd_nxt, 0, TCP_FIN);
	t->snd_nxt++;
}

static uint32_t room_of(const struct target_connection *t)
{
	uint32_t used = t->snd_nxt - t->snd_una;
	uint32_t wnd = t->cwnd < t->peer_wnd ? t->cwnd : t->peer_wnd;

	return wnd > used ? wnd - used : 0;
}

/* All that the windows allow now. */
static void transmit(struct sim *sim, struct target_connection *t)
{
	uint32_t end = t->iss + 1 + t->written;
	bool any = false;

	while (is_after(end, t->snd_nxt)) {
		uint32_t len = end - t->snd_nxt;
		uint32_t room = room_of(t);

		if (len > GSO_BYTES)
			len = GSO_BYTES / t->peer_mss * t->peer_mss;
		if (len > room)
			len = room;
		if (len == 0)
			break;
		if (is_after(t->snd_max, t->snd_nxt))
			SIM_COVER(sim, target_resent);
		emit_synchronized(sim, t, t->snd_nxt, len,
				  t->snd_nxt + len == end ? TCP_PSH : 0);
		t->snd_nxt += len;
		t->sent_us = sim->now_us;
		any = true;
	}
	if (t->fin_queued && t->snd_nxt == end) {
		send_fin(sim, t);
		any = true;
	}
	if (is_after(t->snd_nxt, t->snd_max))
		t->snd_max = t->snd_nxt;
	if (any)
		arm_rto(sim, t);
}

static void on_rto(struct sim *sim, void *obj, uint64_t arg)
{
	struct target_connection *t = obj;

	if (arg != t->rto_timer || t->state == T_CLOSED || !t->ours)
		return;
	if (++t->retries > RETRIES_MAX) {
		enter(t, T_CLOSED);
		return;
	}
	t->rto_us = t->rto_us * 2 > RTO_LAST_US ? RTO_LAST_US : t->rto_us * 2;
	if (t->state == T_SYN_RCVD) {
		send_syn_ack(sim, t);
		arm_rto(sim, t);
		return;
	}
	if (t->snd_una == t->snd_max)
		return;
	t->snd_nxt = t->snd_una;
	t->cwnd = t->peer_mss;
	transmit(sim, t);
}

static bool may_send(const struct target_connection *t)
{
	return t->state == T_ESTABLISHED || t->state == T_CLOSE_WAIT;
}

void target_write(struct sim *sim, struct target_connection *t, uint32_t len)
{
	if (!may_send(t) || t->fin_queued)
		return;
	if (t->snd_una == t->snd_max &&
	    sim->now_us >= t->sent_us + RTO_FIRST_US)
		t->cwnd = t->cwnd_first;
	t->written += len;
	transmit(sim, t);
}

void target_close(struct sim *sim, struct target_connection *t)
{
	t->app_closed = true;
	if (!may_send(t) || t->fin_queued)
		return;
	t->fin_queued = true;
	transmit(sim, t);
}

void target_reset(struct sim *sim, struct target_connection *t)
{
	struct segment seg = {
		.seq = t->snd_nxt,
		.ack = t->rcv_nxt,
		.flags = TCP_RST | TCP_ACK,
	};

	t->app_closed = true;
	emit(sim, &t->tuple, &seg);
	enter(t, T_CLOSED);
}

void target_read(struct sim *sim, struct target_connection *t)
{
	bool was_shut = t->edge == t->rcv_nxt;

	t->read = t->received;
	if (was_shut && t->state != T_CLOSED)
		send_ack(sim, t); /* the window is open again */
}

/* --- segment arrival ----------------------------------------------------- */

static void grow(struct sim *sim, struct target_connection *t, uint32_t need)
{
	uint32_t room = t->room ? t->room : 4096;
	uint8_t *bytes, *have;

	if (need <= t->room)
		return;
	while (room < need)
		room *= 2;
	bytes = sim_alloc(sim, room);
	have = sim_alloc(sim, room);
	if (t->room) {
		memcpy(bytes, t->bytes, t->room);
		memcpy(have, t->have, t->room);
	}
	t->bytes = bytes;
	t->have = have;
	t->room = room;
}

static void send_delayed_ack(struct sim *sim, void *obj, uint64_t arg)
{
	struct target_connection *t = obj;

	if (arg == t->ack_timer && t->ack_pending && t->state != T_CLOSED)
		send_ack(sim, t);
}

static struct target_connection *add(struct sim *sim,
				     const struct four_tuple *tuple)
{
	struct target_connection *t = sim_alloc(sim, sizeof(*t)), **chain;
	struct rng *dice = &sim->target_dice;
	bool small = rng_chance(dice, sim->p.small_windows);

	t->tuple = *tuple;
	t->iss = (uint32_t)rng_next(dice);
	t->snd_una = t->iss;
	t->snd_nxt = t->snd_max = t->iss + 1;
	t->buffer_bytes = small ? rng_between(dice, 1500, 9000)
				: rng_between(dice, 20000, 300000);
	t->rcv_scale = (uint8_t)(small ? rng_between(dice, 0, 9)
				       : rng_between(dice, 3, 11));
	t->segment_max = rng_chance(dice, 200) ? 536 : 1460;
	t->rto_us = RTO_FIRST_US;
	t->next = sim->target->all;
	sim->target->all = t;
	chain = &sim->target->by_tuple[index_of_tuple(tuple)];
	t->next_of_tuple = *chain;
	*chain = t;
	return t;
}

static void listen_syn(struct sim *sim, const struct segment *seg)
{
	struct target_connection *t;

	if (sim->now_us >= sim->target->refuse_from_us &&
	    sim->now_us < sim->target->refuse_until_us) {
		SIM_COVER(sim, target_refused);
		reply_rst(sim, seg);
		return;
	}
	t = add(sim, &seg->tuple);
	t->ours = true;
	t->irs = seg->seq;
	t->rcv_nxt = t->edge = seg->seq + 1;
	t->peer_scale = seg->opts.has_wscale ? seg->opts.wscale : 0;
	if (!seg->opts.has_wscale)
		t->rcv_scale = 0;
	t->peer_mss = seg->opts.mss_bytes ? seg->opts.mss_bytes : 536;
	t->peer_wnd = seg->wnd;
	t->cwnd = t->cwnd_first =
		rng_between(&sim->target_dice, 1, 10) * t->peer_mss;
	t->rto_us = 1000000;
	enter(t, T_SYN_RCVD);
	send_syn_ack(sim, t);
	arm_rto(sim, t);
}

static void challenge(struct sim *sim, struct target_connection *t)
{
	if (sim->faults_on && rng_chance(&sim->target_dice, 200))
		return; /* they are rate-limited */
	SIM_COVER(sim, challenges);
	send_ack(sim, t);
}

static bool is_acceptable(const struct target_connection *t,
			  const struct segment *seg)
{
	uint32_t len = seg->payload_len + (seg->flags & TCP_FIN ? 1 : 0);
	uint32_t wnd = t->edge - t->rcv_nxt;

	if (len == 0)
		return is_within(seg->seq, t->rcv_nxt, wnd + 1);
	if (wnd == 0)
		return false;
	return is_within(seg->seq, t->rcv_nxt, wnd) ||
	       is_within(seg->seq + len - 1, t->rcv_nxt, wnd);
}

static void on_rst(struct sim *sim, struct target_connection *t,
		   const struct segment *seg)
{
	if (seg->seq == t->rcv_nxt)
		enter(t, T_CLOSED);
	else if (is_within(seg->seq, t->rcv_nxt, t->edge - t->rcv_nxt))
		challenge(sim, t);
}

static void on_fin_acked(struct sim *sim, struct target_connection *t)
{
	if (t->state == T_FIN_WAIT_1)
		enter(t, T_FIN_WAIT_2);
	else if (t->state == T_CLOSING)
		enter_time_wait(sim, t);
	else if (t->state == T_LAST_ACK)
		enter(t, T_CLOSED);
}

/* false: the segment is not to be looked at any further. */
static bool on_ack(struct sim *sim, struct target_connection *t,
		   const struct segment *seg)
{
	if (is_after(seg->ack, t->snd_max)) {
		send_ack(sim, t);
		return false;
	}
	t->peer_wnd = (uint32_t)seg->wnd << t->peer_scale;
	if (is_after(seg->ack, t->snd_una)) {
		if (t->cwnd < CWND_MAX)
			t->cwnd += seg->ack - t->snd_una;
		t->snd_una = seg->ack;
		if (is_after(t->snd_una, t->snd_nxt))
			t->snd_nxt = t->snd_una;
		stop_rto(t);
		if (t->fin_sent && t->snd_una == t->iss + 2 + t->written)
			on_fin_acked(sim, t);
		else if (t->snd_una != t->snd_max)
			arm_rto(sim, t);
	}
	return t->state != T_CLOSED;
}

/* Takes what fits; true: something new became contiguous. */
static bool take_bytes(struct sim *sim, struct target_connection *t,
		       const struct segment *seg)
{
	uint32_t had = t->received;

	for (uint32_t i = 0; i < seg->payload_len; i++) {
		uint32_t seq = seg->seq + i, at = seq - t->irs - 1;

		if (!is_within(seq, t->rcv_nxt, t->edge - t->rcv_nxt))
			continue;
		grow(sim, t, at + 1);
		if (t->have[at])
			continue;
		t->have[at] = 1;
		t->bytes[at] = seg->payload[i];
	}
	while (t->received < t->room && t->have[t->received])
		t->received++;
	t->rcv_nxt = t->irs + 1 + t->received;
	if (t->received > had)
		check_received(sim, t);
	return t->received > had;
}

static void take_fin(struct sim *sim, struct target_connection *t)
{
	if (!t->fin_known || t->fin_seen || t->fin_at != t->rcv_nxt)
		return;
	t->fin_seen = true;
	if (t->state == T_ESTABLISHED)
		enter(t, T_CLOSE_WAIT);
	else if (t->state == T_FIN_WAIT_1)
		enter(t, T_CLOSING);
	else if (t->state == T_FIN_WAIT_2)
		enter_time_wait(sim, t);
}

static void ack_soon(struct sim *sim, struct target_connection *t,
		     const struct segment *seg, bool in_order)
{
	bool lazy = t->buffer_bytes & 1; /* some do, some do not */

	t->unacked_segments += seg->payload_len > t->segment_max ? 2 : 1;
	if (!in_order || !lazy || t->fin_seen || t->unacked_segments >= 2) {
		send_ack(sim, t);
		return;
	}
	t->ack_pending = true;
	sim_at(sim, sim->now_us + DELAYED_ACK_US, send_delayed_ack, t,
	       ++t->ack_timer);
}

static void on_text(struct sim *sim, struct target_connection *t,
		    const struct segment *seg)
{
	uint32_t end = seg->seq + seg->payload_len;
	bool fin = seg->flags & TCP_FIN, grew = false;

	if (seg->payload_len == 0 && !fin)
		return;
	if (t->app_closed && seg->payload_len > 0 &&
	    is_after(end, t->rcv_nxt)) {
		/* nobody will ever read it */
		target_reset(sim, t);
		return;
	}
	if (seg->payload_len > 0 && !t->fin_seen)
		grew = take_bytes(sim, t, seg);
	if (fin && !t->fin_known && is_within(end, t->irs + 1, 1u << 30)) {
		t->fin_known = true;
		t->fin_at = end;
	}
	take_fin(sim, t);
	if (t->fin_seen && t->received == t->fin_at - t->irs - 1)
		t->rcv_nxt = t->fin_at + 1;
	if (t->state == T_CLOSED)
		return;
	if (is_after(t->rcv_nxt, t->edge))
		t->edge = t->rcv_nxt; /* a FIN takes no window */
	ack_soon(sim, t, seg, grew);
	app_on_bytes(sim, t);
}

static void on_synchronized(struct sim *sim, struct target_connection *t,
			    const struct segment *seg)
{
	if (seg->flags & TCP_RST) {
		on_rst(sim, t, seg);
		return;
	}
	if (seg->flags & TCP_SYN) {
		if (t->state == T_SYN_RCVD && seg->seq == t->irs)
			send_syn_ack(sim, t);
		else
			challenge(sim, t);
		return;
	}
	if (!is_acceptable(t, seg)) {
		send_ack(sim, t);
		return;
	}
	if (!(seg->flags & TCP_ACK))
		return;
	if (t->state == T_SYN_RCVD) {
		if (seg->ack != t->iss + 1) {
			reply_rst(sim, seg);
			return;
		}
		enter(t, T_ESTABLISHED);
		app_on_established(sim, t);
	}
	if (on_ack(sim, t, seg)) {
		on_text(sim, t, seg);
		if (t->state != T_CLOSED)
			transmit(sim, t);
	}
}

static void on_time_wait(struct sim *sim, struct target_connection *t,
			 const struct segment *seg)
{
	if (seg->flags & TCP_RST) {
		if (seg->seq == t->rcv_nxt)
			enter(t, T_CLOSED);
	} else if (seg->flags & TCP_SYN && is_after(seg->seq, t->rcv_nxt)) {
		SIM_COVER(sim, time_wait_reused);
		enter(t, T_CLOSED);
		listen_syn(sim, seg);
	} else if (seg->flags & TCP_SYN) {
		challenge(sim, t);
	} else if (seg->flags & TCP_FIN || !is_acceptable(t, seg)) {
		send_ack(sim, t);
	}
}

void target_on_packet(struct sim *sim, struct sim_packet *pkt)
{
	const struct segment *seg = &pkt->seg;
	struct target_connection *t = find_live(sim, &seg->tuple);

	sim_trace_segment(sim, "arrived", seg);
	if (!t && (seg->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN)
		listen_syn(sim, seg);
	else if (!t && !(seg->flags & TCP_RST))
		reply_rst(sim, seg);
	else if (t && t->state == T_TIME_WAIT)
		on_time_wait(sim, t, seg);
	else if (t)
		on_synchronized(sim, t, seg);
}

/* Connections that an earlier user of the tuple has left behind. */
static void leave_old_ones(struct sim *sim)
{
	struct rng *dice = &sim->target_dice;
	const struct conversations *cs = sim->conversations;

	for (unsigned i = 0; i < cs->count; i++) {
		const struct conversation *c = &cs->all[i];
		struct target_connection *t;
		struct four_tuple tuple = c->tuple;
		uint32_t distance = rng_between(dice, 1000, 1u << 20);

		if (!rng_chance(dice, sim->p.old_connections))
			continue;
		tuple.dst.addr = sim_addr(!addr_is_v4(&tuple.src.addr), 2, 1);
		if (tuple.dst.port == SIM_HTTP_PORT)
			tuple.dst.port = SIM_TARGET_PORT;
		if (find_live(sim, &tuple))
			continue;
		t = add(sim, &tuple);
		t->rcv_nxt = rng_chance(dice, 700) ? c->iss - distance
						   : c->iss + distance;
		t->irs = t->rcv_nxt - 1;
		t->edge = t->rcv_nxt + 20000;
		t->peer_mss = 1460;
		t->snd_una = t->snd_nxt;
		enter(t, rng_chance(dice, 700) ? T_TIME_WAIT : T_ESTABLISHED);
	}
}

void target_new(struct sim *sim)
{
	struct rng *dice = &sim->target_dice;

	sim->target = sim_alloc(sim, sizeof(*sim->target));
	if (sim->p.refusing) {
		sim->target->refuse_from_us =
			sim->now_us + rng_below(dice, sim->p.spread_us);
		sim->target->refuse_until_us =
			sim->target->refuse_from_us +
			rng_between(dice, 200000, sim->p.refusing);
	}
	leave_old_ones(sim);
}

void target_mend(struct sim *sim)
{
	sim->target->refuse_until_us = 0;
}
