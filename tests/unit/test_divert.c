// SPDX-License-Identifier: BSD-2-Clause
/* intercept's engine: packets and link messages in, verdicts and messages out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/bytes.h"
#include "core/divert.h"
#include "core/early.h"
#include "core/local_ack.h"
#include "core/packet.h"
#include "core/router.h"
#include "../helpers/counted_mem.h"
#include "../helpers/dice.h"
#include "../helpers/one_packet.h"

#define T0 1000000u
/* Of one instance; that is three quarters of all. */
#define ROUTES_MAX (ROUTER_SWEEP + 500)
#define ISS	   5000u

struct fixture {
	struct counted_mem mem;
	struct addr_prefix passlist[2];
	struct divert *d;
};

static struct divert *make(struct fixture *f, size_t passlist_count)
{
	struct divert_config cfg = {
		.passlist = f->passlist,
		.passlist_count = passlist_count,
		.routes_max = ROUTES_MAX / 3 * 4,
		.links_max = 8,
		.locals_max = 4,
		.relay_ports = (const uint16_t[]){443, 80},
		.relay_port_count = 2,
		.hash_key = {{9}},
	};

	return divert_new(&cfg, &f->mem.mem, T0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	counted_mem_init(&f->mem, 0);
	f->passlist[0] = (struct addr_prefix){
		addr_from_v4((const uint8_t[4]){198, 51, 100, 0}), 96 + 24};
	f->passlist[1].addr.b[0] = 0xfd;
	f->passlist[1].len = 8;
	f->d = make(f, 2);
	*state = f;
	return f->d ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	size_t live_bytes;

	divert_free(f->d, &f->mem.mem);
	live_bytes = f->mem.live_bytes;
	free(f);
	return live_bytes == 0 ? 0 : -1;
}

/* ---- packets and messages ---- */

static struct endpoint client_at(uint16_t port)
{
	struct endpoint e = {.port = port};

	e.addr = addr_from_v4((const uint8_t[4]){192, 0, 2, 50});
	return e;
}

static struct endpoint target_end(void)
{
	struct endpoint e = {.port = 80};

	e.addr = addr_from_v4((const uint8_t[4]){203, 0, 113, 1});
	return e;
}

/* An IPv6 address whose first byte is that. */
static struct ip_addr v6_in(uint8_t first)
{
	struct ip_addr a = {{first}};

	a.b[15] = 1;
	return a;
}

/* From the target to the client at that port; acknowledges a SYN of iss. */
static struct segment answer(uint16_t port, uint8_t flags, uint32_t iss)
{
	return (struct segment){
		.tuple = {.src = target_end(), .dst = client_at(port)},
		.seq = 900,
		.ack = iss + 1,
		.wnd = 4096,
		.flags = flags,
		.opts = {.mss_bytes = 1460},
	};
}

static enum verdict give(struct divert *d, const struct segment *seg,
			 uint64_t now_us)
{
	uint8_t packet[PACKET_HEADER_MAX];
	size_t len = packet_build(packet, sizeof(packet), seg, 1);

	assert_int_not_equal(len, 0);
	return give_packet(d, packet, len, len, now_us);
}

static void say(struct divert *d, unsigned link_id, enum wire_type type,
		uint16_t port, uint64_t route_id, uint64_t now_us)
{
	struct wire_msg m = {
		.type = type,
		.route = {.route_id = route_id,
			  .client = client_at(port),
			  .target = target_end(),
			  .iss = ISS},
	};

	divert_on_msg(d, link_id, &m, now_us);
}

static void add(struct divert *d, unsigned link_id, uint16_t port,
		uint64_t route_id)
{
	say(d, link_id, WIRE_ROUTE_ADD, port, route_id, T0);
}

static struct wire_msg expect(struct divert *d, unsigned link_id,
			      enum wire_type type, uint64_t route_id)
{
	struct wire_msg m = {0};
	unsigned to = ~0u;

