// SPDX-License-Identifier: BSD-2-Clause
/* A sequence of packets, link messages and moments: only the passlist's packets
 * get out, every packet is counted once, and what comes out is for a link that
 * is up. Nothing is injected but plain packets to a port that is served. */
#include "core/bytes.h"
#include "core/check.h"
#include "core/divert.h"
#include "core/packet.h"
#include "../helpers/counted_mem.h"
#include "../helpers/one_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct counted_mem mem;

#define LINKS	   4u
#define ROUTES_MAX 8u

struct run {
	struct divert *d;
	bool up[LINKS];
	uint64_t now_us;
};

static struct endpoint small_endpoint(uint8_t n)
{
	struct endpoint e = {.port = (uint16_t)(1000 + n % 4)};

	e.addr = addr_from_v4((const uint8_t[4]){192, 0, 2, n % 4});
	if (n & 0x10)
		e.addr.b[0] = 0xfd;
	return e;
}

/* The passlist is fd00::/8. */
static bool may_pass(const uint8_t *l3, size_t len)
{
	return len >= 60 && l3[0] >> 4 == 6 && l3[24] == 0xfd;
}

static void give(struct run *run, const uint8_t *l3, size_t len)
{
	enum verdict v = give_packet(run->d, l3, len, len, run->now_us);

	ASSERT(v == VERDICT_DROP || (v == VERDICT_ACCEPT && may_pass(l3, len)));
}

#define SERVED 1000u

static void relay(struct run *run, unsigned link, const uint8_t *l3, size_t len)
{
	struct wire_relay msg = {.l3 = l3, .len = (uint16_t)len};
	struct four_tuple ends;

	if (!run->up[link] ||
	    !divert_on_relay(run->d, link, &msg, run->now_us, &ends))
		return;
	ASSERT(packet_is_plain(l3, len) && ends.dst.port == SERVED);
	ASSERT(divert_routes(run->d) > 0);
	ASSERT(addr_is_v4(&ends.dst.addr) == (l3[0] == 0x45));
}

/* From the queue, or from a link. */
static void give_either(struct run *run, unsigned how, const uint8_t *l3,
			size_t len)
{
	if (how & 0x10)
		relay(run, how % LINKS, l3, len);
	else
		give(run, l3, len);
}

/* A packet that can be read, of few different ones. */
static void give_built(struct run *run, unsigned how, struct reader *r)
{
	static const uint8_t bytes[48];
	uint8_t end = reader_u8(r), at = reader_u8(r);
	struct segment seg = {
		.tuple = {.src = small_endpoint(end & 0x10),
			  .dst = small_endpoint(end)},
		.ack = at % 4u,
		.flags = reader_u8(r),
		.opts = {.mss_bytes = 1460},
	};
	uint8_t packet[PACKET_HEADER_MAX + sizeof(bytes)];

	if (end & 0x80) { /* of a long answer, or the request before it */
		seg.seq = at / 4u * 24u;
		seg.opts.mss_bytes = 8;
		seg.payload = bytes;
		seg.payload_len = seg.payload_cap =
			end & 0x20 ? 24 : sizeof(bytes);
	}
	give_either(run, how, packet,
		    packet_build(packet, sizeof(packet), &seg, 0));
}

static void say(struct run *run, unsigned link, struct reader *r)
{
	uint8_t end = reader_u8(r);
	struct wire_msg msg = {
		.type = (enum wire_type)(reader_u8(r) % 10),
		.route = {.route_id = reader_u8(r) % 4u,
			  .client = small_endpoint(end),
			  .target = small_endpoint(end & 0x10),
			  .iss = reader_u8(r) % 4u},
	};

	if (msg.type == WIRE_ROUND)
		msg.round = (struct wire_round){
			.number = (uint32_t)msg.route.route_id,
			.ended = msg.route.iss & 1,
		};
	if (run->up[link])
		divert_on_msg(run->d, link, &msg, run->now_us);
}

static void toggle(struct run *run, unsigned link, uint8_t instance)
{
	if (run->up[link])
		divert_on_link_down(run->d, link, run->now_us);
	else
		divert_on_link_up(run->d, link, instance % 3, run->now_us);
	if (!run->up[link] && instance % 3)
		divert_allow_local_acks(run->d, link);
	run->up[link] = !run->up[link];
}

static void wait(struct run *run, uint64_t until_us)
{
	if (until_us == UINT64_MAX)
		return;
	if (until_us > run->now_us)
		run->now_us = until_us;
	divert_on_timer(run->d, run->now_us);
	ASSERT(divert_deadline_us(run->d) > run->now_us);
}

static void check(struct run *run)
{
	const struct divert_counters *c = divert_counters(run->d);
	struct wire_msg msg;
	unsigned link;

	struct segment ack;

	while (divert_next_msg(run->d, &link, &msg)) {
		ASSERT(link < LINKS && run->up[link]);
		ASSERT(msg.type == WIRE_RESPONSE ||
		       msg.type == WIRE_ROUTE_REFUSED);
	}
	while (divert_next_ack(run->d, &ack))
		ASSERT(ack.tuple.dst.port == SERVED && ack.flags == TCP_ACK);
	ASSERT(c->packets == c->accepted + c->routed + c->early + c->unrouted +
				     c->malformed + c->no_link);
	ASSERT(c->merged <= c->routed);
	ASSERT(c->early_delivered + c->early_expired <= c->early);
	ASSERT(divert_routes(run->d) <= ROUTES_MAX);
}

static void step(struct run *run, struct reader *r)
{
	uint8_t op = reader_u8(r), how = op >> 3;
	size_t n = reader_u8(r) % 128u;

	n = n < r->left_bytes ? n : r->left_bytes;
	if (op % 8 < 2)
		give_built(run, how, r);
	else if (op % 8 == 2)
		give_either(run, how, reader_take(r, n), n);
	else if (op % 8 < 5)
		say(run, how % LINKS, r);
	else if (op % 8 == 5)
		toggle(run, how % LINKS, (uint8_t)n);
	else
		wait(run, op % 8 == 6 ? run->now_us + n * how * 20000u
				      : divert_deadline_us(run->d));
	check(run);
}

/* The first byte: which allocation fails, if any. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct addr_prefix pass = {{{0xfd}}, 8};
	struct divert_config cfg = {
		.passlist = &pass,
		.passlist_count = 1,
		.relay_ports = (const uint16_t[]){SERVED},
		.relay_port_count = 1,
		.routes_max = ROUTES_MAX,
		.links_max = LINKS,
		.locals_max = 2,
	};
	struct run run = {.now_us = 0};
	struct reader r = reader_of(data, size);

	counted_mem_init(&mem, reader_u8(&r));
	run.d = divert_new(&cfg, &mem.mem, 0);
	ASSERT(!run.d == (mem.fail_at && mem.calls >= mem.fail_at));
	while (run.d && r.left_bytes > 0)
		step(&run, &r);
	if (run.d)
		divert_free(run.d, &mem.mem);
	ASSERT(mem.live_bytes == 0);
	return 0;
}
