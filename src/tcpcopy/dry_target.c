// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation: a route that tcpcopy registers is a connection here,
 * found by its two endpoints in a chained hash. A packet makes at most one
 * answer, which waits in a ring until it is taken.
 */
#include "tcpcopy/dry_target.h"

#include <string.h>

#include "core/check.h"
#include "core/packet.h"
#include "core/pool.h"
#include "core/seq.h"

#define WINDOW 65535
#define MSS    65495
/* Ours is another number than the client's, whatever that is. */
#define ISS_MIX 0x5bd1e995u

struct connection {
	uint32_t next;		 /* in the bucket: index + 1, 0: last */
	struct four_tuple tuple; /* client to target */
	uint64_t route_id;
	uint32_t rcv_nxt, snd_nxt;
	bool open, closed; /* SYN has come, FIN has been answered */
};

struct dry_target {
	struct pool connections;
	uint32_t *buckets; /* index + 1, 0: empty; as many as connections */
	struct hash_key key;
	struct wire_msg answers[DRY_BATCH];
	unsigned head, count;
};

struct dry_target *dry_target_new(const struct mem *mem,
				  const struct hash_key *key,
				  size_t memory_bytes)
{
	size_t each = sizeof(struct connection) + sizeof(uint32_t);
	uint32_t count = (uint32_t)(memory_bytes / each);
	struct dry_target *d = mem->alloc(mem->ctx, sizeof(*d));

	ASSERT(count > 0);
	if (!d)
		return NULL;
	d->key = *key;
	d->buckets = mem->alloc(mem->ctx, count * sizeof(*d->buckets));
	if (d->buckets &&
	    pool_init(&d->connections, mem, sizeof(struct connection), count))
		return d;
	if (d->buckets)
		mem->free(mem->ctx, d->buckets, count * sizeof(*d->buckets));
	mem->free(mem->ctx, d, sizeof(*d));
	return NULL;
}

void dry_target_free(struct dry_target *d, const struct mem *mem)
{
	mem->free(mem->ctx, d->buckets,
		  d->connections.count * sizeof(*d->buckets));
	pool_fini(&d->connections, mem);
	mem->free(mem->ctx, d, sizeof(*d));
}

static uint32_t *bucket_of(struct dry_target *d, const struct four_tuple *t)
{
	return &d->buckets[four_tuple_hash(&d->key, t) % d->connections.count];
}

static struct connection *at_index(struct dry_target *d, uint32_t link)
{
	return link ? pool_at(&d->connections, link - 1) : NULL;
}

/* The place that names the connection, or the end of its bucket's chain. */
static uint32_t *find(struct dry_target *d, const struct four_tuple *t)
{
	uint32_t *link = bucket_of(d, t);
	struct connection *c;

	while ((c = at_index(d, *link)) && !four_tuple_equal(&c->tuple, t))
		link = &c->next;
	return link;
}

static void add_route(struct dry_target *d, const struct four_tuple *t,
		      uint64_t route_id)
{
	uint32_t *link = find(d, t);
	struct connection *c;
	uint32_t index;

	if (!*link) {
		index = pool_take(&d->connections);
		if (index == POOL_NONE)
			return;
		*(struct connection *)pool_at(&d->connections, index) =
			(struct connection){.tuple = *t};
		*link = index + 1;
	}
	c = at_index(d, *link);
	if (c->route_id != route_id) {
		c->open = c->closed = false;
		c->route_id = route_id;
	}
}

static void delete_route(struct dry_target *d, const struct four_tuple *t)
{
	uint32_t *link = find(d, t);
	struct connection *c = at_index(d, *link);
	uint32_t index = *link - 1;

	if (!c)
		return;
	*link = c->next;
	pool_give(&d->connections, index);
}

void dry_target_on_msg(struct dry_target *d, const struct wire_msg *msg)
{
	struct four_tuple t = {.src = msg->route.client,
			       .dst = msg->route.target};

	if (msg->type == WIRE_ROUTE_ADD)
		add_route(d, &t, msg->route.route_id);
	else if (msg->type == WIRE_ROUTE_DEL)
		delete_route(d, &t);
}

static void answer(struct dry_target *d, struct connection *c, uint8_t flags,
		   uint32_t payload_len, const struct tcp_opts *opts)
{
	unsigned at = (d->head + d->count) % DRY_BATCH;

	ASSERT(d->count < DRY_BATCH);
	d->answers[at] = (struct wire_msg){
		.type = WIRE_RESPONSE,
		.response = {.route_id = c->route_id,
			     .seq = c->snd_nxt,
			     .ack = c->rcv_nxt,
			     .payload_len = payload_len,
			     .wnd = WINDOW,
			     .flags = flags,
			     .opts = *opts},
	};
	d->count++;
	c->snd_nxt += payload_len + !!(flags & (TCP_SYN | TCP_FIN));
}

static void on_syn(struct dry_target *d, struct connection *c,
		   const struct segment *seg)
{
	struct tcp_opts opts = {.mss_bytes = MSS,
				.has_wscale = seg->opts.has_wscale};

	c->snd_nxt = seg->seq ^ ISS_MIX;
	c->rcv_nxt = seg->seq + 1;
	c->open = true;
	c->closed = false;
	answer(d, c, TCP_SYN | TCP_ACK, 0, &opts);
}

static void on_data(struct dry_target *d, struct connection *c,
		    const struct segment *seg)
{
	static const struct tcp_opts no_opts;
	bool fin = seg->flags & TCP_FIN, new_bytes = false;
	uint32_t end = seg->seq + seg->payload_len + fin, payload = 0;
	uint8_t flags = TCP_ACK;

	if (seq_leq(seg->seq, c->rcv_nxt) && seq_gt(end, c->rcv_nxt)) {
		new_bytes = end - c->rcv_nxt > fin;
		c->rcv_nxt = end;
	}
	if (new_bytes && (seg->flags & TCP_PSH)) {
		payload = DRY_ANSWER_BYTES;
		flags |= TCP_PSH;
	}
	if (fin && c->rcv_nxt == end && !c->closed) {
		flags |= TCP_FIN;
		c->closed = true;
	}
	answer(d, c, flags, payload, &no_opts);
}

void dry_target_on_packet(struct dry_target *d, const uint8_t *l3, size_t len)
{
	struct connection *c;
	struct segment seg;

	if (packet_parse(&seg, l3, len, len) != PACKET_OK)
		return;
	c = at_index(d, *find(d, &seg.tuple));
	if (!c || (seg.flags & TCP_RST))
		return;
	if (seg.flags & TCP_SYN)
		on_syn(d, c, &seg);
	else if (c->open && (seg.payload_len || (seg.flags & TCP_FIN)))
		on_data(d, c, &seg);
}

bool dry_target_next_msg(struct dry_target *d, struct wire_msg *msg)
{
	if (!d->count)
		return false;
	*msg = d->answers[d->head];
	d->head = (d->head + 1) % DRY_BATCH;
	d->count--;
	return true;
}
