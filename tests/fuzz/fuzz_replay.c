// SPDX-License-Identifier: BSD-2-Clause
/*
 * tcpcopy's engine: what it is given (packets of a few clients, anything as a
 * packet, answers near what it has sent, refusals, links that come and go,
 * time). The first bytes choose its configuration and the allocation that
 * fails. Packets go to targets only, no SYN before its route, the account
 * balances at every moment, memory is asked for at the start only, and at the
 * end every turn has its place.
 */
#include <string.h>

#include "core/bytes.h"
#include "core/check.h"
#include "core/replay.h"
#include "../helpers/counted_mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLIENTS	    4u
#define ROUTES	    16u
#define LINKS	    4u
#define EVENTS_MAX  400u
#define PACKETS_MAX 20000u /* out of one event */
#define MTU_BYTES   600u

/* A session as the target would see it. */
struct route {
	struct wire_route route;
	uint32_t rcv_nxt, snd_nxt;
};

struct client {
	uint32_t seq, ack;
};

struct run {
	struct counted_mem mem;
	struct replay_mapping mappings[2];
	struct replay_target targets[2];
	struct replay_config cfg;
	struct replay *engine;
	struct client clients[CLIENTS];
	struct route routes[ROUTES];
	unsigned next_route, allocations;
	bool up[LINKS];
	uint64_t now_us;
};

static struct ip_addr v4(uint8_t net, uint8_t host)
{
	return addr_from_v4((const uint8_t[4]){net, 0, 0, host});
}

static void configure(struct run *run, struct reader *r)
{
	uint8_t bits = reader_u8(r);

	run->mappings[0] = (struct replay_mapping){.source = {.port = 80}};
	run->mappings[1] = run->mappings[0];
	run->mappings[1].target = 1;
	for (uint8_t i = 0; i < 2; i++)
		run->targets[i] = (struct replay_target){
			.at = {v4(192, i), 8080},
			.groups = 1u << i,
			.local_source = v4(10, 99),
		};
	run->cfg = (struct replay_config){
		.mappings = run->mappings,
		.mapping_count = bits & 1 ? 2 : 1,
		.targets = run->targets,
		.target_count = 2,
		.group_count = 2,
		.links_per_group = LINKS / 2,
		.copies = bits & 2 ? 2 : 1,
		.sample_percent = bits & 4 ? 50 : 100,
		.memory_bytes = bits & 8 ? 40000 : 200000,
		.mtu_bytes = MTU_BYTES,
		.timeout_us = bits & 16 ? 2000000 : 60000000,
		.idle_us = bits & 32 ? 3000000 : 600000000,
		.max_hold_us = 5000000,
		.resend = !(bits & 64),
	};
	if (bits & 128)
		run->cfg.trace.addr = v4(10, 1);
}

/* --- what comes out ------------------------------------------------------ */

static void take_msg(struct run *run, unsigned link_id,
		     const struct wire_msg *msg)
{
	ASSERT(link_id < LINKS && run->up[link_id]);
	ASSERT(msg->type == WIRE_ROUTE_ADD || msg->type == WIRE_ROUTE_DEL ||
	       msg->type == WIRE_ROUND);
	if (msg->type == WIRE_ROUTE_ADD)
		run->routes[run->next_route++ % ROUTES] = (struct route){
			.route = msg->route,
			.rcv_nxt = msg->route.iss,
			.snd_nxt = 5000,
		};
}

static struct route *route_of(struct run *run, const struct four_tuple *tuple)
{
	for (unsigned i = 0; i < ROUTES; i++) {
		struct route *route =
			&run->routes[(run->next_route - 1 - i) % ROUTES];

		if (endpoint_equal(&route->route.client, &tuple->src) &&
		    endpoint_equal(&route->route.target, &tuple->dst))
			return route;
	}
	return NULL;
}

