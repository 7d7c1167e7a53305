// SPDX-License-Identifier: BSD-2-Clause
/*
 * tcpcopy's whole engine: how it is configured, and then captured packets,
 * answers of the targets, refusals, links that come and go, and moments.
 * replay_picture.h says what may come out. Memory is asked for at the start
 * only and within the limit, the same input gives the same output, and in the
 * end everything ends by itself in its time, or is ended.
 */
#include "core/bytes.h"
#include "../helpers/counted_mem.h"
#include "replay_picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLIENTS	    8u
#define TARGETS	    2u
#define FIXED_BYTES 43008u /* of the engine's memory, whatever its limit */
#define SLOT_BYTES  9000u
#define LATER_US    100000u
#define ROUNDS_MAX  100000u

/* A client of an online server, its own numbers. */
struct client {
	struct endpoint at, online;
	uint32_t seq, ack;
};

struct run {
	struct counted_mem mem;
	struct replay_config cfg;
	struct replay_mapping mappings[3];
	struct replay_target targets[TARGETS];
	struct replay *r;
	struct client clients[CLIENTS];
	struct picture picture;
	uint64_t now_us;
	bool by_port;	/* each group has its part of the clients' ports */
	unsigned calls; /* for memory, at the start */
};

static const struct ip_addr own_addr = {{[10] = 0xff, 0xff, 192, 0, 2, 200}};

static struct ip_addr addr4(uint8_t net, uint8_t host)
{
	return addr_from_v4((const uint8_t[4]){net, 0, 0, host});
}

static struct ip_addr addr6(uint8_t net, uint8_t host)
{
	struct ip_addr a = {{0x20, 0x01, 0x0d, 0xb8, net, [15] = host}};

	return a;
}

/* In the order that the engine asks for. How much there was. */
static unsigned pull(struct run *run)
{
	static uint8_t slot[SLOT_BYTES];
	struct replay_notice notice;
	struct trace_event event;
	struct wire_msg msg;
	uint64_t missed;
	unsigned link_id, n = 0;
	size_t len;

	while (replay_next_msg(run->r, &link_id, &msg)) {
		picture_msg(&run->picture, link_id, &msg);
		n++;
	}
	while ((len = replay_next_packet(run->r, slot, sizeof(slot),
					 run->now_us)) > 0) {
		picture_packet(&run->picture, slot, len);
		ASSERT(n++ < ROUNDS_MAX);
	}
	while (replay_next_msg(run->r, &link_id, &msg))
		picture_msg(&run->picture, link_id, &msg);
	while (replay_next_notice(run->r, &notice))
		ASSERT(notice.target < run->cfg.target_count);
	while (replay_next_trace(run->r, &event, &missed))
		picture_note(&run->picture, &event.what, sizeof(event.what));
	picture_ledger(replay_ledger(run->r));
	ASSERT(run->mem.calls == run->calls);
	return n;
}

/* Time passes, and nothing stays due. */
static void wait(struct run *run, uint64_t until_us)
{
	if (until_us == UINT64_MAX)
		return;
	if (until_us > run->now_us)
		run->now_us = until_us;
	for (unsigned rounds = 0; rounds < 64; rounds++) {
		unsigned n;

		replay_on_timer(run->r, run->now_us);
		n = pull(run);
		if (replay_deadline_us(run->r) > run->now_us)
			return;
		ASSERT(n > 0 || rounds < 2);
	}
}

/* --- what is captured ----------------------------------------------------- */

/* SYN, FIN or RST where the client stands; its next SYN is far from there. */
static void put_flags(struct client *c, uint8_t how, struct segment *seg)
{
	static const uint8_t flags[] = {TCP_SYN, TCP_FIN | TCP_ACK, TCP_RST,
					TCP_RST | TCP_ACK};

	seg->flags = flags[how];
	if (how > 0)
		return;
	c->seq += 0x10000;
	c->ack += 0x1000000;
	seg->seq = c->seq++;
}

/* A ClientHello, or the lowest byte of each number. */
static void put_payload(struct run *run, bool hello, uint8_t *to,
			const struct segment *seg)
{
	for (uint32_t i = 0; i < seg->payload_len; i++)
		to[i] = (uint8_t)(seg->seq + i);
	if (!hello || seg->payload_len < 6)
		return;
	memcpy(to, "\x16\x03\x01\0\0\x01", 6);
	run->picture.foreign = true;
}

