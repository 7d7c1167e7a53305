// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Messages wait in a ring until they are pulled. A long answer is many packets,
 * which come together. Those that follow each other and differ in nothing else
 * become one header as long as it waits here: who gets it does the same as if
 * they had come one by one at that moment.
 *
 * Of sessions of which all packets come by the links, long answers are
 * acknowledged and told as a whole (local_ack.c). Their packets are taken
 * first, and settled when the first message is pulled.
 */
#include "core/check.h"
#include "core/divert_internal.h"
#include "core/seq.h"

/* So many messages back a header is looked for that a packet continues. */
#define MERGE_REACH 8u

void divert_emit(struct divert *d, uint32_t link_id, const struct wire_msg *msg)
{
	struct out *slot;

	ASSERT(d->out_count < OUT_MAX);
	slot = &d->out[(d->out_first + d->out_count++) % OUT_MAX];
	slot->link_id = link_id;
	slot->msg = *msg;
}

struct wire_response divert_response_of(const struct segment *seg)
{
	struct wire_response resp = {
		.seq = seg->seq,
		.ack = seg->ack,
		.payload_len = seg->payload_len,
		.wnd = seg->wnd,
		.flags = seg->flags,
	};

	if (seg->flags & TCP_SYN)
		resp.opts = seg->opts;
	return resp;
}

static void do_word(struct divert *d, uint32_t local,
		    const struct local_word *word)
{
	struct wire_msg msg = {.type = WIRE_RESPONSE, .response = word->resp};
	struct router_hit hit;
	struct four_tuple ends;

	router_tell(d->router, locals_at(&d->locals, local)->route, &hit,
		    &ends);
	msg.response.route_id = hit.route_id;
	if (word->tell && hit.link_id != ROUTER_NO_LINK)
		divert_emit(d, hit.link_id, &msg);
	if (!word->ack)
		return;
	d->acks[d->acks_count] = word->seg;
	d->acks[d->acks_count++].tuple = ends;
	d->counters.local_acks++;
}

static void settle_locals(struct divert *d)
{
	struct local_word word;
	uint32_t id;

	while ((id = locals_settle(&d->locals, d->acks_count < ACKS_MAX, &word,
				   d->now_us)) != POOL_NONE)
		do_word(d, id, &word);
}

void divert_tell_paused(struct divert *d, uint64_t now_us)
{
	struct local_word word;

	for (unsigned n = 0; n < DIVERT_BATCH; n++) {
		uint32_t id = locals_due(&d->locals, d->acks_count < ACKS_MAX,
					 &word, now_us);

		if (id == POOL_NONE)
			return;
		do_word(d, id, &word);
	}
}

/* The last header of this session if it is among the youngest messages. */
static struct wire_response *last_response(struct divert *d,
					   const struct router_hit *hit)
{
	uint32_t reach =
		d->out_count < MERGE_REACH ? d->out_count : MERGE_REACH;

	for (uint32_t i = 1; i <= reach; i++) {
		struct out *o =
			&d->out[(d->out_first + d->out_count - i) % OUT_MAX];

		if (o->msg.type == WIRE_RESPONSE &&
		    o->msg.response.route_id == hit->route_id &&
		    o->link_id == hit->link_id)
			return &o->msg.response;
	}
	return NULL;
}

/* Bytes right behind those of resp, with the same acknowledgement and window.
 * A bare ACK is none: its number counts. */
static bool continues(const struct wire_response *resp,
		      const struct segment *seg)
{
	return (resp->flags & ~TCP_PSH) == TCP_ACK &&
	       (seg->flags & ~TCP_PSH) == TCP_ACK && resp->payload_len > 0 &&
	       seg->payload_len > 0 &&
	       seg->seq == resp->seq + resp->payload_len &&
	       seg->ack == resp->ack && seg->wnd == resp->wnd;
}

static bool merge(struct divert *d, const struct segment *seg,
		  const struct router_hit *hit)
{
	struct wire_response *resp = last_response(d, hit);

	if (!resp || !continues(resp, seg))
		return false;
	resp->payload_len += seg->payload_len;
	resp->flags = seg->flags;
	d->counters.merged++;
	return true;
}

static void send_response(struct divert *d, const struct segment *seg,
			  const struct router_hit *hit)
{
	struct wire_msg msg = {.type = WIRE_RESPONSE,
			       .response = divert_response_of(seg)};

	if (hit->link_id == ROUTER_NO_LINK) {
		d->counters.no_link++;
		return;
	}
	d->counters.routed++;
	if (seg->payload_len > 0 && merge(d, seg, hit))
		return;
	msg.response.route_id = hit->route_id;
	divert_emit(d, hit->link_id, &msg);
}

void divert_end_local(struct divert *d, const struct router_hit *hit)
{
	locals_end(&d->locals, hit->local);
	router_set_local(hit->route, POOL_NONE);
}

static void route_local(struct divert *d, const struct segment *seg,
			const struct router_hit *hit, uint64_t now_us)
{
	struct local_word before;

	d->now_us = now_us;
	if (hit->link_id == ROUTER_NO_LINK) { /* nobody hears of it */
		send_response(d, seg, hit);
		divert_end_local(d, hit);
		return;
	}
	if (locals_take(&d->locals, hit->local, seg, now_us, &before)) {
		d->counters.routed++;
		return;
	}
	do_word(d, hit->local, &before);
	send_response(d, seg, hit);
	if (seg->flags & (TCP_SYN | TCP_FIN | TCP_RST))
		divert_end_local(d, hit);
}

/* Not for what an earlier session on the tuple has left behind. */
static void begin_local(struct divert *d, const struct segment *seg,
			struct router_hit *hit)
{
	if (hit->link_id == ROUTER_NO_LINK || !d->link_locals[hit->link_id] ||
	    !seq_gt(seg->ack, hit->iss))
		return;
	hit->local = locals_begin(&d->locals, hit->route, hit->mss_bytes, seg);
	router_set_local(hit->route, hit->local);
	d->counters.local_sessions += hit->local != POOL_NONE;
}

void divert_answer(struct divert *d, const struct segment *seg,
		   struct router_hit *hit, uint64_t now_us)
{
	if (hit->local == POOL_NONE && locals_begins(seg, hit->mss_bytes))
		begin_local(d, seg, hit);
	if (hit->local == POOL_NONE)
		send_response(d, seg, hit);
	else
		route_local(d, seg, hit, now_us);
}

bool divert_next_ack(struct divert *d, struct segment *ack)
{
	if (d->acks_first == d->acks_count) {
		d->acks_first = d->acks_count = 0;
		return false;
	}
	*ack = d->acks[d->acks_first++];
	return true;
}

bool divert_next_msg(struct divert *d, unsigned *link_id, struct wire_msg *msg)
{
	struct out *slot = &d->out[d->out_first];

	settle_locals(d);
	if (d->out_count == 0)
		return false;
	*link_id = slot->link_id;
	*msg = slot->msg;
	d->out_count--;
	/* From the beginning again: what was used last is in the cache. */
	d->out_first = d->out_count ? (d->out_first + 1) % OUT_MAX : 0;
	return true;
}