	assert_true(divert_next_msg(d, &to, &m));
	assert_int_equal(to, link_id);
	assert_int_equal(m.type, type);
	assert_true(route_id == (type == WIRE_RESPONSE ? m.response.route_id
						       : m.route.route_id));
	return m;
}

static void expect_none(struct divert *d)
{
	struct wire_msg m;
	unsigned to;

	assert_false(divert_next_msg(d, &to, &m));
}

/* Each packet is in exactly one place. */
static void assert_balance(const struct divert *d)
{
	const struct divert_counters *c = divert_counters(d);

	assert_true(c->packets == c->accepted + c->routed + c->early +
					  c->unrouted + c->malformed +
					  c->no_link);
	assert_true(c->early_delivered + c->early_expired <= c->early);
}

/* ---- verdicts ---- */

static void test_answer_of_a_session(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct segment seg = answer(1024, TCP_ACK | TCP_PSH, ISS);
	uint8_t packet[PACKET_HEADER_MAX];
	size_t len = packet_build(packet, sizeof(packet), &seg, 1);
	struct wire_msg m;

	divert_on_link_up(d, 2, 0xa, T0);
	add(d, 2, 1024, 77);
	/* Only its header is here; the length says how much more there was. */
	store_be16(packet + 2, (uint16_t)(len + 1000));
	assert_int_equal(give_packet(d, packet, len, len + 1000, T0),
			 VERDICT_DROP);
	m = expect(d, 2, WIRE_RESPONSE, 77);
	assert_int_equal(m.response.seq, 900);
	assert_int_equal(m.response.ack, ISS + 1);
	assert_int_equal(m.response.payload_len, 1000);
	assert_int_equal(m.response.wnd, 4096);
	assert_int_equal(m.response.flags, TCP_ACK | TCP_PSH);
	assert_int_equal(m.response.opts.mss_bytes, 0);
	expect_none(d);
	assert_int_equal(divert_counters(d)->routed, 1);
	assert_balance(d);
}

/* len bytes from seq on, of which only the header is here. */
static void give_bytes(struct divert *d, const struct segment *seg,
		       uint16_t len)
{
	uint8_t packet[PACKET_HEADER_MAX];
	size_t header = packet_build(packet, sizeof(packet), seg, 1);

	store_be16(packet + 2, (uint16_t)(header + len));
	assert_int_equal(give_packet(d, packet, header, header + len, T0),
			 VERDICT_DROP);
}

static void expect_bytes(struct divert *d, uint32_t seq, uint32_t len,
			 uint8_t flags)
{
	struct wire_msg m = expect(d, 2, WIRE_RESPONSE, 77);

	assert_int_equal(m.response.seq, seq);
	assert_int_equal(m.response.payload_len, len);
	assert_int_equal(m.response.flags, flags);
}

/* Two sessions' answers in one batch, packet by packet in turn. */
static void test_packets_of_one_answer_share_a_header(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct segment seg = answer(1024, TCP_ACK, ISS);
	struct segment other = answer(1025, TCP_ACK | TCP_PSH, ISS);
	struct wire_msg m;

	divert_on_link_up(d, 2, 0xa, T0);
	add(d, 2, 1024, 77);
	add(d, 2, 1025, 78);
	for (unsigned i = 0; i < 3; i++) {
		seg.flags |= i == 2 ? TCP_PSH : 0;
		give_bytes(d, &seg, 60000);
		give_bytes(d, &other, 100);
		seg.seq += 60000;
		other.seq += 100;
	}
	expect_bytes(d, 900, 180000, TCP_ACK | TCP_PSH);
	m = expect(d, 2, WIRE_RESPONSE, 78);
	assert_int_equal(m.response.payload_len, 300);
	expect_none(d);
	assert_int_equal(divert_counters(d)->routed, 6);
	assert_int_equal(divert_counters(d)->merged, 4);
	/* What was pulled has gone. */
	give_bytes(d, &seg, 10);
	expect_bytes(d, 180900, 10, TCP_ACK | TCP_PSH);
	assert_balance(d);
}

static void test_what_shares_no_header(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	const struct {
		uint8_t flags, first_flags;
		int32_t seq, ack, wnd;
		uint16_t len, first_len;
	} cases[] = {
		{TCP_ACK, TCP_ACK, 1, 0, 0, 10, 10},  /* a hole */
		{TCP_ACK, TCP_ACK, -1, 0, 0, 10, 10}, /* repeated */
		{TCP_ACK, TCP_ACK, 0, 1, 0, 10, 10},
		{TCP_ACK, TCP_ACK, 0, 0, 1, 10, 10},
		{TCP_ACK, TCP_ACK, 0, 0, 0, 0, 10}, /* a bare ACK counts */
		{TCP_ACK, TCP_ACK, 0, 0, 0, 0, 0},
		{TCP_ACK, TCP_ACK, 0, 0, 0, 10, 0},
		{TCP_ACK | TCP_FIN, TCP_ACK, 0, 0, 0, 10, 10},
		{TCP_ACK, TCP_ACK | TCP_FIN, 0, 0, 0, 10, 10},
		{TCP_ACK | TCP_RST, TCP_ACK, 0, 0, 0, 10, 10},
		{TCP_ACK, TCP_ACK | TCP_RST, 0, 0, 0, 10, 10},
	};

	divert_on_link_up(d, 2, 0xa, T0);
	add(d, 2, 1024, 77);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct segment seg = answer(1024, cases[i].first_flags, ISS);

		give_bytes(d, &seg, cases[i].first_len);
		seg.flags = cases[i].flags;
		seg.seq += cases[i].first_len + (uint32_t)cases[i].seq;
		seg.ack += (uint32_t)cases[i].ack;
		seg.wnd = (uint16_t)(seg.wnd + cases[i].wnd);
		give_bytes(d, &seg, cases[i].len);
		expect(d, 2, WIRE_RESPONSE, 77);
		expect(d, 2, WIRE_RESPONSE, 77);
		expect_none(d);
	}
	assert_int_equal(divert_counters(d)->merged, 0);
}

/* A route that has moved: what went by the other link stays there. */
static void test_links_share_no_header(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct segment seg = answer(1024, TCP_ACK, ISS);

	divert_on_link_up(d, 2, 0xa, T0);
	divert_on_link_up(d, 3, 0xa, T0);
	add(d, 2, 1024, 77);
	give_bytes(d, &seg, 10);
	add(d, 3, 1024, 77);
	seg.seq += 10;
	give_bytes(d, &seg, 10);
	expect(d, 2, WIRE_RESPONSE, 77);
	expect(d, 3, WIRE_RESPONSE, 77);
	expect_none(d);
}

static void test_options_of_a_syn(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct segment seg = answer(1024, TCP_SYN | TCP_ACK, ISS);
	struct wire_msg m;

	divert_on_link_up(d, 2, 0xa, T0);
	add(d, 2, 1024, 77);
	seg.opts = (struct tcp_opts){.mss_bytes = 1400,
				     .wscale = 9,
				     .has_wscale = true,
				     .has_tstamp = true,
				     .tsval = 12};
	give(d, &seg, T0);
	m = expect(d, 2, WIRE_RESPONSE, 77);
	assert_int_equal(m.response.opts.mss_bytes, 1400);
	assert_true(m.response.opts.has_wscale && m.response.opts.has_tstamp);
	assert_int_equal(m.response.opts.wscale, 9);
	assert_int_equal(m.response.opts.tsval, 12);
}

static void test_nobodys_session(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct segment seg = answer(1024, TCP_ACK, ISS);

	assert_int_equal(give(d, &seg, T0), VERDICT_DROP);
	/* The target's own SYN answers nothing. */
	seg.flags = TCP_SYN;
	assert_int_equal(give(d, &seg, T0), VERDICT_DROP);
	seg.flags = TCP_RST;
	assert_int_equal(give(d, &seg, T0), VERDICT_DROP);
	expect_none(d);
	assert_int_equal(divert_counters(d)->unrouted, 3);
	assert_true(divert_deadline_us(d) == UINT64_MAX);
	assert_balance(d);
}

