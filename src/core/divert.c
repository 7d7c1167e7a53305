// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Every packet is dropped but those to the passlist. Some are judged at once,
 * so that the waiting for their routes is shared. Of a dropped one the header
 * goes to the session's owner if there is a route (router.c). The
 * answer to a SYN that has no route yet is kept for a moment (early.c) and
 * sent when the route comes. What is put out is divert_answers.c's business,
 * what comes to be injected divert_relay.c's.
 */
#include "core/divert_internal.h"

#include "core/check.h"
#include "core/packet.h"
#include "core/timers.h"

#define SWEEP_US 1000u /* between two steps of giving up routes */

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

/* Of the segments of a server, only these answer a SYN. */
static bool answers_syn(const struct segment *seg)
{
	return seg->flags & TCP_ACK && seg->flags & (TCP_SYN | TCP_RST);
}

static void keep_early(struct divert *d, const struct segment *seg,
		       uint64_t now_us)
{
	struct wire_response resp = divert_response_of(seg);

	d->counters.early++;
	d->counters.early_expired += early_keep(&d->early, &seg->tuple, &resp,
						now_us + DIVERT_EARLY_US);
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
		divert_answer(d, seg, &hit, now_us);
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
		divert_emit(d, link_id, &msg);
	}
}

static void refuse(struct divert *d, uint32_t link_id,
		   const struct wire_route *refused)
{
	struct wire_msg msg = {.type = WIRE_ROUTE_REFUSED, .route = *refused};

	divert_emit(d, link_id, &msg);
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

/* One step of giving up routes. */
static void sweep(struct divert *d, uint64_t now_us)
{
	struct router_dropped dropped = {0};
	uint64_t before_us =
		now_us > DIVERT_OWNERLESS_US ? now_us - DIVERT_OWNERLESS_US : 0;
	bool more = router_expire(d->router, before_us, &dropped);

	d->counters.routes_expired += dropped.ownerless;
	d->counters.routes_untold += dropped.untold;
	d->routes_us = more ? now_us + SWEEP_US : first_ownerless_us(d);
}

void divert_on_timer(struct divert *d, uint64_t now_us)
{
	d->counters.early_expired += early_expire(&d->early, now_us);
	divert_tell_paused(d, now_us);
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
