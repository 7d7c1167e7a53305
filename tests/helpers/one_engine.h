/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcpcopy's engine with clients whose packets are captured, and a target that
 * takes what is sent and answers through the link. All that is sent is looked
 * at: only to targets, no SYN before its route, the ledger in balance.
 */
#ifndef TESTS_ONE_ENGINE_H
#define TESTS_ONE_ENGINE_H

#include <string.h>

#include "core/replay.h"
#include "core/seq.h"
#include "../helpers/counted_mem.h"

#define ENGINE_MTU	   1500u
#define ENGINE_CONNS	   512u
#define ENGINE_FIXED_BYTES 43008u      /* what does not grow with its memory */
#define ENGINE_IRS	   0xfffffc00u /* the targets', each time */

enum target_mode {
	TARGET_ANSWERS, /* to each byte one of its own, to a FIN with a FIN */
	TARGET_SILENT,
	TARGET_REFUSES, /* each SYN */
	TARGET_RESETS,	/* each connection when the first byte comes */
	TARGET_HOLDS	/* acknowledges, and answers nothing */
};

/* A connection as the target sees it. */
struct target_conn {
	struct wire_route route;
	uint32_t rcv_nxt, snd_nxt;
	uint32_t bytes;			   /* taken in order */
	unsigned routes, syns, rsts, fins; /* how many came */
	bool open, gone;		   /* gone: route deleted */
	unsigned after_gone;		   /* packets that came then */
	uint32_t round;			   /* the route was told in */
};

struct engine {
	struct counted_mem mem;
	struct replay_config cfg;
	struct replay_mapping mappings[4];
	struct replay_target targets[2];
	struct replay *r;
	uint64_t now_us;
	enum target_mode mode;
	struct target_conn conns[ENGINE_CONNS];
	unsigned conn_count;
	unsigned packets, notices[16];
	uint64_t links_used; /* bit: a route went this way */
	uint32_t link_rounds[64];
	bool deaf; /* does not hear of the end of routes */
};

struct client {
	struct endpoint at, online;
	uint32_t seq, ack;
};

static inline struct ip_addr v4(uint8_t a, uint8_t d)
{
	return addr_from_v4((const uint8_t[4]){a, 0, 0, d});
}

/* One target, one intercept with three links, port 80 of any address. */
static inline void engine_init(struct engine *e)
{
	memset(e, 0, sizeof(*e));
	e->now_us = 5000000;
	e->mappings[0].source.port = 80;
	e->targets[0] = (struct replay_target){.at = {v4(192, 9), 8080},
					       .groups = 1,
					       .local_source = v4(10, 99)};
	e->cfg = (struct replay_config){
		.mappings = e->mappings,
		.mapping_count = 1,
		.targets = e->targets,
		.target_count = 1,
		.group_count = 1,
		.links_per_group = 3,
		.copies = 1,
		.sample_percent = 100,
		.memory_bytes = 4u << 20,
		.mtu_bytes = ENGINE_MTU,
		.timeout_us = 30000000,
		.idle_us = 600000000,
		.max_hold_us = 30000000,
		.resend = true,
		.hash_key = {{3}},
	};
}

static inline void engine_check(const struct engine *e)
{
	const struct ledger *l = replay_ledger(e->r);

	assert_true(ledger_balanced(&l->conns));
	assert_true(ledger_balanced(&l->turns));
	assert_true(ledger_balanced(&l->bytes));
	assert_true(l->conns.in_flight <= l->conns.expected);
	assert_true(l->turns.in_flight <= l->turns.expected);
	assert_true(l->bytes.in_flight <= l->bytes.expected);
}

static inline struct target_conn *engine_conn(struct engine *e,
					      const struct endpoint *client,
					      const struct endpoint *target)
{
	for (unsigned i = 0; i < e->conn_count; i++)
		if (endpoint_equal(&e->conns[i].route.client, client) &&
		    endpoint_equal(&e->conns[i].route.target, target))
			return &e->conns[i];
	return NULL;
}

/* What a round has left untold is gone when it ends. */
static inline void engine_round(struct engine *e, unsigned link_id,
				const struct wire_round *round)
{
	uint32_t *number = &e->link_rounds[link_id];

	if (!round->ended) {
		assert_true(round->number > *number);
		*number = round->number;
		return;
	}
	assert_int_equal(round->number, *number);
	for (unsigned i = 0; i < e->conn_count; i++)
		if (e->conns[i].round < round->number)
			e->conns[i].gone = true;
}