static void test_passlist(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct segment seg = answer(1024, TCP_ACK, ISS);

	seg.tuple.dst.addr =
		addr_from_v4((const uint8_t[4]){198, 51, 100, 200});
	assert_int_equal(give(d, &seg, T0), VERDICT_ACCEPT);
	seg.tuple.dst.addr =
		addr_from_v4((const uint8_t[4]){198, 51, 101, 200});
	assert_int_equal(give(d, &seg, T0), VERDICT_DROP);
	/* Where it comes from does not matter. */
	seg.tuple.src.addr = addr_from_v4((const uint8_t[4]){198, 51, 100, 1});
	assert_int_equal(give(d, &seg, T0), VERDICT_DROP);
	seg.tuple.src.addr = seg.tuple.dst.addr = v6_in(0xfd);
	assert_int_equal(give(d, &seg, T0), VERDICT_ACCEPT);
	assert_int_equal(divert_counters(d)->accepted, 2);
	expect_none(d);
	assert_balance(d);
}

static void test_what_cannot_be_read(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct segment seg = answer(1024, TCP_ACK, ISS);
	uint8_t packet[PACKET_HEADER_MAX];
	size_t len;

	seg.tuple.dst.addr = addr_from_v4((const uint8_t[4]){198, 51, 100, 2});
	len = packet_build(packet, sizeof(packet), &seg, 1);
	for (size_t n = 0; n < 40; n++)
		assert_int_equal(give_packet(d, packet, n, n, T0),
				 VERDICT_DROP);
	packet[6] = 0x20; /* more fragments */
	assert_int_equal(give_packet(d, packet, len, len, T0), VERDICT_DROP);
	packet[6] = 0;
	packet[9] = 17; /* UDP */
	assert_int_equal(give_packet(d, packet, len, len, T0), VERDICT_DROP);
	assert_int_equal(divert_counters(d)->malformed, 42);
	assert_balance(d);
}

/* Where a packet goes, read off its bytes by other means. */
static bool goes_to_passlist(const uint8_t *packet, size_t len)
{
	static const uint8_t net[3] = {198, 51, 100};

	if (len < 40)
		return false;
	if (packet[0] >> 4 == 4)
		return memcmp(packet + 16, net, sizeof(net)) == 0;
	return packet[0] >> 4 == 6 && packet[24] == 0xfd;
}

static void scramble(uint8_t *packet, size_t len, struct dice *d)
{
	for (unsigned n = dice_below(d, 6); n > 0; n--)
		packet[dice_below(d, (uint32_t)len)] = (uint8_t)dice_u64(d);
	if (dice_below(d, 8) == 0)
		for (size_t i = 0; i < len; i++)
			packet[i] = (uint8_t)dice_u64(d);
}

static struct segment any_answer(struct dice *dice)
{
	struct segment seg = answer((uint16_t)(1024 + dice_below(dice, 50)),
				    (uint8_t)dice_below(dice, 32), ISS);

	if (dice_below(dice, 3) == 0)
		seg.tuple.dst.addr = addr_from_v4((const uint8_t[4]){
			198, 51, (uint8_t)(100 + dice_below(dice, 2)), 1});
	if (dice_below(dice, 3) == 0)
		seg.tuple.src.addr = seg.tuple.dst.addr =
			v6_in((uint8_t)(0xfc + dice_below(dice, 3)));
	return seg;
}

/* Whatever the bytes are, only the passlist's packets get out. */
static void test_nothing_else_gets_out(void **state)
{
	struct fixture *f = *state;
	struct divert *d = f->d, *strict = make(f, 0);
	uint64_t accepted = 0;
	struct dice dice = {5};

	divert_on_link_up(d, 0, 0xa, T0);
	for (uint16_t i = 0; i < 50; i += 2)
		add(d, 0, (uint16_t)(1024 + i), i);
	for (unsigned i = 0; i < 200000; i++) {
		struct segment seg = any_answer(&dice);
		uint8_t packet[PACKET_HEADER_MAX];
		size_t len = packet_build(packet, sizeof(packet), &seg, 1);
		enum verdict v;
		struct wire_msg m;
		unsigned to;

		scramble(packet, len, &dice);
		len -= dice_below(&dice, 4) ? 0 : dice_below(&dice, 20);
		v = give_packet(d, packet, len, len, T0 + i);
		assert_true(
			v == VERDICT_DROP ||
			(v == VERDICT_ACCEPT && goes_to_passlist(packet, len)));
		accepted += v == VERDICT_ACCEPT;
		assert_int_equal(give_packet(strict, packet, len, len, T0 + i),
				 VERDICT_DROP);
		divert_next_msg(d, &to, &m);
	}
	assert_true(accepted > 1000);
	assert_true(divert_counters(d)->accepted == accepted);
	assert_true(divert_counters(d)->routed > 1000);
	assert_true(divert_counters(d)->malformed > 1000);
	assert_balance(d);
	divert_free(strict, &f->mem.mem);
}

/* Packets that wait to be given together. */
struct bunch {
	unsigned count;
	uint8_t bytes[DIVERT_AT_ONCE][PACKET_HEADER_MAX];
	size_t len[DIVERT_AT_ONCE];
};

static void pull_all(struct divert *d, struct wire_msg *msgs, unsigned *count)
{
	unsigned to;

	for (*count = 0; divert_next_msg(d, &to, &msgs[*count]); ++*count)
		assert_int_equal(to, 0);
}