/* Three bytes: what it is, how long, and how much the client has seen of the
 * server or how far the packet is from its place. */
static size_t build(struct run *run, struct client *c, struct reader *r,
		    uint8_t *out, size_t cap)
{
	static uint8_t payload[255 * 64];
	uint8_t what = reader_u8(r), len = reader_u8(r);
	int8_t by = (int8_t)reader_u8(r);
	bool astray = what & 64;
	struct segment seg = {.tuple = {c->at, c->online},
			      .payload = payload,
			      .seq = c->seq,
			      .wnd = 500,
			      .flags = TCP_ACK};

	if (what % 8 < 4 && what & 8) {
		put_flags(c, what % 4, &seg);
	} else {
		seg.flags |= what & 16 ? 0 : TCP_PSH;
		seg.payload_len = what % 8 == 7 ? 0 : len;
		seg.payload_len *= what & 32 ? 64 : 1;
	}
	if (astray)
		seg.seq += (uint32_t)(by * 16);
	else
		c->ack += (uint32_t)(by > 0 ? by * 8 : 0);
	seg.ack = seg.flags & TCP_ACK ? c->ack : 0;
	seg.payload_cap = seg.payload_len;
	put_payload(run, what & 128, payload, &seg);
	if (seq_gt(seg.seq + seg.payload_len, c->seq) && !(astray && what & 4))
		c->seq = seg.seq + seg.payload_len;
	return packet_build(out, cap, &seg, 0);
}

static void take(struct run *run, const uint8_t *l3, size_t cap_len,
		 size_t wire_len)
{
	const struct packet_bytes packet = {l3, cap_len, wire_len};

	replay_on_packets(run->r, &packet, 1, run->now_us);
}

static void capture(struct run *run, struct client *c, struct reader *r)
{
	static uint8_t l3[65536];
	size_t len = build(run, c, r, l3, sizeof(l3));

	take(run, l3, len, len);
}

/* With some of its bytes replaced, and perhaps cut short. */
static void capture_bent(struct run *run, struct client *c, struct reader *r)
{
	static uint8_t l3[65536];
	size_t len = build(run, c, r, l3, sizeof(l3));
	uint8_t at = reader_u8(r), n = reader_u8(r) % 8;
	const uint8_t *bytes = reader_take(r, n);

	if (bytes && at + n <= len)
		memcpy(l3 + at, bytes, n);
	run->picture.foreign = true;
	take(run, l3, len - reader_u8(r) % (len + 1), len);
}

static void capture_any(struct run *run, struct reader *r)
{
	size_t n = reader_u8(r), beyond = reader_u8(r);

	n = n < r->left_bytes ? n : r->left_bytes;
	run->picture.foreign = true;
	take(run, reader_take(r, n), n, n + beyond);
}

/* --- what comes by the links ---------------------------------------------- */

static unsigned link_count(const struct run *run)
{
	return run->cfg.links_per_group * run->cfg.group_count;
}

/* Its first word is that there is no guard. */
static void set_link(struct run *run, unsigned link, bool up)
{
	const struct wire_msg status = {
		.type = WIRE_STATUS,
		.status = {.queue_bound = true},
	};

	run->picture.up[link] = up;
	if (up && run->by_port)
		replay_set_ports(
			run->r, link,
			&(struct split){.count = run->cfg.group_count,
					.index = link /
						 run->cfg.links_per_group});
	replay_on_link(run->r, link, up, run->now_us);
	if (up)
		replay_on_msg(run->r, link, &status, run->now_us);
}

static void toggle(struct run *run, uint8_t how)
{
	unsigned link = how % run->cfg.links_per_group;

	link += how & 16 ? run->cfg.links_per_group : 0;
	link %= link_count(run);
	set_link(run, link, !run->picture.up[link]);
}

/* Only a link that is up brings anything. */
static bool say(struct run *run, const struct wire_msg *msg)
{
	for (unsigned i = 0; i < link_count(run); i++)
		if (run->picture.up[i]) {
			replay_on_msg(run->r, i, msg, run->now_us);
			return true;
		}
	return false;
}

/* Counted back from the latest. */
static struct picture_conn *pick_conn(struct run *run, uint8_t back)
{
	struct picture *p = &run->picture;
	uint32_t n = picture_known(p);

