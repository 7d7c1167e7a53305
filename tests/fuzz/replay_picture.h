/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What tcpcopy's engine has sent and said, looked at from outside: each
 * connection as the target knows it. Packets go to targets only, with bytes
 * that the client has written, and to a connection that is open; no SYN goes
 * before its route. A number stands for all of it.
 */
#ifndef TESTS_REPLAY_PICTURE_H
#define TESTS_REPLAY_PICTURE_H

#include "core/check.h"
#include "core/packet.h"
#include "core/replay.h"
#include "core/seq.h"

#define PICTURE_CONNS 128u
#define PICTURE_LINKS 4u

struct picture_conn {
	struct wire_route route;
	uint32_t rcv_nxt, snd_nxt; /* the target's */
	bool begun;		   /* its SYN has come */
	bool open;		   /* and has been answered */
	bool heard;		   /* the target has said something */
	bool placed;		   /* a byte of it has come */
	bool fin;		   /* its FIN has, behind rcv_nxt - 1 */
	uint8_t place;		   /* number - byte, the same for each */
	uint8_t wscale;		   /* the largest that was said */
	uint32_t said;		   /* the end of what the target has said */
	uint32_t edge;		   /* of the window, where it was farthest */
};

struct picture {
	const struct replay_config *cfg;
	bool up[PICTURE_LINKS];
	struct picture_conn conns[PICTURE_CONNS];
	uint32_t conn_count; /* ever */
	bool foreign; /* bytes were captured that no client of ours wrote */
	uint64_t sum;
};

static inline void picture_note(struct picture *p, const void *bytes,
				size_t len)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i < len; i++)
		p->sum = (p->sum ^ b[i]) * 0x100000001b3u;
}

/* Nothing has been forgotten for lack of room. */
static inline bool picture_is_whole(const struct picture *p)
{
	return p->conn_count <= PICTURE_CONNS;
}

static inline uint32_t picture_known(const struct picture *p)
{
	return picture_is_whole(p) ? p->conn_count : PICTURE_CONNS;
}

static inline struct picture_conn *picture_find(struct picture *p,
						const struct endpoint *client,
						const struct endpoint *target)
{
	for (uint32_t i = 0; i < picture_known(p); i++)
		if (endpoint_equal(&p->conns[i].route.client, client) &&
		    endpoint_equal(&p->conns[i].route.target, target))
			return &p->conns[i];
	return NULL;
}

static inline bool picture_is_target(const struct picture *p,
				     const struct endpoint *e)
{
	for (size_t i = 0; i < p->cfg->target_count; i++)
		if (endpoint_equal(&p->cfg->targets[i].at, e))
			return true;
	return false;
}

/* No target may get a packet from this host's or another family's address. */
static inline void picture_route(struct picture *p,
				 const struct wire_route *route)
{
	const struct ip_addr *client = &route->client.addr;
	struct picture_conn *c =
		picture_find(p, &route->client, &route->target);

	ASSERT(picture_is_target(p, &route->target));
	ASSERT(addr_is_v4(client) == addr_is_v4(&route->target.addr));
	ASSERT(!addr_is_loopback(client));
	for (size_t i = 0; i < p->cfg->own_addr_count; i++)
		ASSERT(!addr_equal(client, &p->cfg->own_addrs[i]));
	if (!c) {
		c = &p->conns[p->conn_count++ % PICTURE_CONNS];
		*c = (struct picture_conn){.route = *route};
	}
	if (c->route.route_id != route->route_id)
		c->begun = false; /* another session has the tuple now */
	c->route = *route;
}

static inline void picture_msg(struct picture *p, unsigned link_id,
			       const struct wire_msg *msg)
{
	ASSERT(link_id < PICTURE_LINKS && p->up[link_id]);
	picture_note(p, &link_id, sizeof(link_id));
	picture_note(p, &msg->type, sizeof(msg->type));
	if (msg->type == WIRE_ROUND)
		return;
	ASSERT(msg->type == WIRE_ROUTE_ADD || msg->type == WIRE_ROUTE_DEL);
	picture_note(p, &msg->route.route_id, sizeof(msg->route.route_id));
	picture_note(p, &msg->route.iss, sizeof(msg->route.iss));
	if (msg->type == WIRE_ROUTE_ADD)
		picture_route(p, &msg->route);
}