static void expect_equal(struct divert *a, struct divert *b)
{
	struct wire_msg of_a[DIVERT_BATCH], of_b[DIVERT_BATCH];
	unsigned n, m;

	pull_all(a, of_a, &n);
	pull_all(b, of_b, &m);
	assert_int_equal(n, m);
	for (unsigned i = 0; i < n; i++) {
		const struct wire_response *x = &of_a[i].response;
		const struct wire_response *y = &of_b[i].response;

		assert_true(x->route_id == y->route_id && x->seq == y->seq &&
			    x->ack == y->ack && x->flags == y->flags &&
			    x->payload_len == y->payload_len);
	}
	assert_memory_equal(divert_counters(a), divert_counters(b),
			    sizeof(struct divert_counters));
}

static void give_both(struct divert *by_one, struct divert *together,
		      const struct bunch *b, uint64_t now_us)
{
	struct divert_packet packets[DIVERT_AT_ONCE];
	enum verdict verdicts[DIVERT_AT_ONCE];

	for (unsigned i = 0; i < b->count; i++)
		packets[i] = (struct divert_packet){
			.bytes = {b->bytes[i], b->len[i], b->len[i]}};
	divert_on_packets(together, packets, b->count, now_us, verdicts);
	for (unsigned i = 0; i < b->count; i++)
		assert_int_equal(verdicts[i],
				 give_packet(by_one, b->bytes[i], b->len[i],
					     b->len[i], now_us));
}

static void fill_bunch(struct bunch *b, struct dice *dice)
{
	b->count = 1 + dice_below(dice, DIVERT_AT_ONCE);
	for (unsigned i = 0; i < b->count; i++) {
		struct segment seg = any_answer(dice);

		seg.seq = dice_below(dice, 3);
		b->len[i] =
			packet_build(b->bytes[i], sizeof(b->bytes[i]), &seg, 1);
		if (dice_below(dice, 4) == 0)
			scramble(b->bytes[i], b->len[i], dice);
	}
}

static void test_together_as_one_by_one(void **state)
{
	struct fixture *f = *state;
	struct divert *d = f->d, *other = make(f, 2);
	struct dice dice = {6};
	struct bunch b;

	divert_on_link_up(d, 0, 0xa, T0);
	divert_on_link_up(other, 0, 0xa, T0);
	for (uint16_t i = 0; i < 50; i += 2) {
		add(d, 0, (uint16_t)(1024 + i), i);
		add(other, 0, (uint16_t)(1024 + i), i);
	}
	for (unsigned i = 0; i < 20000; i++) {
		fill_bunch(&b, &dice);
		give_both(d, other, &b, T0 + i);
		expect_equal(d, other);
	}
	assert_true(divert_counters(d)->accepted > 1000);
	assert_true(divert_counters(d)->routed > 1000);
	assert_true(divert_counters(d)->early > 1000);
	assert_true(divert_counters(d)->malformed > 1000);
	divert_free(other, &f->mem.mem);
}

/* ---- answers before their route ---- */

static void test_early_answer(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct segment syn_ack = answer(1024, TCP_SYN | TCP_ACK, ISS);
	struct segment rst = answer(1025, TCP_RST | TCP_ACK, ISS);
	struct wire_msg m;

	divert_on_link_up(d, 1, 0xa, T0);
	assert_int_equal(give(d, &syn_ack, T0), VERDICT_DROP);
	assert_int_equal(give(d, &rst, T0), VERDICT_DROP);
	expect_none(d);
	assert_true(divert_deadline_us(d) == T0 + DIVERT_EARLY_US);
	add(d, 1, 1024, 77);
	m = expect(d, 1, WIRE_RESPONSE, 77);
	assert_int_equal(m.response.flags, TCP_SYN | TCP_ACK);
	assert_int_equal(m.response.opts.mss_bytes, 1460);
	expect_none(d);
	add(d, 1, 1025, 78);
	m = expect(d, 1, WIRE_RESPONSE, 78);
	assert_int_equal(m.response.flags, TCP_RST | TCP_ACK);
	expect_none(d);
	assert_int_equal(divert_counters(d)->early, 2);
	assert_int_equal(divert_counters(d)->early_delivered, 2);
	assert_balance(d);
}

static void test_early_answer_to_another_syn(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct segment rst = answer(1024, TCP_RST | TCP_ACK, ISS + 1);

	divert_on_link_up(d, 1, 0xa, T0);
	give(d, &rst, T0);
	add(d, 1, 1024, 77);
	expect_none(d);
	divert_on_timer(d, T0 + DIVERT_EARLY_US);
	assert_int_equal(divert_counters(d)->early_expired, 1);
}

/* Not to a session of somebody who may not have the tuple. */
static void test_early_answer_is_not_for_the_refused(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct segment syn_ack = answer(1024, TCP_SYN | TCP_ACK, ISS);
	struct wire_msg m = {.type = WIRE_ROUTE_ADD,
			     .route = {.route_id = 1,
				       .client = client_at(1024),
				       .target = target_end(),
				       .iss = ISS + 9}};

	divert_on_link_up(d, 1, 0xa, T0);
	divert_on_link_up(d, 2, 0xb, T0);
	divert_on_msg(d, 1, &m, T0);
	give(d, &syn_ack, T0);
	add(d, 2, 1024, 77);
	expect(d, 2, WIRE_ROUTE_REFUSED, 77);
	expect_none(d);
}

/* The tuple's next session: its SYN-ACK is faster than its registration. */
static void test_early_answer_beside_an_old_route(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct segment syn_ack = answer(1024, TCP_SYN | TCP_ACK, ISS);
	struct segment ack = answer(1024, TCP_ACK, ISS);
	struct wire_msg m = {.type = WIRE_ROUTE_ADD,
			     .route = {.route_id = 1,
				       .client = client_at(1024),
				       .target = target_end(),
				       .iss = ISS - 1000}};

	divert_on_link_up(d, 1, 0xa, T0);
	divert_on_msg(d, 1, &m, T0);
	give(d, &syn_ack, T0);
	expect_none(d);
	give(d, &ack, T0);
	expect(d, 1, WIRE_RESPONSE, 1);
	add(d, 1, 1024, 2);
	expect(d, 1, WIRE_RESPONSE, 2);
	expect_none(d);
	assert_balance(d);
}