	return n ? &p->conns[(p->conn_count - 1 - back % n) % PICTURE_CONNS]
		 : NULL;
}

static void fill_syn_ack(struct wire_response *resp, uint8_t what, uint8_t len)
{
	resp->flags = TCP_SYN | TCP_ACK;
	resp->payload_len = 0;
	resp->opts.mss_bytes = what & 32 ? len : 1460;
	resp->opts.has_wscale = what & 2;
	resp->opts.wscale = len % 15;
}

/* As a target answers, or (what & 64) as it does not. */
static void respond(struct run *run, uint8_t back, struct reader *r)
{
	struct picture_conn *c = pick_conn(run, back);
	uint8_t what = reader_u8(r), len = reader_u8(r);
	int8_t by = what & 64 ? (int8_t)reader_u8(r) : 0;
	struct wire_msg msg = {.type = WIRE_RESPONSE};
	struct wire_response *resp = &msg.response;

	if (!c)
		return;
	resp->route_id = c->route.route_id;
	resp->flags = TCP_ACK | (what & 1 ? TCP_PSH : 0);
	resp->flags |= (what & 2 ? TCP_FIN : 0) | (what & 4 ? TCP_RST : 0);
	resp->payload_len = what & 8 ? len : 0;
	resp->wnd = what & 16 ? len : 60000;
	if (!c->open && !(what & 4)) {
		c->snd_nxt = 0xfffffff0u + len;
		fill_syn_ack(resp, what, len);
	}
	resp->seq = c->snd_nxt + (uint32_t)(what & 128 ? 0 : by);
	resp->ack = c->rcv_nxt + (uint32_t)(what & 128 ? by : 0);
	if (what & 64 && what & 32)
		resp->flags = (uint8_t)by & 0x1f;
	if (say(run, &msg))
		picture_answer(c, resp);
}

/* Or another message that has no business here. */
static void refuse(struct run *run, uint8_t back, struct reader *r)
{
	struct picture_conn *c = pick_conn(run, back);
	struct wire_msg msg = {.type = WIRE_ROUTE_REFUSED};
	uint8_t how = reader_u8(r);

	if (c)
		msg.route = c->route;
	if (how & 1)
		msg.route.route_id += how;
	if (how & 2)
		msg.type = (enum wire_type)(how >> 2);
	if (msg.type == WIRE_RESPONSE)
		msg.response = (struct wire_response){.route_id = how};
	say(run, &msg);
}

static void step(struct run *run, struct reader *r)
{
	uint8_t op = reader_u8(r), how = op >> 3;
	struct client *c = &run->clients[how % CLIENTS];

	if (op % 8 < 2)
		capture(run, c, r);
	else if (op % 8 < 4)
		respond(run, how, r);
	else if (op % 8 == 4)
		toggle(run, how);
	else if (op % 8 == 5)
		refuse(run, how, r);
	else if (op % 8 == 6)
		wait(run, how < 24 ? run->now_us + how * how * LATER_US
				   : replay_deadline_us(run->r));
	else if (how & 1)
		capture_bent(run, c, r);
	else if (how & 2)
		capture_any(run, r);
	else if (how == 4)
		replay_on_capture_end(run->r, run->now_us);
	else if (how == 8)
		replay_shutdown(run->r, run->now_us);
	pull(run);
}

/* --- from the first byte to the last -------------------------------------- */

static void place_clients(struct run *run)
{
	static const uint16_t ports[] = {80, 80, 80, 80, 80, 81, 81, 82};

	for (uint8_t i = 0; i < CLIENTS; i++) {
		bool is_v6 = i == 2 || i == 6;

		run->clients[i] = (struct client){
			.at = {is_v6 ? addr6(1, i) : addr4(10, i / 2), 40000},
			.online = {is_v6 ? addr6(2, 1) : addr4(198, 1),
				   ports[i]},
			/* some wrap soon after their SYN */
			.seq = i % 3 ? i : 0xfffeff80u,
			.ack = 0xffffff00u,
		};
		run->clients[i].at.port += i;
	}
	run->clients[3].at.addr = run->clients[3].online.addr = addr4(127, 1);
	run->clients[4].at.addr = own_addr;
}

