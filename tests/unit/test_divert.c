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
#include "core/early.h"
#include "../helpers/dice.h"
#include "../helpers/one_divert.h"

/* An IPv6 address whose first byte is that. */
static struct ip_addr v6_in(uint8_t first)
{
	struct ip_addr a = {{first}};

	a.b[15] = 1;
	return a;
}

/* ---- verdicts ---- */

static void test_answer_of_a_session(void **state)
{
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct one_divert *f = *state;
	struct divert *d = f->d, *strict = one_divert_make(f, 0);
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
	struct one_divert *f = *state;
	struct divert *d = f->d, *other = one_divert_make(f, 2);
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;

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
	struct divert *d = ((struct one_divert *)*state)->d;

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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;

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

/* And not what another tcpcopy has told, whose links are down for a moment; the
 * host has just been started. */
static void test_a_round_is_of_one_instance(void **state)
{
	struct divert *d = ((struct one_divert *)*state)->d;

	divert_on_link_up(d, 1, 0xa, T0);
	divert_on_link_up(d, 2, 0xb, T0);
	add(d, 1, 1024, 77);
	divert_on_link_down(d, 1, T0 + 1);
	say_round(d, 2, false, T0 + 5);
	say_round(d, 2, true, T0 + 9);
	for (uint64_t at = T0 + 9; at < T0 + 1000000; at += 1000)
		divert_on_timer(d, at);
	assert_int_equal(divert_routes(d), 1);
	assert_int_equal(divert_counters(d)->routes_expired, 0);
	expect_none(d);
}

/* ---- the messages' ring ---- */

/* The most that a batch can put out, and twice, so that the ring goes round. */
static void test_a_full_batch(void **state)
{
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;

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
		struct one_divert f = {0};
		struct divert *d;

		counted_mem_init(&f.mem, fail_at);
		d = one_divert_make(&f, 2);
		assert_int_equal(d == NULL, f.mem.calls >= fail_at);
		if (d)
			divert_free(d, &f.mem.mem);
		assert_int_equal(f.mem.live_bytes, 0);
	}
}

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
		DIVERT_TEST(test_a_round_is_of_one_instance),
		DIVERT_TEST(test_a_full_batch),
		DIVERT_TEST(test_other_messages_change_nothing),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
