// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Every packet is dropped but those to the passlist. Some are judged at once,
 * so that the waiting for their routes is shared. Of a dropped one the header
 * goes to the session's owner if there is a route (router.c). The
 * answer to a SYN that has no route yet is kept for a moment (early.c) and
 * sent when the route comes. Messages wait in a ring until they are pulled.
 *
 * A long answer is many packets, which come together. Those that follow each
 * other and differ in nothing else become one header as long as it waits here:
 * who gets it does the same as if they had come one by one at that moment.
 *
 * A packet that comes by a link may be injected if it is a plain TCP packet to
 * a port that is served, and of a session that the link's own instance has
 * registered: nobody can say anything in another's name.
 *
 * Of sessions of which all packets come that way long answers are acknowledged
 * and told as a whole (local_ack.c). Their packets are taken first, and settled
 * when the first message is pulled.
 */
#include "core/divert.h"

#include "core/check.h"
#include "core/early.h"
#include "core/local_ack.h"
#include "core/packet.h"
#include "core/router.h"
#include "core/seq.h"
#include "core/timers.h"

/* What DIVERT_BATCH events can put out: one message each and what it finds
 * untold, or a registration all the early answers, of which each event can have
 * added one; and what one timer finds paused. */
#define OUT_MAX	 (3 * DIVERT_BATCH + EARLY_COUNT)
#define ACKS_MAX (2 * DIVERT_BATCH)
#define SWEEP_US 1000u /* between two steps of giving up routes */
/* So many messages back a header is looked for that a packet continues. */
#define MERGE_REACH 8u

struct out {
	uint32_t link_id;
	struct wire_msg msg;
};

struct divert {
	struct router *router;
	struct early early;
	struct addr_prefix *passlist;
	size_t passlist_count;
	uint16_t *relay_ports;
	size_t relay_port_count;
	struct divert_counters counters;
	struct out out[OUT_MAX];
	uint32_t out_first, out_count;
	uint64_t routes_us; /* next look for routes to give up */
	struct locals locals;
	bool *link_locals; /* by link id: they are allowed */
	uint32_t links_max;
	uint64_t now_us; /* of the last packets */
	struct segment acks[ACKS_MAX];
	uint32_t acks_first, acks_count;
};

static size_t passlist_bytes(const struct divert *d)
{
	return (d->passlist_count + 1) * sizeof(d->passlist[0]);
}

static size_t relay_ports_bytes(const struct divert *d)
{
	return (d->relay_port_count + 1) * sizeof(d->relay_ports[0]);
}

static size_t link_locals_bytes(const struct divert *d)
{
	return (d->links_max + 1) * sizeof(d->link_locals[0]);
}

struct divert *divert_new(const struct divert_config *cfg,
			  const struct mem *mem, uint64_t now_us)
{
	struct divert *d = mem->alloc(mem->ctx, sizeof(*d));

	(void)now_us;
	if (!d)
		return NULL;
	d->routes_us = TIME_NEVER;
	d->passlist_count = cfg->passlist_count;
	d->passlist = mem->alloc(mem->ctx, passlist_bytes(d));
	d->relay_port_count = cfg->relay_port_count;
	d->relay_ports = mem->alloc(mem->ctx, relay_ports_bytes(d));
	ASSERT(cfg->locals_max <= ROUTER_LOCALS_MAX);
	d->links_max = cfg->links_max;
	d->link_locals = mem->alloc(mem->ctx, link_locals_bytes(d));
	d->router = router_new(cfg->routes_max, cfg->links_max, &cfg->hash_key,
			       mem);
	if (!locals_init(&d->locals, mem, cfg->locals_max) || !d->passlist ||
	    !d->relay_ports || !d->link_locals || !d->router) {
		divert_free(d, mem);
		return NULL;
	}
	router_use_locals(d->router, &d->locals);
	for (size_t i = 0; i < cfg->passlist_count; i++)
		d->passlist[i] = cfg->passlist[i];
	for (size_t i = 0; i < cfg->relay_port_count; i++)
		d->relay_ports[i] = cfg->relay_ports[i];
	return d;
}