/* Port 80 goes to the first target, 81 to both. */
static void place_targets(struct run *run)
{
	run->targets[0] = (struct replay_target){.at = {addr4(203, 9), 8080},
						 .groups = 1,
						 .local_source = addr4(203, 1)};
	run->targets[1] = (struct replay_target){
		.at = {addr6(9, 9), 8081},
		.groups = run->cfg.group_count > 1 ? 2 : 1,
		.local_source = addr6(9, 1)};
	run->mappings[0] = (struct replay_mapping){{.port = 80}, 0};
	run->mappings[1] = (struct replay_mapping){{.port = 81}, 0};
	run->mappings[2] = (struct replay_mapping){{.port = 81}, 1};
}

static void configure(struct run *run, struct reader *r)
{
	static const uint16_t mtus[] = {1500, 576, 1280, SLOT_BYTES};
	static const struct addr_range listed[] = {
		{{{[10] = 0xff, 0xff, 10, 9, 0, 250}}, 3},
		{{{0x20, 0x01, 0x0d, 0xb8, 7}}, 2}};
	uint8_t flags = reader_u8(r), more = reader_u8(r);
	uint8_t memory = reader_u8(r);

	run->cfg = (struct replay_config){
		.mappings = run->mappings,
		.mapping_count = 3,
		.targets = run->targets,
		.target_count = TARGETS,
		.group_count = 1 + (flags & 1),
		.links_per_group = 1 + (flags >> 1 & 1),
		.clients = listed,
		.client_count = flags & 4 ? 2 : 0,
		.own_addrs = &own_addr,
		.own_addr_count = 1,
		.copies = 1 + (flags >> 3 & 1) + (flags >> 3 & 2),
		.resend = !(flags & 32),
		.sample_percent = flags & 64 ? 30 : 100,
		.memory_bytes = (size_t)32768 << (memory & 3),
		.mtu_bytes = mtus[more & 3],
		.mss_bytes = more & 4 ? 64 : 0,
		.relay = flags & 128,
		.relay_bytes = SLOT_BYTES - 1,
		.port_slice = more & 8 ? 1023 : 0,
		.timeout_us = more & 16 ? 1000000 : 30000000,
		.max_hold_us = more & 32 ? 50000 : 30000000,
		.idle_us = more & 64 ? 2000000 : 600000000,
		.hash_key = {{1}},
	};
	if (more & 128)
		run->cfg.trace.addr = addr4(10, 0);
	run->by_port = memory & 4;
	counted_mem_init(&run->mem, memory >> 3);
	place_targets(run);
	place_clients(run);
	run->picture.cfg = &run->cfg;
}

/* With links and a silent target: each session is over in its time. */
static void end_by_itself(struct run *run)
{
	unsigned rounds = 0;

	for (unsigned i = 0; i < link_count(run); i++)
		set_link(run, i, true);
	replay_on_capture_end(run->r, run->now_us);
	pull(run);
	while (replay_sessions(run->r) > 0 || replay_flows(run->r) > 0) {
		ASSERT(replay_deadline_us(run->r) != UINT64_MAX);
		ASSERT(rounds++ < ROUNDS_MAX);
		wait(run, replay_deadline_us(run->r));
	}
}

static void end(struct run *run)
{
	const struct ledger *l = replay_ledger(run->r);

	replay_shutdown(run->r, run->now_us);
	pull(run);
	ASSERT(l->conns.in_flight == 0 && replay_sessions(run->r) == 0);
	ASSERT(l->turns.in_flight == 0 && l->bytes.in_flight == 0);
	picture_note(&run->picture, l, sizeof(*l));
}

/* A number that stands for all that came out. */
static uint64_t play(struct reader r)
{
	static struct run run;
	uint8_t last;

	memset(&run, 0, sizeof(run));
	run.now_us = 5000000;
	configure(&run, &r);
	last = reader_u8(&r);
	run.r = replay_new(&run.cfg, &run.mem.mem, run.now_us);
	run.calls = run.mem.calls;
	if (run.r) {
		ASSERT(run.mem.live_bytes <=
		       run.cfg.memory_bytes + FIXED_BYTES);
		while (r.left_bytes > 0 && !r.failed)
			step(&run, &r);
		if (last & 1)
			end_by_itself(&run);
		end(&run);
		replay_free(run.r, &run.mem.mem);
	}
	ASSERT(run.mem.live_bytes == 0);
	return run.picture.sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t sum = play(reader_of(data, size));

	ASSERT(play(reader_of(data, size)) == sum);
	return 0;
}