static void test_early_answers_expire(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct segment seg = answer(1024, TCP_SYN | TCP_ACK, ISS);
	uint64_t due = T0 + DIVERT_EARLY_US;

	divert_on_link_up(d, 1, 0xa, T0);
	give(d, &seg, T0);
	seg = answer(1025, TCP_SYN | TCP_ACK, ISS);
	give(d, &seg, T0 + 10);
	divert_on_timer(d, due - 1);
	assert_int_equal(divert_counters(d)->early_expired, 0);
	divert_on_timer(d, due);
	assert_int_equal(divert_counters(d)->early_expired, 1);
	assert_true(divert_deadline_us(d) == due + 10);
	add(d, 1, 1024, 77);
	expect_none(d);
	add(d, 1, 1025, 78);
	expect(d, 1, WIRE_RESPONSE, 78);
	divert_on_timer(d, due + 10);
	assert_true(divert_deadline_us(d) == UINT64_MAX);
	assert_int_equal(divert_counters(d)->early_expired, 1);
}

/* ---- owners ---- */

static void test_refusal(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct wire_msg m;

	divert_on_link_up(d, 1, 0xa, T0);
	divert_on_link_up(d, 2, 0xb, T0);
	add(d, 1, 1024, 77);
	add(d, 2, 1024, 78);
	m = expect(d, 2, WIRE_ROUTE_REFUSED, 78);
	assert_true(m.route.client.port == 1024);
	assert_int_equal(m.route.iss, ISS);
	assert_int_equal(divert_counters(d)->routes_refused, 1);
	say(d, 2, WIRE_ROUTE_DEL, 1024, 77, T0);
	assert_int_equal(divert_routes(d), 1);
	say(d, 1, WIRE_ROUTE_DEL, 1024, 78, T0);
	assert_int_equal(divert_routes(d), 1);
	assert_int_equal(divert_counters(d)->routes_deleted, 0);
	say(d, 1, WIRE_ROUTE_DEL, 1024, 77, T0);
	assert_int_equal(divert_routes(d), 0);
	assert_int_equal(divert_counters(d)->routes_deleted, 1);
	add(d, 2, 1024, 78);
	expect_none(d);
}

static void test_full(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;

	divert_on_link_up(d, 1, 0xa, T0);
	for (uint16_t i = 0; i < ROUTES_MAX; i++)
		add(d, 1, (uint16_t)(1024 + i), i);
	expect_none(d);
	add(d, 1, 60000, 9999);
	expect(d, 1, WIRE_ROUTE_REFUSED, 9999);
	assert_int_equal(divert_counters(d)->routes_full, 1);
	assert_int_equal(divert_counters(d)->routes_added, ROUTES_MAX);
}

static void test_too_many_instances(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;

	for (uint16_t i = 0; i < ROUTER_INSTANCES_MAX; i++) {
		assert_true(divert_on_link_up(d, 1, 1000 + i, T0));
		add(d, 1, (uint16_t)(1024 + i), i);
		divert_on_link_down(d, 1, T0);
	}
	assert_false(divert_on_link_up(d, 1, 1, T0));
	divert_on_link_down(d, 1, T0);
	/* One of those that are known may come back. */
	assert_true(divert_on_link_up(d, 1, 1000, T0));
	say(d, 1, WIRE_ROUTE_DEL, 1024, 0, T0);
	divert_on_link_down(d, 1, T0);
	assert_true(divert_on_link_up(d, 1, 1, T0));
}

static void test_link_moves(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct segment seg = answer(1024, TCP_ACK, ISS);

	divert_on_link_up(d, 1, 0xa, T0);
	divert_on_link_up(d, 2, 0xa, T0);
	add(d, 1, 1024, 77);
	divert_on_link_down(d, 1, T0);
	assert_true(divert_deadline_us(d) == UINT64_MAX);
	give(d, &seg, T0);
	expect(d, 2, WIRE_RESPONSE, 77);
	divert_on_link_down(d, 2, T0);
	assert_int_equal(give(d, &seg, T0), VERDICT_DROP);
	expect_none(d);
	assert_int_equal(divert_counters(d)->no_link, 1);
	assert_balance(d);
}

static void test_owner_gone_for_good(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	uint64_t due = T0 + DIVERT_OWNERLESS_US;

	divert_on_link_up(d, 1, 0xa, T0);
	divert_on_link_up(d, 2, 0xb, T0);
	for (uint16_t i = 0; i < 300; i++)
		add(d, 1, (uint16_t)(1024 + i), i);
	add(d, 2, 5000, 9);
	divert_on_link_down(d, 1, T0);
	assert_true(divert_deadline_us(d) == due);
	divert_on_link_down(d, 2, T0 + 500);
	assert_true(divert_deadline_us(d) == due);
	divert_on_timer(d, T0 + 501);
	divert_on_timer(d, due - 1);
	assert_int_equal(divert_routes(d), 301);
	divert_on_timer(d, due);
	assert_int_equal(divert_routes(d), 1);
	assert_int_equal(divert_counters(d)->routes_expired, 300);
	while (divert_deadline_us(d) != UINT64_MAX) {
		assert_true(divert_deadline_us(d) > due);
		due = divert_deadline_us(d);
		divert_on_timer(d, due);
	}
	assert_int_equal(divert_routes(d), 0);
	assert_in_range(due, T0 + 500 + DIVERT_OWNERLESS_US,
			T0 + 10000 + DIVERT_OWNERLESS_US);
}

