// SPDX-License-Identifier: BSD-2-Clause
/* Packets that came by a link: which of them may be injected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/bytes.h"
#include "../helpers/one_divert.h"

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

static void test_relay_of_own_session(void **state)
{
	struct divert *d = ((struct one_divert *)*state)->d;
	struct relayed p = request(1024, 80);
	struct wire_relay msg = {.l3 = p.bytes, .len = (uint16_t)p.len};
	struct endpoint client = client_at(1024), target = target_end();
	struct four_tuple ends;

	divert_on_link_up(d, 1, 0xa, T0);
	divert_on_link_up(d, 2, 0xa, T0);
	divert_on_link_up(d, 3, 0xb, T0);
	assert_false(relay(d, 1, &p));
	add(d, 1, 1024, 77);
	assert_true(divert_on_relay(d, 1, &msg, T0, &ends));
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
	struct divert *d = ((struct one_divert *)*state)->d;
	struct relayed p = request(1024, 80);

	divert_on_link_up(d, 1, 0xa, T0);
	add(d, 1, 1024, 77);
	say(d, 1, WIRE_ROUTE_DEL, 1024, 77, T0);
	assert_false(relay(d, 1, &p));
	assert_int_equal(divert_counters(d)->relay_unrouted, 1);
}

static void test_relay_to_other_port(void **state)
{
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIVERT_TEST(test_relay_of_own_session),
		DIVERT_TEST(test_relay_after_the_end),
		DIVERT_TEST(test_relay_to_other_port),
		DIVERT_TEST(test_relay_of_special_packets),
		DIVERT_TEST(test_relay_of_mapped_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