static inline void picture_syn(struct picture_conn *c,
			       const struct segment *seg)
{
	ASSERT(seg->flags == TCP_SYN && seg->payload_len == 0);
	ASSERT(seg->opts.mss_bytes > 0 && !seg->opts.has_tstamp);
	ASSERT(c->route.iss == seg->seq);
	if (!c->begun)
		*c = (struct picture_conn){.route = c->route, .begun = true};
	c->rcv_nxt = seg->seq + 1;
}

/* A client's byte is the lowest of its number; a session's numbers are others,
 * by the same for each byte. */
static inline void picture_payload(const struct picture *p,
				   struct picture_conn *c,
				   const struct segment *seg)
{
	uint8_t place = (uint8_t)(seg->seq - seg->payload[0]);

	ASSERT(seq_leq(seg->seq + seg->payload_len, c->edge) ||
	       seg->payload_len == 1); /* a probe */
	ASSERT(!p->cfg->mss_bytes || seg->payload_len <= p->cfg->mss_bytes);
	if (p->foreign)
		return;
	for (uint32_t i = 1; i < seg->payload_len; i++)
		ASSERT(seg->payload[i] == (uint8_t)(seg->payload[0] + i));
	ASSERT(!c->placed || c->place == place);
	c->placed = true;
	c->place = place;
}

/* Nothing is left out, nothing comes behind the FIN, and what is acknowledged
 * has been said. */
static inline void picture_segment(const struct picture *p,
				   struct picture_conn *c,
				   const struct segment *seg)
{
	uint32_t end = seg->seq + seg->payload_len;
	bool fin = seg->flags & TCP_FIN;

	ASSERT(seg->flags & TCP_ACK);
	ASSERT(seq_leq(seg->seq, c->rcv_nxt));
	ASSERT(seq_leq(seg->ack, c->said));
	ASSERT(!c->fin || seq_leq(end + fin, c->rcv_nxt));
	if (seg->payload_len > 0)
		picture_payload(p, c, seg);
	c->rcv_nxt = seq_max(c->rcv_nxt, end + fin);
	c->fin = c->fin || fin;
}

static inline void picture_packet(struct picture *p, const uint8_t *l3,
				  size_t len)
{
	struct picture_conn *c;
	struct segment seg;

	picture_note(p, l3, len);
	ASSERT(len <= p->cfg->mtu_bytes ||
	       (p->cfg->relay && !p->cfg->mss_bytes &&
		len <= p->cfg->relay_bytes));
	ASSERT(packet_parse(&seg, l3, len, len) == PACKET_OK);
	ASSERT(picture_is_target(p, &seg.tuple.dst));
	c = picture_find(p, &seg.tuple.src, &seg.tuple.dst);
	ASSERT(c || !picture_is_whole(p));
	if (!c || seg.flags & TCP_RST)
		return;
	if (seg.flags & TCP_SYN) {
		picture_syn(c, &seg);
		return;
	}
	ASSERT((c->begun && c->open) || !picture_is_whole(p));
	if (c->begun && c->open)
		picture_segment(p, c, &seg);
}

/* The answer goes to the engine: the connection is open if this opens it. */
static inline void picture_answer(struct picture_conn *c,
				  const struct wire_response *resp)
{
	uint32_t len =
		resp->payload_len + (resp->flags & (TCP_SYN | TCP_FIN) ? 1 : 0);
	uint32_t edge;

	c->open = c->open || resp->flags & TCP_SYN;
	c->snd_nxt += len;
	if (resp->opts.has_wscale && resp->opts.wscale > c->wscale)
		c->wscale = resp->opts.wscale;
	edge = resp->ack + ((uint32_t)resp->wnd << c->wscale);
	c->said =
		c->heard ? seq_max(c->said, resp->seq + len) : resp->seq + len;
	c->edge = c->heard ? seq_max(c->edge, edge) : edge;
	c->heard = true;
}

static inline void picture_unit(const struct ledger_unit *u)
{
	ASSERT(ledger_balanced(u));
	ASSERT(u->in_flight <= u->expected && u->not_sampled <= u->expected);
	ASSERT(u->answered <= u->expected && u->unanswered <= u->expected);
	for (unsigned i = 0; i < LOSS_COUNT; i++)
		ASSERT(u->lost[i] <= u->expected);
}

static inline void picture_ledger(const struct ledger *l)
{
	picture_unit(&l->conns);
	picture_unit(&l->turns);
	picture_unit(&l->bytes);
	ASSERT(l->packets_blocked == 0 && l->packets_resent <= l->packets_sent);
	ASSERT(l->responses_stale <= l->responses);
}

#endif