/* In steps, whatever other owners do meanwhile. */
static void test_owner_of_many_gone(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	uint64_t due = T0 + DIVERT_OWNERLESS_US;

	divert_on_link_up(d, 1, 0xa, T0);
	divert_on_link_up(d, 2, 0xb, T0);
	for (uint16_t i = 0; i < ROUTES_MAX; i++)
		add(d, 1, (uint16_t)(1024 + i), i);
	divert_on_link_down(d, 1, T0);
	divert_on_timer(d, due);
	assert_int_equal(divert_routes(d), ROUTES_MAX - ROUTER_SWEEP);
	assert_true(divert_deadline_us(d) > due);
	divert_on_link_down(d, 2, due);
	divert_on_link_up(d, 2, 0xb, due);
	while (divert_deadline_us(d) != UINT64_MAX)
		divert_on_timer(d, divert_deadline_us(d));
	assert_int_equal(divert_routes(d), 0);
	assert_int_equal(divert_counters(d)->routes_expired, ROUTES_MAX);
}

static void test_owner_back_in_time(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct segment seg = answer(1024, TCP_ACK, ISS);
	uint64_t due = T0 + DIVERT_OWNERLESS_US;

	divert_on_link_up(d, 1, 0xa, T0);
	add(d, 1, 1024, 77);
	divert_on_link_down(d, 1, T0);
	divert_on_link_up(d, 3, 0xa, due - 1);
	divert_on_timer(d, due);
	assert_true(divert_deadline_us(d) == UINT64_MAX);
	give(d, &seg, due);
	expect(d, 3, WIRE_RESPONSE, 77);
}

static void say_round(struct divert *d, unsigned link_id, bool ended,
		      uint64_t now_us)
{
	struct wire_msg m = {.type = WIRE_ROUND,
			     .round = {.number = 1, .ended = ended}};

	divert_on_msg(d, link_id, &m, now_us);
}

/* The end of a route was lost with a link. */
static void test_what_is_not_told_again_goes(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;

	divert_on_link_up(d, 1, 0xa, T0);
	add(d, 1, 1024, 77);
	add(d, 1, 1025, 78);
	say_round(d, 1, false, T0 + 5);
	add(d, 1, 1025, 78);
	assert_true(divert_deadline_us(d) == UINT64_MAX);
	say_round(d, 1, true, T0 + 9);
	assert_true(divert_deadline_us(d) == T0 + 9);
	divert_on_timer(d, T0 + 9);
	while (divert_deadline_us(d) != UINT64_MAX)
		divert_on_timer(d, divert_deadline_us(d));
	assert_int_equal(divert_routes(d), 1);
	assert_int_equal(divert_counters(d)->routes_untold, 1);
	assert_int_equal(divert_counters(d)->routes_expired, 0);
	expect_none(d);
}

/* ---- packets that are to be injected ---- */

struct relayed {
	uint8_t bytes[PACKET_HEADER_MAX + 8];
	size_t len;
};

/* From the client at that port to the target's. */
static struct relayed request(uint16_t from, uint16_t to)
{
	struct segment seg = {
		.tuple = {.src = client_at(from), .dst = target_end()},
		.seq = 1,
		.flags = TCP_ACK | TCP_PSH,
		.payload = (const uint8_t *)"request",
		.payload_len = 7,
		.payload_cap = 7,
	};
	struct relayed p;

	seg.tuple.dst.port = to;
	p.len = packet_build(p.bytes, sizeof(p.bytes), &seg, 1);
	return p;
}

static bool relay(struct divert *d, unsigned link_id, const struct relayed *p)
{
	struct wire_relay msg = {.l3 = p->bytes, .len = (uint16_t)p->len};
	struct four_tuple ends;

	return divert_on_relay(d, link_id, &msg, &ends);
}

static void test_relay_of_own_session(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct relayed p = request(1024, 80);
	struct wire_relay msg = {.l3 = p.bytes, .len = (uint16_t)p.len};
	struct endpoint client = client_at(1024), target = target_end();
	struct four_tuple ends;

	divert_on_link_up(d, 1, 0xa, T0);
	divert_on_link_up(d, 2, 0xa, T0);
	divert_on_link_up(d, 3, 0xb, T0);
	assert_false(relay(d, 1, &p));
	add(d, 1, 1024, 77);
	assert_true(divert_on_relay(d, 1, &msg, &ends));
	assert_true(endpoint_equal(&ends.src, &client));
	assert_true(endpoint_equal(&ends.dst, &target));
	assert_true(relay(d, 2, &p)); /* the instance's, not the link's */
	assert_false(relay(d, 3, &p));
	p = request(1025, 80);
	assert_false(relay(d, 1, &p));
	assert_int_equal(divert_counters(d)->relayed, 2);
	assert_int_equal(divert_counters(d)->relay_unrouted, 3);
	expect_none(d);
}

static void test_relay_after_the_end(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct relayed p = request(1024, 80);

	divert_on_link_up(d, 1, 0xa, T0);
	add(d, 1, 1024, 77);
	say(d, 1, WIRE_ROUTE_DEL, 1024, 77, T0);
	assert_false(relay(d, 1, &p));
	assert_int_equal(divert_counters(d)->relay_unrouted, 1);
}

static void test_relay_to_other_port(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct relayed p = request(1024, 81);

	divert_on_link_up(d, 1, 0xa, T0);
	add(d, 1, 1024, 77);
	assert_false(relay(d, 1, &p));
	assert_int_equal(divert_counters(d)->relay_unserved, 1);
}

/* One byte of a good packet altered at a time: whatever is taken has the ends
 * that were registered. */
static void test_relay_of_special_packets(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} bad[] = {{0, 0x46}, {0, 0x60}, {0, 0x05}, {3, 46},
		   {3, 48},   {6, 0x20}, {7, 1},    {9, 17}};
	struct divert *d = ((struct fixture *)*state)->d;
	struct relayed good = request(1024, 80), p;

	divert_on_link_up(d, 1, 0xa, T0);
	add(d, 1, 1024, 77);
	assert_true(relay(d, 1, &good));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		p = good;
		p.bytes[bad[i].at] = bad[i].value;
		assert_false(relay(d, 1, &p));
		assert_int_equal(divert_counters(d)->relay_malformed, i + 1);
	}
	for (p = good; p.len-- > 0;)
		assert_false(relay(d, 1, &p));
}

