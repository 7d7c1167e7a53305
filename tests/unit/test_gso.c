// SPDX-License-Identifier: BSD-2-Clause
/* Segments as one packet: cut again as the kernel does it, they are the ones
 * that went in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/bytes.h"
#include "core/checksum.h"
#include "core/packet.h"
#include "io/gso.h"

#define SLOT 2048

static uint8_t slots[8][SLOT];
static size_t lens[8];

static struct segment segment_of(bool v6, uint32_t seq, size_t len,
				 uint8_t flags)
{
	static const uint8_t a4[4] = {192, 0, 2, 1}, b4[4] = {192, 0, 2, 2};
	static const uint8_t a6[16] = {0x20, 1, [15] = 1};
	static const uint8_t b6[16] = {0x20, 1, [15] = 2};

	return (struct segment){
		.tuple = {.src = {v6 ? addr_from_v6(a6) : addr_from_v4(a4),
				  5000},
			  .dst = {v6 ? addr_from_v6(b6) : addr_from_v4(b4),
				  80}},
		.seq = seq,
		.ack = 77,
		.wnd = 1000,
		.flags = flags,
		.payload_len = (uint32_t)len,
		.payload_cap = (uint32_t)len,
	};
}

static void build(unsigned i, const struct segment *from)
{
	struct segment seg = *from;
	size_t header = packet_header_len(&seg);

	for (size_t k = 0; k < seg.payload_len; k++)
		slots[i][header + k] = (uint8_t)(seg.seq + k);
	seg.payload_cap = seg.payload_len;
	seg.payload = slots[i] + header;
	lens[i] = packet_build(slots[i], SLOT, &seg, (uint16_t)(100 + i));
	assert_true(lens[i] > 0);
}

static void make(unsigned i, bool v6, uint32_t seq, size_t len, uint8_t flags)
{
	struct segment seg = segment_of(v6, seq, len, flags);

	build(i, &seg);
}

/* The checksum that the kernel would put into a segment. */
static void finish_sum(uint8_t *l3, size_t len, const struct gso_cut *cut)
{
	uint8_t *tcp = l3 + cut->sum_start;

	store_be16(tcp + cut->sum_at,
		   checksum_fold(checksum_add(0, tcp, len - cut->sum_start)));
}

/* All payloads behind one header, which is right as it stands. */
static void assert_whole(bool v6, unsigned count, size_t mss, uint8_t flags)
{
	static uint8_t whole[8 * SLOT];
	struct gso_cut cut;
	struct segment seg;
	struct gso g;
	size_t len = lens[0];

	gso_begin(&g, slots[0], lens[0]);
	for (unsigned i = 1; i < count; i++)
		assert_true(gso_continue(&g, slots[0], slots[i], lens[i]));
	assert_true(gso_end(&g, slots[0], &cut));
	assert_int_equal(cut.v4, !v6);
	assert_int_equal(cut.mss_bytes, mss);
	assert_int_equal(cut.header_bytes, v6 ? 60 : 40);
	memcpy(whole, slots[0], lens[0]);
	for (unsigned i = 1; i < count; i++) {
		memcpy(whole + len, slots[i] + cut.header_bytes,
		       lens[i] - cut.header_bytes);
		len += lens[i] - cut.header_bytes;
	}
	finish_sum(whole, len, &cut);
	if (!v6)
		assert_int_equal(checksum_fold(checksum_add(0, whole, 20)), 0);
	assert_int_equal(packet_parse(&seg, whole, len, len), PACKET_OK);
	assert_int_equal(seg.payload_len, len - cut.header_bytes);
	assert_int_equal(seg.flags, flags);
	for (size_t k = 0; k < seg.payload_len; k++)
		assert_int_equal(seg.payload[k], (uint8_t)(seg.seq + k));
	/* and the sum is that of a packet made in one piece */
	if (len <= SLOT) {
		make(7, v6, seg.seq, seg.payload_len, flags);
		assert_memory_equal(whole + cut.sum_start,
				    slots[7] + cut.sum_start,
				    len - cut.sum_start);
	}
}