static void take_packet(struct run *run, const uint8_t *bytes, size_t len)
{
	struct segment seg;
	struct route *route;

	ASSERT(len <= MTU_BYTES);
	ASSERT(packet_parse(&seg, bytes, len, len) == PACKET_OK);
	ASSERT(endpoint_equal(&seg.tuple.dst, &run->targets[0].at) ||
	       endpoint_equal(&seg.tuple.dst, &run->targets[1].at));
	route = route_of(run, &seg.tuple);
	if (seg.flags & TCP_SYN && run->next_route <= ROUTES)
		ASSERT(route && route->route.iss == seg.seq);
	if (route)
		route->rcv_nxt = seg.seq + seg.payload_len +
				 (seg.flags & (TCP_SYN | TCP_FIN) ? 1 : 0);
}

static void check(struct run *run)
{
	const struct ledger *l = replay_ledger(run->engine);

	ASSERT(ledger_balanced(&l->conns) && ledger_balanced(&l->turns) &&
	       ledger_balanced(&l->bytes));
	ASSERT(l->conns.in_flight <= l->conns.expected);
	ASSERT(l->turns.in_flight <= l->turns.expected);
	ASSERT(l->bytes.in_flight <= l->bytes.expected);
	ASSERT(l->packets_blocked == 0);
	ASSERT(run->mem.calls == run->allocations);
}

static void pull(struct run *run)
{
	uint8_t slot[MTU_BYTES];
	struct replay_notice notice;
	struct trace_event event;
	struct wire_msg msg;
	unsigned link_id, packets = 0;
	uint64_t missed;
	size_t len;

	do {
		while (replay_next_msg(run->engine, &link_id, &msg))
			take_msg(run, link_id, &msg);
		len = replay_next_packet(run->engine, slot, sizeof(slot),
					 run->now_us);
		if (len > 0)
			take_packet(run, slot, len);
		ASSERT(packets++ < PACKETS_MAX);
	} while (len > 0);
	while (replay_next_notice(run->engine, &notice))
		ASSERT(notice.target < 2);
	while (replay_next_trace(run->engine, &event, &missed))
		;
	check(run);
}

/* --- what goes in -------------------------------------------------------- */

static void give(struct run *run, const struct segment *seg)
{
	static uint8_t bytes[65536];
	size_t len = packet_build(bytes, sizeof(bytes), seg, 0);

	if (len > 0)
		replay_on_packet(run->engine, bytes, len, len, run->now_us);
}

/* A client goes on from where it is, or nearly. */
static void give_client(struct run *run, struct reader *r)
{
	static const uint8_t bytes[60000] = {0x16, 3, 1, 0, 1, 1};
	uint8_t who = reader_u8(r), flags = reader_u8(r);
	uint8_t back = reader_u8(r), len = reader_u8(r);
	struct client *c = &run->clients[who % CLIENTS];
	struct segment seg = {
		.tuple = {.src = {v4(10, 1), (uint16_t)(4000 + who % CLIENTS)},
			  .dst = {v4(198, 1), who & 0x80 ? 81 : 80}},
		.flags = flags,
		.wnd = 500,
		.payload = who & 0x40 ? bytes : bytes + 6,
	};

	if (flags & TCP_SYN)
		c->seq = 0u - 1000u * (who & 0x30);
	c->ack += reader_u8(r);
	seg.payload_len = flags & TCP_SYN ? 0 : len * (who & 0x08 ? 200u : 3u);
	seg.payload_cap = seg.payload_len;
	seg.seq = c->seq - (back & 0x80 ? back & 0x7fu : 0) +
		  (back & 0x40 ? 100u : 0);
	seg.ack = flags & TCP_ACK ? c->ack : 0;
	c->seq = seg.seq + seg.payload_len +
		 (flags & (TCP_SYN | TCP_FIN) ? 1 : 0);
	give(run, &seg);
}

/* Anything that may have been captured. */
static void give_bytes(struct run *run, struct reader *r)
{
	size_t len = reader_u8(r);
	const uint8_t *bytes;

	if (len > r->left_bytes)
		len = r->left_bytes;
	bytes = reader_take(r, len);
	if (bytes && len > 0)
		replay_on_packet(run->engine, bytes, len, len + reader_u8(r),
				 run->now_us);
}