/* IPv6 headers with IPv4-mapped addresses name the same ends, but would go
 * elsewhere. */
static void test_relay_of_mapped_addresses(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct relayed p = {.len = 60};
	struct endpoint client = client_at(1024), target = target_end();

	divert_on_link_up(d, 1, 0xa, T0);
	add(d, 1, 1024, 77);
	p.bytes[0] = 0x60;
	store_be16(p.bytes + 4, 20);
	p.bytes[6] = 6;
	memcpy(p.bytes + 8, client.addr.b, 16);
	memcpy(p.bytes + 24, target.addr.b, 16);
	store_be16(p.bytes + 40, client.port);
	store_be16(p.bytes + 42, target.port);
	p.bytes[52] = 0x50;
	assert_false(relay(d, 1, &p));
	assert_int_equal(divert_counters(d)->relay_malformed, 1);
}

/* ---- long answers that are acknowledged here ---- */

static bool relay_segment(struct divert *d, const struct segment *seg)
{
	struct relayed p;

	p.len = packet_build(p.bytes, sizeof(p.bytes), seg, 1);
	return relay(d, 1, &p);
}

/* tcpcopy sends that, without bytes. */
static void send_by_link(struct divert *d, uint8_t flags, uint32_t seq)
{
	struct segment seg = {
		.tuple = {.src = client_at(1024), .dst = target_end()},
		.seq = seq,
		.ack = flags == TCP_SYN ? 0 : 900,
		.wnd = 777,
		.flags = flags,
		.opts = {.mss_bytes = flags == TCP_SYN ? 1000 : 0},
	};

	assert_true(relay_segment(d, &seg));
}

static void give_long(struct divert *d, uint32_t at, uint32_t len,
		      uint64_t now_us)
{
	struct segment seg = answer(1024, TCP_ACK | TCP_PSH, ISS);
	uint8_t packet[PACKET_HEADER_MAX];
	size_t header;

	seg.seq += at;
	header = packet_build(packet, sizeof(packet), &seg, 1);
	store_be16(packet + 2, (uint16_t)(header + len));
	give_packet(d, packet, header, header + len, now_us);
}

static void begin_session(struct divert *d)
{
	divert_on_link_up(d, 1, 0xa, T0);
	divert_allow_local_acks(d, 1);
	add(d, 1, 1024, 77);
	send_by_link(d, TCP_SYN, ISS);
	send_by_link(d, TCP_ACK, ISS + 1);
}

static void expect_word(struct divert *d, uint32_t at, uint32_t len, bool local)
{
	struct wire_msg m = expect(d, 1, WIRE_RESPONSE, 77);

	assert_int_equal(m.response.seq, 900 + at);
	assert_int_equal(m.response.payload_len, len);
	assert_int_equal(!!(m.response.flags & WIRE_LOCAL), local);
}

static void expect_no_ack(struct divert *d)
{
	struct segment ack;

	assert_false(divert_next_ack(d, &ack));
}

static void test_long_answer(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct endpoint client = client_at(1024), target = target_end();
	struct segment ack;

	begin_session(d);
	give_long(d, 0, 5000, T0);
	give_long(d, 5000, 2500, T0);
	expect_word(d, 0, 7500, true);
	expect_none(d);
	assert_true(divert_next_ack(d, &ack));
	assert_true(endpoint_equal(&ack.tuple.src, &client));
	assert_true(endpoint_equal(&ack.tuple.dst, &target));
	assert_int_equal(ack.seq, ISS + 1);
	assert_int_equal(ack.ack, 900 + 7000);
	assert_int_equal(ack.flags, TCP_ACK);
	expect_no_ack(d);
	assert_int_equal(divert_counters(d)->local_acks, 1);
	assert_int_equal(divert_counters(d)->routed, 2);
	assert_balance(d);
}

static void test_pause_in_a_long_answer(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct segment ack;

	begin_session(d);
	give_long(d, 0, 5000, T0);
	expect_word(d, 0, 5000, true);
	give_long(d, 5000, 5000, T0);
	expect_none(d);
	while (divert_next_ack(d, &ack))
		;
	assert_true(divert_deadline_us(d) == T0 + LOCAL_ACK_PAUSE_US);
	divert_on_timer(d, T0 + LOCAL_ACK_PAUSE_US);
	expect_word(d, 5000, 5000, true);
	assert_true(divert_next_ack(d, &ack));
	assert_int_equal(ack.ack, 900 + 9000);
	assert_true(divert_deadline_us(d) == UINT64_MAX);
}

/* Behind what is untold. */
static void test_fin_of_a_long_answer(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct segment fin = answer(1024, TCP_ACK | TCP_FIN, ISS);
	struct wire_msg m;

	begin_session(d);
	give_long(d, 0, 5000, T0);
	fin.seq += 5000;
	give(d, &fin, T0);
	expect_word(d, 0, 5000, true);
	m = expect(d, 1, WIRE_RESPONSE, 77);
	assert_int_equal(m.response.flags, TCP_ACK | TCP_FIN);
	expect_none(d);
	expect_no_ack(d);
	assert_true(divert_deadline_us(d) == UINT64_MAX);
}

static void test_who_is_not_acknowledged_for(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;

	/* its tcpcopy would not understand */
	divert_on_link_up(d, 1, 0xa, T0);
	add(d, 1, 1024, 77);
	send_by_link(d, TCP_SYN, ISS);
	give_long(d, 0, 5000, T0);
	expect_word(d, 0, 5000, false);
	/* its SYN went another way */
	divert_on_link_down(d, 1, T0);
	divert_on_link_up(d, 1, 0xa, T0);
	divert_allow_local_acks(d, 1);
	say(d, 1, WIRE_ROUTE_DEL, 1024, 77, T0);
	add(d, 1, 1024, 77);
	send_by_link(d, TCP_ACK, ISS + 1);
	give_long(d, 0, 5000, T0);
	expect_word(d, 0, 5000, false);
	expect_no_ack(d);
	assert_int_equal(divert_counters(d)->local_sessions, 0);
}