void divert_free(struct divert *d, const struct mem *mem)
{
	if (d->router)
		router_free(d->router, mem);
	locals_fini(&d->locals, mem);
	if (d->link_locals)
		mem->free(mem->ctx, d->link_locals, link_locals_bytes(d));
	if (d->passlist)
		mem->free(mem->ctx, d->passlist, passlist_bytes(d));
	if (d->relay_ports)
		mem->free(mem->ctx, d->relay_ports, relay_ports_bytes(d));
	mem->free(mem->ctx, d, sizeof(*d));
}

static void emit(struct divert *d, uint32_t link_id, const struct wire_msg *msg)
{
	struct out *slot;

	ASSERT(d->out_count < OUT_MAX);
	slot = &d->out[(d->out_first + d->out_count++) % OUT_MAX];
	slot->link_id = link_id;
	slot->msg = *msg;
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
		emit(d, hit.link_id, &msg);
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

/* Those that have paused, in steps. */
static void tell_paused(struct divert *d, uint64_t now_us)
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

static struct wire_response response_of(const struct segment *seg)
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

/* Of the segments of a server, only these answer a SYN. */
static bool answers_syn(const struct segment *seg)
{
	return seg->flags & TCP_ACK && seg->flags & (TCP_SYN | TCP_RST);
}

static void keep_early(struct divert *d, const struct segment *seg,
		       uint64_t now_us)
{
	struct wire_response resp = response_of(seg);

	d->counters.early++;
	d->counters.early_expired += early_keep(&d->early, &seg->tuple, &resp,
						now_us + DIVERT_EARLY_US);
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
			       .response = response_of(seg)};

	if (hit->link_id == ROUTER_NO_LINK) {
		d->counters.no_link++;
		return;
	}
	d->counters.routed++;
	if (seg->payload_len > 0 && merge(d, seg, hit))
		return;
	msg.response.route_id = hit->route_id;
	emit(d, hit->link_id, &msg);
}

static void end_local(struct divert *d, const struct router_hit *hit)
{
	locals_end(&d->locals, hit->local);
	router_set_local(hit->route, POOL_NONE);
}

/* Tells what is untold, so that what comes next stands behind it. */
static void flush_local(struct divert *d, const struct router_hit *hit)
{
	struct local_word word = {0};

	word.tell = locals_flush(&d->locals, hit->local, &word.resp);
	if (word.tell)
		do_word(d, hit->local, &word);
}