/* The target answers: at its next number, or nearly; acknowledges all, or
 * nearly. */
static void give_response(struct run *run, struct reader *r)
{
	struct route *route = &run->routes[reader_u8(r) % ROUTES];
	uint8_t flags = reader_u8(r), near = reader_u8(r);
	struct wire_msg msg = {
		.type = WIRE_RESPONSE,
		.response =
			{
				.route_id = route->route.route_id,
				.seq = route->snd_nxt,
				.ack = route->rcv_nxt,
				.payload_len = reader_u8(r) * 5u,
				.wnd = reader_u16(r),
				.flags = flags,
			},
	};

	if (near & 1)
		msg.response.ack -= near;
	if (near & 2)
		msg.response.seq += near;
	if (near & 4)
		msg.response.ack += 0x10000000u * (near >> 4);
	if (flags & TCP_SYN) {
		msg.response.payload_len = 0;
		msg.response.opts.mss_bytes = near & 8 ? 0 : 1460;
		msg.response.opts.has_wscale = near & 16;
		msg.response.opts.wscale = near & 0x7;
	}
	route->snd_nxt = msg.response.seq + msg.response.payload_len +
			 (flags & (TCP_SYN | TCP_FIN) ? 1 : 0);
	replay_on_msg(run->engine, reader_u8(r) % LINKS, &msg, run->now_us);
}

static void give_refusal(struct run *run, struct reader *r)
{
	struct wire_msg msg = {
		.type = (enum wire_type)(reader_u8(r) % 10),
		.route = run->routes[reader_u8(r) % ROUTES].route,
	};

	if (msg.type != WIRE_RESPONSE)
		replay_on_msg(run->engine, 0, &msg, run->now_us);
}

static void toggle(struct run *run, unsigned link_id)
{
	run->up[link_id] = !run->up[link_id];
	replay_on_link(run->engine, link_id, run->up[link_id], run->now_us);
}

static void wait(struct run *run, uint64_t us)
{
	uint64_t end_us = run->now_us + us;

	for (unsigned n = 0; run->now_us < end_us; n++) {
		uint64_t at_us = replay_deadline_us(run->engine);

		ASSERT(n < 100000);
		if (at_us < run->now_us + 300)
			at_us = run->now_us + 300;
		run->now_us = at_us < end_us ? at_us : end_us;
		replay_on_timer(run->engine, run->now_us);
		pull(run);
	}
}

static void step(struct run *run, struct reader *r)
{
	uint8_t op = reader_u8(r);

	switch (op % 8) {
	case 0:
	case 1:
		give_client(run, r);
		break;
	case 2:
	case 3:
		give_response(run, r);
		break;
	case 4:
		wait(run, 1ull << (op >> 3) % 27);
		break;
	case 5:
		toggle(run, (op >> 3) % LINKS);
		break;
	case 6:
		give_refusal(run, r);
		break;
	default:
		if (op >> 3 == 31)
			replay_on_capture_end(run->engine, run->now_us);
		else
			give_bytes(run, r);
		break;
	}
	pull(run);
}

static void end(struct run *run)
{
	const struct ledger *l = replay_ledger(run->engine);

	replay_shutdown(run->engine, run->now_us);
	pull(run);
	ASSERT(l->conns.in_flight == 0 && l->turns.in_flight == 0 &&
	       l->bytes.in_flight == 0);
	replay_free(run->engine, &run->mem.mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(data, size);
	struct run run;

	memset(&run, 0, sizeof(run));
	run.now_us = 1000000;
	counted_mem_init(&run.mem, reader_u8(&r) % 64);
	configure(&run, &r);
	run.engine = replay_new(&run.cfg, &run.mem.mem, run.now_us);
	run.allocations = run.mem.calls;
	if (run.engine) {
		for (unsigned i = 0; i < LINKS; i++)
			toggle(&run, i);
		for (unsigned n = 0; n < EVENTS_MAX && r.left_bytes > 0; n++)
			step(&run, &r);
		end(&run);
	}
	ASSERT(run.mem.live_bytes == 0);
	return 0;
}