static inline void engine_route(struct engine *e, unsigned link_id,
				const struct wire_msg *msg)
{
	struct target_conn *c =
		engine_conn(e, &msg->route.client, &msg->route.target);

	assert_true(link_id < e->cfg.group_count * e->cfg.links_per_group);
	e->links_used |= 1ull << link_id;
	if (msg->type == WIRE_ROUTE_DEL) {
		assert_non_null(c);
		assert_true(c->route.route_id == msg->route.route_id);
		c->gone = c->gone || !e->deaf;
		return;
	}
	assert_int_equal(msg->type, WIRE_ROUTE_ADD);
	if (!c) {
		assert_true(e->conn_count < ENGINE_CONNS);
		c = &e->conns[e->conn_count++];
		*c = (struct target_conn){0};
	}
	c->route = msg->route;
	c->gone = false;
	c->round = e->link_rounds[link_id];
	c->routes++;
}

static inline void engine_respond(struct engine *e, struct target_conn *c,
				  uint8_t flags, uint32_t len)
{
	struct wire_msg msg = {
		.type = WIRE_RESPONSE,
		.response = {.route_id = c->route.route_id,
			     .seq = c->snd_nxt,
			     .ack = c->rcv_nxt,
			     .payload_len = len,
			     .wnd = 60000,
			     .flags = flags},
	};

	if (flags & TCP_SYN)
		msg.response.opts.mss_bytes = 1460;
	c->snd_nxt += len + (flags & (TCP_SYN | TCP_FIN) ? 1 : 0);
	replay_on_msg(e->r, 0, &msg, e->now_us);
	engine_check(e);
}

static inline void engine_take_data(struct engine *e, struct target_conn *c,
				    const struct segment *seg)
{
	uint32_t end = seg->seq + seg->payload_len;
	bool fin = seg->flags & TCP_FIN;

	if (seg->seq == c->rcv_nxt) {
		c->rcv_nxt = end + fin;
		c->bytes += seg->payload_len;
		c->fins += fin;
		c->open = !fin;
	}
	if (e->mode == TARGET_RESETS) {
		engine_respond(e, c, TCP_ACK | TCP_RST, 0);
		c->open = false;
	} else if (e->mode == TARGET_HOLDS) {
		engine_respond(e, c, TCP_ACK | (fin ? TCP_FIN : 0), 0);
	} else {
		engine_respond(e, c, TCP_ACK | TCP_PSH | (fin ? TCP_FIN : 0),
			       seg->payload_len);
	}
}

static inline void engine_take(struct engine *e, const struct segment *seg)
{
	struct target_conn *c =
		engine_conn(e, &seg->tuple.src, &seg->tuple.dst);

	assert_non_null(c); /* the route was here first */
	c->after_gone += c->gone;
	if (e->cfg.relay)
		assert_true(replay_packet_link(e->r) <
			    e->cfg.group_count * e->cfg.links_per_group);
	if (seg->flags & TCP_SYN) {
		assert_int_equal(seg->seq, c->route.iss);
		c->syns++;
	}
	if (seg->flags & TCP_RST) {
		c->rsts++;
		c->open = false;
	}
	if (seg->flags & TCP_RST || e->mode == TARGET_SILENT)
		return;
	if (seg->flags & TCP_SYN) {
		c->rcv_nxt = seg->seq + 1;
		c->snd_nxt = e->mode == TARGET_REFUSES ? 0 : ENGINE_IRS;
		c->open = e->mode != TARGET_REFUSES;
		engine_respond(e, c, TCP_ACK | (c->open ? TCP_SYN : TCP_RST),
			       0);
	} else if (seg->payload_len > 0 || seg->flags & TCP_FIN) {
		engine_take_data(e, c, seg);
	}
}

static inline void engine_pull_messages(struct engine *e)
{
	struct wire_msg msg;
	unsigned link_id;

	while (replay_next_msg(e->r, &link_id, &msg)) {
		if (msg.type == WIRE_ROUND)
			engine_round(e, link_id, &msg.round);
		else
			engine_route(e, link_id, &msg);
	}
}

/* Pulls all that comes out, answers included. */
static inline void engine_pull(struct engine *e)
{
	static uint8_t slot[65536];
	struct replay_notice notice;
	size_t len;

	do {
		struct segment seg;

		engine_check(e);
		engine_pull_messages(e);
		while (replay_next_notice(e->r, &notice))
			e->notices[notice.type]++;
		len = replay_next_packet(e->r, slot, sizeof(slot), e->now_us);
		if (len == 0)
			continue;
		assert_true(len <= e->cfg.mtu_bytes ||
			    (e->cfg.relay && len <= e->cfg.relay_bytes));
		assert_int_equal(packet_parse(&seg, slot, len, len), PACKET_OK);
		for (uint32_t i = 0; i < seg.payload_len; i++)
			assert_int_equal(seg.payload[i], 'a');
		e->packets++;
		engine_take(e, &seg);
	} while (len > 0);
	engine_pull_messages(e);
}

/* Of an intercept that has no guard. */
static inline void engine_link_up(struct engine *e, unsigned link_id)
{
	const struct wire_msg status = {
		.type = WIRE_STATUS,
		.status = {.queue_bound = true},
	};

	replay_on_link(e->r, link_id, true, e->now_us);
	replay_on_msg(e->r, link_id, &status, e->now_us);
}

