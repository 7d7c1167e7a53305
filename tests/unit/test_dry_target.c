// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/heap.h"
#include "core/packet.h"
#include "tcpcopy/dry_target.h"

#define ISS 4294967290u /* wraps soon */

static struct dry_target *target;
static struct four_tuple tuple;

static int make_target(void **state)
{
	const struct hash_key key = {{1}};

	(void)state;
	target = dry_target_new(&heap_mem, &key, 1u << 20);
	memset(&tuple, 0, sizeof(tuple));
	tuple.src.addr = addr_from_v4((const uint8_t[]){198, 51, 100, 1});
	tuple.src.port = 4000;
	tuple.dst.addr = addr_from_v4((const uint8_t[]){192, 0, 2, 2});
	tuple.dst.port = 80;
	return !target;
}

static int free_target(void **state)
{
	(void)state;
	dry_target_free(target, &heap_mem);
	return 0;
}

static void route(enum wire_type type, uint64_t route_id)
{
	const struct wire_msg msg = {.type = type,
				     .route = {.route_id = route_id,
					       .client = tuple.src,
					       .target = tuple.dst,
					       .iss = ISS}};

	dry_target_on_msg(target, &msg);
}

static void packet(uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
	static const uint8_t payload[1000];
	const struct segment seg = {.tuple = tuple,
				    .seq = seq,
				    .ack = ack,
				    .flags = flags,
				    .payload = payload,
				    .payload_len = len,
				    .payload_cap = len};
	uint8_t l3[1500];

	dry_target_on_packet(target, l3, packet_build(l3, sizeof(l3), &seg, 0));
}

static struct wire_response response(void)
{
	struct wire_msg msg;

	assert_true(dry_target_next_msg(target, &msg));
	assert_int_equal(msg.type, WIRE_RESPONSE);
	return msg.response;
}

static void no_response(void)
{
	struct wire_msg msg;

	assert_false(dry_target_next_msg(target, &msg));
}

static void test_conversation(void **state)
{
	struct wire_response r;
	uint32_t at;

	(void)state;
	route(WIRE_ROUTE_ADD, 77);
	packet(TCP_SYN, ISS, 0, 0);
	r = response();
	assert_int_equal(r.route_id, 77);
	assert_int_equal(r.flags, TCP_SYN | TCP_ACK);
	assert_int_equal(r.ack, ISS + 1);
	at = r.seq + 1;
	packet(TCP_ACK, ISS + 1, at, 0);
	no_response();
	/* A turn in two segments: the end of it is answered. */
	packet(TCP_ACK, ISS + 1, at, 1000);
	r = response();
	assert_int_equal(r.flags, TCP_ACK);
	assert_int_equal(r.payload_len, 0);
	assert_int_equal(r.ack, ISS + 1001);
	packet(TCP_ACK | TCP_PSH, ISS + 1001, at, 10);
	r = response();
	assert_int_equal(r.flags, TCP_ACK | TCP_PSH);
	assert_int_equal(r.payload_len, DRY_ANSWER_BYTES);
	assert_int_equal(r.seq, at);
	assert_int_equal(r.ack, ISS + 1011);
	at += DRY_ANSWER_BYTES;
	packet(TCP_ACK | TCP_FIN, ISS + 1011, at, 0);
	r = response();
	assert_int_equal(r.flags, TCP_ACK | TCP_FIN);
	assert_int_equal(r.seq, at);
	assert_int_equal(r.ack, ISS + 1012);
	packet(TCP_ACK, ISS + 1012, at + 1, 0);
	no_response();
}

static void test_repeats(void **state)
{
	struct wire_response r;

	(void)state;
	route(WIRE_ROUTE_ADD, 1);
	packet(TCP_SYN, ISS, 0, 0);
	response();
	packet(TCP_ACK | TCP_PSH, ISS + 1, 0, 10);
	assert_int_equal(response().payload_len, DRY_ANSWER_BYTES);
	packet(TCP_ACK | TCP_PSH, ISS + 1, 0, 10);
	r = response();
	assert_int_equal(r.payload_len, 0);
	assert_int_equal(r.ack, ISS + 11);
	/* What has a hole before it is not taken. */
	packet(TCP_ACK | TCP_PSH, ISS + 12, 0, 10);
	r = response();
	assert_int_equal(r.payload_len, 0);
	assert_int_equal(r.ack, ISS + 11);
}

static void test_routes(void **state)
{
	(void)state;
	packet(TCP_SYN, ISS, 0, 0);
	no_response();
	route(WIRE_ROUTE_ADD, 1);
	packet(TCP_ACK | TCP_PSH, ISS, 0, 1);
	no_response();
	packet(TCP_SYN, ISS, 0, 0);
	response();
	/* Told again, it is the same connection. */
	route(WIRE_ROUTE_ADD, 1);
	packet(TCP_ACK | TCP_PSH, ISS + 1, 0, 1);
	assert_int_equal(response().route_id, 1);
	/* Another session on the tuple begins anew. */
	route(WIRE_ROUTE_ADD, 2);
	packet(TCP_ACK | TCP_PSH, ISS + 2, 0, 1);
	no_response();
	route(WIRE_ROUTE_DEL, 2);
	packet(TCP_SYN, ISS, 0, 0);
	no_response();
	route(WIRE_ROUTE_DEL, 2);
}

static void test_many(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		tuple.src.port = (uint16_t)(1024 + i);
		route(WIRE_ROUTE_ADD, i);
	}
	for (unsigned i = 0; i < 5000; i++) {
		tuple.src.port = (uint16_t)(1024 + i);
		packet(TCP_SYN, i, 0, 0);
		assert_int_equal(response().route_id, i);
		if (i % 2)
			route(WIRE_ROUTE_DEL, i);
	}
	for (unsigned i = 0; i < 5000; i++) {
		tuple.src.port = (uint16_t)(1024 + i);
		packet(TCP_ACK | TCP_FIN, i + 1, 0, 0);
		if (i % 2 == 0)
			assert_int_equal(response().route_id, i);
		no_response();
	}
}

static void test_reset(void **state)
{
	(void)state;
	route(WIRE_ROUTE_ADD, 1);
	packet(TCP_RST, ISS, 0, 0);
	no_response();
	dry_target_on_packet(target, (const uint8_t *)"nonsense", 8);
	no_response();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_conversation, make_target,
						free_target),
		cmocka_unit_test_setup_teardown(test_repeats, make_target,
						free_target),
		cmocka_unit_test_setup_teardown(test_routes, make_target,
						free_target),
		cmocka_unit_test_setup_teardown(test_many, make_target,
						free_target),
		cmocka_unit_test_setup_teardown(test_reset, make_target,
						free_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