static void test_whole_turns(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		make(0, v6, 1000, 500, TCP_ACK);
		make(1, v6, 1500, 500, TCP_ACK);
		make(2, v6, 2000, 123, TCP_ACK | TCP_PSH);
		assert_whole(v6, 3, 500, TCP_ACK | TCP_PSH);
		/* over the end of the numbers */
		make(0, v6, UINT32_MAX - 100, 1400, TCP_ACK);
		make(1, v6, 1299, 1400, TCP_ACK);
		assert_whole(v6, 2, 1400, TCP_ACK);
	}
}

static bool continues(const struct segment *first, const struct segment *next)
{
	struct gso g;

	build(0, first);
	build(1, next);
	gso_begin(&g, slots[0], lens[0]);
	return gso_continue(&g, slots[0], slots[1], lens[1]);
}

static void test_what_is_of_another_turn(void **state)
{
	const struct segment a = segment_of(false, 1000, 500, TCP_ACK);
	const struct segment b = segment_of(false, 1500, 500, TCP_ACK);
	struct segment c;

	(void)state;
	assert_true(continues(&a, &b));
#define OTHER(field, value)                                                    \
	c = b;                                                                 \
	c.field = value;                                                       \
	assert_false(continues(&a, &c))
	OTHER(seq, 1501);
	OTHER(ack, 78);
	OTHER(wnd, 999);
	OTHER(tuple.src.port, 5001);
	OTHER(tuple.dst.port, 81);
	OTHER(tuple.src.addr.b[15], 9);
	OTHER(tuple.dst.addr.b[15], 9);
	OTHER(flags, TCP_ACK | TCP_FIN);
	OTHER(flags, TCP_ACK | TCP_RST);
	OTHER(flags, 0);
	OTHER(payload_len, 0);
#undef OTHER
	c = segment_of(false, 1500, 501, TCP_ACK);
	assert_false(continues(&a, &c));
	c = segment_of(true, 1500, 500, TCP_ACK);
	assert_false(continues(&a, &c));
	c = segment_of(false, 1000, 500, TCP_ACK | TCP_PSH);
	assert_false(continues(&c, &b));
	c = segment_of(false, 1499, 0, TCP_ACK | TCP_SYN);
	assert_false(continues(&c, &b));
	c = segment_of(false, 1500, 0, TCP_ACK);
	assert_false(continues(&c, &b));
}

/* Nothing follows a shorter one, nor the end of a turn. */
static void test_the_last_one(void **state)
{
	struct gso g;

	(void)state;
	make(0, false, 1000, 500, TCP_ACK);
	make(1, false, 1500, 499, TCP_ACK);
	make(2, false, 1999, 499, TCP_ACK);
	gso_begin(&g, slots[0], lens[0]);
	assert_true(gso_continue(&g, slots[0], slots[1], lens[1]));
	assert_false(gso_continue(&g, slots[0], slots[2], lens[2]));
	make(1, false, 1500, 500, TCP_ACK | TCP_PSH);
	make(2, false, 2000, 500, TCP_ACK);
	gso_begin(&g, slots[0], lens[0]);
	assert_true(gso_continue(&g, slots[0], slots[1], lens[1]));
	assert_false(gso_continue(&g, slots[0], slots[2], lens[2]));
}

static void test_a_single_one(void **state)
{
	uint8_t before[SLOT];
	struct gso_cut cut;
	struct gso g;

	(void)state;
	make(0, false, 1000, 500, TCP_ACK);
	memcpy(before, slots[0], lens[0]);
	gso_begin(&g, slots[0], lens[0]);
	assert_false(gso_end(&g, slots[0], &cut));
	assert_memory_equal(before, slots[0], lens[0]);
}

/* No longer than an IP packet can say. */
static void test_the_largest(void **state)
{
	struct gso_cut cut;
	struct gso g;
	unsigned n = 0;

	(void)state;
	make(0, false, 0, 1460, TCP_ACK);
	gso_begin(&g, slots[0], lens[0]);
	do
		make(1, false, ++n * 1460, 1460, TCP_ACK);
	while (n < 99 && gso_continue(&g, slots[0], slots[1], lens[1]));
	assert_int_equal(n, (65535 - 40) / 1460);
	assert_true(gso_end(&g, slots[0], &cut));
	assert_int_equal(load_be16(slots[0] + 2), 40 + n * 1460);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_turns),
		cmocka_unit_test(test_what_is_of_another_turn),
		cmocka_unit_test(test_the_last_one),
		cmocka_unit_test(test_a_single_one),
		cmocka_unit_test(test_the_largest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