static inline void engine_links(struct engine *e, bool up)
{
	for (unsigned i = 0; i < e->cfg.group_count * e->cfg.links_per_group;
	     i++) {
		if (up)
			engine_link_up(e, i);
		else
			replay_on_link(e->r, i, false, e->now_us);
		engine_pull(e);
	}
}

static inline void engine_start(struct engine *e)
{
	counted_mem_init(&e->mem, 0);
	e->r = replay_new(&e->cfg, &e->mem.mem, e->now_us);
	assert_non_null(e->r);
	assert_true(e->mem.live_bytes <=
		    e->cfg.memory_bytes + ENGINE_FIXED_BYTES);
	engine_links(e, true);
}

/* Time passes, and what is due happens. */
static inline void engine_wait(struct engine *e, uint64_t us)
{
	uint64_t end_us = e->now_us + us;

	while (e->now_us < end_us) {
		uint64_t at_us = replay_deadline_us(e->r);

		if (at_us < e->now_us + 500)
			at_us = e->now_us + 500;
		e->now_us = at_us < end_us ? at_us : end_us;
		replay_on_timer(e->r, e->now_us);
		engine_pull(e);
	}
}

/* Nothing may be left without a place, and no memory either. */
static inline void engine_end(struct engine *e)
{
	const struct ledger *l = replay_ledger(e->r);

	replay_shutdown(e->r, e->now_us);
	engine_pull(e);
	assert_int_equal(l->conns.in_flight, 0);
	assert_int_equal(l->turns.in_flight, 0);
	assert_int_equal(l->bytes.in_flight, 0);
	assert_int_equal(l->packets_blocked, 0);
	replay_free(e->r, &e->mem.mem);
	assert_int_equal(e->mem.live_bytes, 0);
}

/* Of a test that has one; engine_start() is its own to call. */
static inline int engine_setup(void **state)
{
	struct engine *e = malloc(sizeof(*e));

	engine_init(e);
	*state = e;
	return 0;
}

static inline int engine_teardown(void **state)
{
	engine_end(*state);
	free(*state);
	return 0;
}

static inline const struct ledger *ledger(const struct engine *e)
{
	return replay_ledger(e->r);
}

static inline void engine_capture(struct engine *e, const uint8_t *l3,
				  size_t cap_len, size_t wire_len)
{
	const struct packet_bytes packet = {l3, cap_len, wire_len};

	replay_on_packets(e->r, &packet, 1, e->now_us);
}

/* Its length. */
static inline size_t client_bytes(const struct client *c, uint8_t flags,
				  uint32_t seq, uint32_t len, uint8_t *l3,
				  size_t cap)
{
	static uint8_t payload[60000];
	struct segment seg = {
		.tuple = {c->at, c->online},
		.seq = seq,
		.ack = flags & TCP_ACK ? c->ack : 0,
		.flags = flags,
		.payload = payload,
		.payload_len = len,
		.payload_cap = len,
		.wnd = 1000,
	};
	size_t total;

	memset(payload, 'a', len);
	total = packet_build(l3, cap, &seg, 0);
	assert_true(total > 0);
	return total;
}

static inline void client_packet(struct engine *e, const struct client *c,
				 uint8_t flags, uint32_t seq, uint32_t len)
{
	static uint8_t l3[65536];
	size_t total = client_bytes(c, flags, seq, len, l3, sizeof(l3));

	engine_capture(e, l3, total, total);
	engine_pull(e);
}

static inline struct client client_at(uint8_t host, uint16_t port)
{
	return (struct client){
		.at = {v4(10, host), port},
		.online = {v4(198, 1), 80},
		.seq = 0xffffff80u,
		.ack = 0xffffffe0u,
	};
}

static inline void client_syn(struct engine *e, struct client *c)
{
	client_packet(e, c, TCP_SYN, c->seq, 0);
	c->seq++;
}

/* len bytes, having seen `seen` more of the online server's. */
static inline void client_send(struct engine *e, struct client *c, uint32_t len,
			       uint32_t seen)
{
	c->ack += seen;
	client_packet(e, c, TCP_ACK | TCP_PSH, c->seq, len);
	c->seq += len;
}

static inline void client_end(struct engine *e, struct client *c, uint8_t flag)
{
	client_packet(e, c, flag | TCP_ACK, c->seq, 0);
}

/* SYN, requests of 100 bytes each answered, FIN. */
static inline void client_talk(struct engine *e, struct client *c,
			       unsigned requests)
{
	client_syn(e, c);
	for (unsigned i = 0; i < requests; i++)
		client_send(e, c, 100, i ? 100 : 0);
	client_end(e, c, TCP_FIN);
}

#endif