static void test_next_session_on_the_tuple(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct wire_msg next = {
		.type = WIRE_ROUTE_ADD,
		.route = {.route_id = 77,
			  .client = client_at(1024),
			  .target = target_end(),
			  .iss = ISS + 5000},
	};

	begin_session(d);
	give_long(d, 0, 5000, T0);
	give_long(d, 5000, 5000, T0);
	divert_on_msg(d, 1, &next, T0);
	expect_none(d);
	give_long(d, 10000, 5000, T0); /* what the earlier one has left */
	expect_word(d, 10000, 5000, false);
	send_by_link(d, TCP_SYN, ISS + 5000);
	give_long(d, 15000, 5000, T0);
	expect_word(d, 15000, 5000, false);
	expect_no_ack(d);
}

static void test_long_answers_without_a_link(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;

	begin_session(d);
	give_long(d, 0, 5000, T0);
	expect_word(d, 0, 5000, true);
	divert_on_link_down(d, 1, T0);
	give_long(d, 5000, 5000, T0);
	expect_none(d);
	assert_int_equal(divert_counters(d)->no_link, 1);
	divert_on_link_up(d, 1, 0xa, T0);
	divert_allow_local_acks(d, 1);
	give_long(d, 5000, 5000, T0); /* again */
	expect_word(d, 5000, 5000, true);
	assert_balance(d);
}

/* ---- the messages' ring ---- */

/* The most that a batch can put out, and twice, so that the ring goes round. */
static void test_a_full_batch(void **state)
{
	struct divert *d = ((struct fixture *)*state)->d;
	struct segment seg = answer(1024, TCP_SYN | TCP_ACK, ISS);

	divert_on_link_up(d, 1, 0xa, T0);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < EARLY_COUNT; i++)
			give(d, &seg, T0);
		expect_none(d);
		add(d, 1, 1024, round);
		for (unsigned i = 1; i < DIVERT_BATCH; i++)
			give(d, &seg, T0);
		for (unsigned i = 0; i < EARLY_COUNT + DIVERT_BATCH - 1; i++)
			expect(d, 1, WIRE_RESPONSE, round);
		expect_none(d);
		say(d, 1, WIRE_ROUTE_DEL, 1024, round, T0);
	}
	assert_balance(d);
}

static void test_other_messages_change_nothing(void **state)
{
	static const enum wire_type types[] = {
		WIRE_HELLO, WIRE_ROUTE_REFUSED, WIRE_RESPONSE,
		WIRE_PING,  WIRE_PONG,		WIRE_STATUS};
	struct divert *d = ((struct fixture *)*state)->d;

	divert_on_link_up(d, 1, 0xa, T0);
	add(d, 1, 1024, 77);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		say(d, 1, types[i], 1024, 77, T0);
	assert_int_equal(divert_routes(d), 1);
	expect_none(d);
}

static void test_no_memory(void **state)
{
	(void)state;
	for (unsigned fail_at = 1; fail_at < 10; fail_at++) {
		struct fixture f = {0};
		struct divert *d;

		counted_mem_init(&f.mem, fail_at);
		d = make(&f, 2);
		assert_int_equal(d == NULL, f.mem.calls >= fail_at);
		if (d)
			divert_free(d, &f.mem.mem);
		assert_int_equal(f.mem.live_bytes, 0);
	}
}

#define DIVERT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIVERT_TEST(test_answer_of_a_session),
		DIVERT_TEST(test_packets_of_one_answer_share_a_header),
		DIVERT_TEST(test_what_shares_no_header),
		DIVERT_TEST(test_links_share_no_header),
		DIVERT_TEST(test_options_of_a_syn),
		DIVERT_TEST(test_nobodys_session),
		DIVERT_TEST(test_passlist),
		DIVERT_TEST(test_what_cannot_be_read),
		DIVERT_TEST(test_together_as_one_by_one),
		DIVERT_TEST(test_nothing_else_gets_out),
		DIVERT_TEST(test_early_answer),
		DIVERT_TEST(test_early_answer_to_another_syn),
		DIVERT_TEST(test_early_answer_is_not_for_the_refused),
		DIVERT_TEST(test_early_answer_beside_an_old_route),
		DIVERT_TEST(test_early_answers_expire),
		DIVERT_TEST(test_refusal),
		DIVERT_TEST(test_full),
		DIVERT_TEST(test_too_many_instances),
		DIVERT_TEST(test_link_moves),
		DIVERT_TEST(test_owner_gone_for_good),
		DIVERT_TEST(test_owner_of_many_gone),
		DIVERT_TEST(test_owner_back_in_time),
		DIVERT_TEST(test_what_is_not_told_again_goes),
		DIVERT_TEST(test_relay_of_own_session),
		DIVERT_TEST(test_relay_after_the_end),
		DIVERT_TEST(test_relay_to_other_port),
		DIVERT_TEST(test_relay_of_special_packets),
		DIVERT_TEST(test_relay_of_mapped_addresses),
		DIVERT_TEST(test_long_answer),
		DIVERT_TEST(test_pause_in_a_long_answer),
		DIVERT_TEST(test_fin_of_a_long_answer),
		DIVERT_TEST(test_who_is_not_acknowledged_for),
		DIVERT_TEST(test_next_session_on_the_tuple),
		DIVERT_TEST(test_long_answers_without_a_link),
		DIVERT_TEST(test_a_full_batch),
		DIVERT_TEST(test_other_messages_change_nothing),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
