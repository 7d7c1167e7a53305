// SPDX-License-Identifier: BSD-2-Clause
/* Long answers that intercept acknowledges itself: whose, what tcpcopy hears of
 * them, and what is injected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/bytes.h"
#include "core/local_ack.h"
#include "../helpers/one_divert.h"

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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;

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
	struct divert *d = ((struct one_divert *)*state)->d;
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
	struct divert *d = ((struct one_divert *)*state)->d;

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIVERT_TEST(test_long_answer),
		DIVERT_TEST(test_pause_in_a_long_answer),
		DIVERT_TEST(test_fin_of_a_long_answer),
		DIVERT_TEST(test_who_is_not_acknowledged_for),
		DIVERT_TEST(test_next_session_on_the_tuple),
		DIVERT_TEST(test_long_answers_without_a_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