static void route_local(struct divert *d, const struct segment *seg,
			const struct router_hit *hit, uint64_t now_us)
{
	d->now_us = now_us;
	if (hit->link_id != ROUTER_NO_LINK &&
	    locals_take(&d->locals, hit->local, seg, now_us)) {
		d->counters.routed++;
		return;
	}
	flush_local(d, hit);
	send_response(d, seg, hit);
	if (hit->link_id == ROUTER_NO_LINK ||
	    seg->flags & (TCP_SYN | TCP_FIN | TCP_RST))
		end_local(d, hit);
	else
		locals_skip(&d->locals, hit->local, seg);
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

static void send_answer(struct divert *d, const struct segment *seg,
			struct router_hit *hit, uint64_t now_us)
{
	if (hit->local == POOL_NONE && locals_begins(seg, hit->mss_bytes))
		begin_local(d, seg, hit);
	if (hit->local == POOL_NONE)
		send_response(d, seg, hit);
	else
		route_local(d, seg, hit, now_us);
}

/* A packet that is being judged, in three steps. */
struct arrival {
	struct segment seg;
	struct router_look look;
	bool is_answer; /* it is to be dropped, and may have a route */
};

static void route(struct divert *d, const struct arrival *at, uint64_t now_us)
{
	const struct segment *seg = &at->seg;
	struct router_hit hit;
	bool found = router_find(d->router, &at->look, &hit);

	/* A SYN-ACK to another SYN is for a session that has the tuple next,
	 * and whose registration is on its way. */
	if (found && !(seg->flags & TCP_SYN && seg->ack != hit.iss + 1))
		send_answer(d, seg, &hit, now_us);
	else if (answers_syn(seg))
		keep_early(d, seg, now_us);
	else
		d->counters.unrouted++;
}

static enum verdict arrive(struct divert *d, const struct divert_packet *packet,
			   struct arrival *at)
{
	enum packet_error error =
		packet_parse(&at->seg, packet->bytes.l3, packet->bytes.cap_len,
			     packet->bytes.wire_len);

	at->is_answer = false;
	d->counters.packets++;
	if (error != PACKET_OK) {
		d->counters.malformed++;
		return VERDICT_DROP;
	}
	if (verdict_for(d->passlist, d->passlist_count,
			&at->seg.tuple.dst.addr) == VERDICT_ACCEPT) {
		d->counters.accepted++;
		return VERDICT_ACCEPT;
	}
	at->is_answer = true;
	at->look = router_look(d->router, &at->seg.tuple);
	return VERDICT_DROP;
}

void divert_on_packets(struct divert *d, const struct divert_packet *packets,
		       unsigned count, uint64_t now_us, enum verdict *verdicts)
{
	struct arrival at[DIVERT_AT_ONCE];

	ASSERT(count <= DIVERT_AT_ONCE);
	for (unsigned i = 0; i < count; i++)
		verdicts[i] = arrive(d, &packets[i], &at[i]);
	for (unsigned i = 0; i < count; i++)
		if (at[i].is_answer)
			router_fetch(d->router, &at[i].look);
	for (unsigned i = 0; i < count; i++)
		if (at[i].is_answer)
			route(d, &at[i], now_us);
}

static uint64_t first_ownerless_us(const struct divert *d)
{
	uint64_t since_us = router_ownerless_us(d->router);

	return since_us == UINT64_MAX ? TIME_NEVER
				      : since_us + DIVERT_OWNERLESS_US;
}

bool divert_on_link_up(struct divert *d, unsigned link_id, uint64_t instance,
		       uint64_t now_us)
{
	(void)now_us;
	d->link_locals[link_id] = false;
	return router_link_up(d->router, link_id, instance);
}

void divert_allow_local_acks(struct divert *d, unsigned link_id)
{
	d->link_locals[link_id] = true;
}

void divert_on_link_down(struct divert *d, unsigned link_id, uint64_t now_us)
{
	router_link_down(d->router, link_id, now_us);
	if (d->routes_us == TIME_NEVER)
		d->routes_us = first_ownerless_us(d);
}

static void deliver_early(struct divert *d, uint32_t link_id,
			  const struct wire_route *added)
{
	struct four_tuple tuple = {.src = added->target, .dst = added->client};
	struct wire_msg msg = {.type = WIRE_RESPONSE};

	while (early_take(&d->early, &tuple, added->iss, &msg.response)) {
		msg.response.route_id = added->route_id;
		d->counters.early_delivered++;
		emit(d, link_id, &msg);
	}
}

static void refuse(struct divert *d, uint32_t link_id,
		   const struct wire_route *refused)
{
	struct wire_msg msg = {.type = WIRE_ROUTE_REFUSED, .route = *refused};

	emit(d, link_id, &msg);
}

static void add_route(struct divert *d, uint32_t link_id,
		      const struct wire_route *added)
{
	switch (router_add(d->router, link_id, added)) {
	case ROUTER_ADDED:
		d->counters.routes_added++;
		deliver_early(d, link_id, added);
		return;
	case ROUTER_REFUSED:
		d->counters.routes_refused++;
		refuse(d, link_id, added);
		return;
	case ROUTER_FULL:
		d->counters.routes_full++;
		refuse(d, link_id, added);
		return;
	case ROUTER_LATE:
		return; /* its end is on the same way, behind it */
	}
}

void divert_on_msg(struct divert *d, unsigned link_id,
		   const struct wire_msg *msg, uint64_t now_us)
{
	if (msg->type == WIRE_ROUTE_ADD)
		add_route(d, link_id, &msg->route);
	else if (msg->type == WIRE_ROUTE_DEL)
		d->counters.routes_deleted +=
			router_del(d->router, link_id, &msg->route);
	else if (msg->type == WIRE_ROUND &&
		 router_round(d->router, link_id, &msg->round))
		d->routes_us = now_us;
}

static bool serves(const struct divert *d, uint16_t port)
{
	for (size_t i = 0; i < d->relay_port_count; i++)
		if (d->relay_ports[i] == port)
			return true;
	return false;
}

/* What IPv6 calls an IPv4-mapped address is no address of an IPv6 packet. */
static bool is_of_its_family(const uint8_t *l3, const struct four_tuple *ends)
{
	bool v4 = l3[0] >> 4 == 4;

	return addr_is_v4(&ends->src.addr) == v4 &&
	       addr_is_v4(&ends->dst.addr) == v4;
}

/* It will have come to the target before anything of ours that is about it. */
static void note_passing(struct divert *d, const struct segment *seg,
			 const struct router_hit *hit)
{
	if (seg->flags & TCP_SYN && seg->seq == hit->iss)
		router_set_mss(hit->route, seg->opts.mss_bytes);
	if (hit->local == POOL_NONE)
		return;
	if (seg->flags & (TCP_SYN | TCP_RST))
		end_local(d, hit);
	else
		locals_pass(&d->locals, hit->local, seg);
}

bool divert_on_relay(struct divert *d, unsigned link_id,
		     const struct wire_relay *relay, struct four_tuple *ends)
{
	struct router_hit hit;
	struct segment seg;

	if (!packet_is_plain(relay->l3, relay->len) ||
	    packet_parse(&seg, relay->l3, relay->len, relay->len) !=
		    PACKET_OK ||
	    !is_of_its_family(relay->l3, &seg.tuple)) {
		d->counters.relay_malformed++;
		return false;
	}
	if (!serves(d, seg.tuple.dst.port)) {
		d->counters.relay_unserved++;
		return false;
	}
	if (!router_owns(d->router, link_id, &seg.tuple, &hit)) {
		d->counters.relay_unrouted++;
		return false;
	}
	d->counters.relayed++;
	note_passing(d, &seg, &hit);
	*ends = seg.tuple;
	return true;
}

/* One step of giving up routes. */
static void sweep(struct divert *d, uint64_t now_us)
{
	struct router_dropped dropped = {0};
	bool more = router_expire(d->router, now_us - DIVERT_OWNERLESS_US,
				  &dropped);

	d->counters.routes_expired += dropped.ownerless;
	d->counters.routes_untold += dropped.untold;
	d->routes_us = more ? now_us + SWEEP_US : first_ownerless_us(d);
}

void divert_on_timer(struct divert *d, uint64_t now_us)
{
	d->counters.early_expired += early_expire(&d->early, now_us);
	tell_paused(d, now_us);
	if (now_us >= d->routes_us)
		sweep(d, now_us);
}

uint64_t divert_deadline_us(const struct divert *d)
{
	uint64_t early_us = early_until_us(&d->early);
	uint64_t paused_us = locals_deadline_us(&d->locals);
	uint64_t at_us = early_us < d->routes_us ? early_us : d->routes_us;

	return paused_us < at_us ? paused_us : at_us;
}

const struct divert_counters *divert_counters(const struct divert *d)
{
	return &d->counters;
}

uint32_t divert_routes(const struct divert *d)
{
	return router_routes(d->router);
}
