// SPDX-License-Identifier: BSD-2-Clause
/* Bytes to segment and back; checksums by another arithmetic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/checksum.h"
#include "core/packet.h"

static const uint8_t payload[] = "a request of odd length";

#define PAYLOAD_BYTES 23u

static struct segment some_segment(bool v6)
{
	static const uint8_t four[2][4] = {{10, 0, 0, 1}, {192, 0, 2, 200}};
	static const uint8_t six[2][16] = {
		{0x20, 1, 0xd, 0xb8, [15] = 1},
		{0x20, 1, 0xd, 0xb8, [14] = 0xff, 0xfe}};
	struct segment seg;

	memset(&seg, 0, sizeof(seg));
	seg.tuple.src.addr = v6 ? addr_from_v6(six[0]) : addr_from_v4(four[0]);
	seg.tuple.dst.addr = v6 ? addr_from_v6(six[1]) : addr_from_v4(four[1]);
	seg.tuple.src.port = 40000;
	seg.tuple.dst.port = 80;
	seg.seq = 0xfffffff0u;
	seg.ack = 0x01020304u;
	seg.flags = TCP_ACK | TCP_PSH;
	seg.wnd = 501;
	seg.payload = payload;
	seg.payload_len = seg.payload_cap = PAYLOAD_BYTES;
	return seg;
}

static size_t build(uint8_t *out, const struct segment *seg)
{
	size_t len = packet_build(out, 2000, seg, 77);

	assert_int_equal(len, packet_header_len(seg) + seg->payload_len);
	return len;
}

static void check_same(const struct segment *a, const struct segment *b)
{
	assert_true(four_tuple_equal(&a->tuple, &b->tuple));
	assert_int_equal(a->seq, b->seq);
	assert_int_equal(a->ack, b->ack);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->wnd, b->wnd);
	assert_int_equal(a->opts.mss_bytes, b->opts.mss_bytes);
	assert_int_equal(a->opts.has_wscale, b->opts.has_wscale);
	assert_int_equal(a->opts.wscale, b->opts.wscale);
	assert_int_equal(a->payload_len, b->payload_len);
	assert_int_equal(a->payload_cap, b->payload_cap);
	if (a->payload_len)
		assert_memory_equal(a->payload, b->payload, a->payload_len);
}

/* Carries at once, two bytes at a time; zero over what is whole. */
static uint16_t sum(uint32_t start, const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		start += (uint32_t)b[i] << (i % 2 ? 0 : 8);
		start = (start & 0xffff) + (start >> 16);
	}
	return (uint16_t)~start;
}

static void check_checksums(const uint8_t *p, size_t len)
{
	size_t ip = p[0] >> 4 == 4 ? 20 : 40;
	size_t addrs = ip == 20 ? 8 : 32;
	uint32_t pseudo = 6 + (uint32_t)(len - ip);

	if (ip == 20)
		assert_int_equal(sum(0, p, 20), 0);
	pseudo += (uint16_t)~sum(0, p + ip - addrs, addrs);
	assert_int_equal(sum(pseudo, p + ip, len - ip), 0);
}

static void test_there_and_back(void **state)
{
	(void)state;
	for (int which = 0; which < 16; which++) {
		struct segment seg = some_segment(which & 1), again;
		uint8_t bytes[2000];
		size_t len;

		if (which & 2) {
			seg.flags = TCP_SYN;
			seg.opts.mss_bytes = 1460;
			seg.opts.has_wscale = true;
			seg.opts.wscale = 7;
		}
		if (which & 4)
			seg.payload_len = seg.payload_cap = 0;
		if (which & 8)
			seg.payload_len = seg.payload_cap = 22;
		len = build(bytes, &seg);
		check_checksums(bytes, len);
		assert_int_equal(packet_parse(&again, bytes, len, len),
				 PACKET_OK);
		check_same(&seg, &again);
	}
}

static void test_headers_as_they_go_out(void **state)
{
	struct segment seg = some_segment(false);
	uint8_t b[2000];
	size_t len = build(b, &seg);

	(void)state;
	assert_int_equal(b[0], 0x45);
	assert_int_equal(b[2] << 8 | b[3], len);
	assert_int_equal(b[4] << 8 | b[5], 77);
	assert_int_equal(b[6] << 8 | b[7], 0x4000); /* don't fragment */
	assert_int_equal(b[8], 64);
	seg = some_segment(true);
	len = build(b, &seg);
	assert_int_equal(b[0], 0x60);
	assert_int_equal(b[4] << 8 | b[5], len - 40);
	assert_int_equal(b[7], 64);
}

/* The same packet, whoever has put the payload there. */
static void test_around_a_payload(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct segment seg = some_segment(v6);
		size_t header = packet_header_len(&seg), len;
		uint8_t want[2000], bytes[2000];
		uint64_t sum;

		sum = checksum_copy(bytes + header, payload, PAYLOAD_BYTES);
		seg.payload = NULL;
		len = packet_build_around(bytes, sizeof(bytes), &seg, sum, 77);
		assert_int_equal(
			packet_build_around(bytes, len - 1, &seg, sum, 77), 0);
		seg.payload = payload;
		assert_int_equal(build(want, &seg), len);
		assert_memory_equal(bytes, want, len);
	}
}

static void test_no_room(void **state)
{
	struct segment seg = some_segment(true);
	uint8_t bytes[200];
	size_t len = packet_header_len(&seg) + PAYLOAD_BYTES;

	(void)state;
	assert_int_equal(packet_build(bytes, len - 1, &seg, 0), 0);
	assert_int_equal(packet_build(bytes, len, &seg, 0), len);
}

/* What an IP header can say is the most that is built. */
static void test_the_largest(void **state)
{
	static uint8_t bytes[70000], data[65536];
	struct segment again;

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct segment seg = some_segment(v6);

		seg.payload = data;
		seg.payload_len = UINT16_MAX - packet_header_len(&seg);
		seg.payload_cap = seg.payload_len;
		assert_int_equal(packet_build(bytes, sizeof(bytes), &seg, 0),
				 UINT16_MAX);
		check_checksums(bytes, UINT16_MAX);
		assert_int_equal(
			packet_parse(&again, bytes, UINT16_MAX, UINT16_MAX),
			PACKET_OK);
		check_same(&seg, &again);
		seg.payload_cap = ++seg.payload_len;
		assert_int_equal(packet_build(bytes, sizeof(bytes), &seg, 0),
				 0);
	}
}

/* Flags that say nothing about the stream (URG, ECE, CWR) are not taken. */
static void test_other_flags(void **state)
{
	struct segment seg = some_segment(false), again;
	uint8_t bytes[2000];
	size_t len = build(bytes, &seg);

	(void)state;
	bytes[33] |= 0xe0;
	assert_int_equal(packet_parse(&again, bytes, len, len), PACKET_OK);
	assert_int_equal(again.flags, TCP_ACK | TCP_PSH);
}

/* Whatever is cut off: truncated, or a payload of which only a part is here. */
static void test_cut_anywhere(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct segment seg = some_segment(v6), again;
		size_t header = packet_header_len(&seg), len;
		uint8_t bytes[2000];

		len = build(bytes, &seg);
		for (size_t cut = 0; cut < len; cut++) {
			enum packet_error error =
				packet_parse(&again, bytes, cut, len);

			if (cut < header) {
				assert_int_equal(error, PACKET_TRUNCATED);
				continue;
			}
			assert_int_equal(error, PACKET_OK);
			assert_int_equal(again.payload_len, PAYLOAD_BYTES);
			assert_int_equal(again.payload_cap, cut - header);
		}
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(packet_parse(&again, bytes, cut, cut),
					 PACKET_TRUNCATED);
	}
}

/* Ethernet pads short frames; that is no payload. */
static void test_padding(void **state)
{
	struct segment seg = some_segment(false), again;
	uint8_t bytes[2000] = {0};
	size_t len;

	(void)state;
	seg.payload_len = seg.payload_cap = 0;
	len = build(bytes, &seg);
	assert_int_equal(packet_parse(&again, bytes, len + 6, len + 6),
			 PACKET_OK);
	assert_int_equal(again.payload_len, 0);
	assert_null(again.payload);
}

/* A length of zero: the device was to fill it in (GSO). */
static void test_length_of_zero(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct segment seg = some_segment(v6), again;
		uint8_t bytes[2000];
		size_t len = build(bytes, &seg);

		memset(bytes + (v6 ? 4 : 2), 0, 2);
		assert_int_equal(packet_parse(&again, bytes, len, len),
				 PACKET_OK);
		check_same(&seg, &again);
	}
}

static void test_not_for_us(void **state)
{
	struct segment seg = some_segment(false), out;
	uint8_t bytes[2000], b[2000];
	size_t len = build(bytes, &seg);
	static const struct {
		size_t at;
		uint8_t value;
		enum packet_error error;
	} rows[] = {
		{0, 0x55, PACKET_BAD_IP},
		{0, 0x44, PACKET_BAD_IP},
		{0, 0x4f, PACKET_TRUNCATED},
		{9, 17, PACKET_NOT_TCP},
		{6, 0x20, PACKET_FRAGMENT},
		{7, 0x01, PACKET_FRAGMENT},
		{3, 10, PACKET_TRUNCATED},
		{2, 0xff, PACKET_TRUNCATED},
		{32, 0x40, PACKET_BAD_TCP},
		{32, 0xf0, PACKET_TRUNCATED},
		{33, TCP_SYN | TCP_FIN, PACKET_BAD_TCP},
		{33, TCP_SYN | TCP_RST, PACKET_BAD_TCP},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memcpy(b, bytes, len);
		b[rows[i].at] = rows[i].value;
		assert_int_equal(packet_parse(&out, b, len, len),
				 rows[i].error);
	}
}

static void test_ip_options(void **state)
{
	struct segment seg = some_segment(false), again;
	uint8_t bytes[2000], b[2000];
	size_t len = build(bytes, &seg);

	(void)state;
	memcpy(b, bytes, 20);
	memset(b + 20, 1, 8);
	memcpy(b + 28, bytes + 20, len - 20);
	b[0] = 0x47;
	b[3] = (uint8_t)(len + 8);
	assert_int_equal(packet_parse(&again, b, len + 8, len + 8), PACKET_OK);
	check_same(&seg, &again);
}

/* The packet with one more header between IPv6 and TCP. */
static enum packet_error with_extension(struct segment *out, uint8_t proto,
					const uint8_t *ext, size_t ext_len,
					unsigned times)
{
	struct segment seg = some_segment(true);
	uint8_t bytes[2000], b[2000];
	size_t len = build(bytes, &seg), at = 40;

	memcpy(b, bytes, 40);
	b[6] = times ? proto : 6;
	for (unsigned i = 0; i < times; i++) {
		memcpy(b + at, ext, ext_len);
		b[at] = i + 1 < times ? proto : 6;
		at += ext_len;
	}
	memcpy(b + at, bytes + 40, len - 40);
	len += at - 40;
	b[4] = (uint8_t)((len - 40) >> 8);
	b[5] = (uint8_t)(len - 40);
	for (size_t cut = 0; cut < at + 20; cut++)
		assert_int_not_equal(packet_parse(out, b, cut, len), PACKET_OK);
	return packet_parse(out, b, len, len);
}

static void test_ipv6_extensions(void **state)
{
	static const uint8_t plain[16] = {0, 1};    /* 16 bytes */
	static const uint8_t auth[24] = {0, 4};	    /* in units of 4 */
	static const uint8_t kinds[] = {0, 43, 60}; /* hop, routing, dest */
	struct segment out;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds); i++)
		for (unsigned times = 0; times < 8; times++) {
			assert_int_equal(with_extension(&out, kinds[i], plain,
							16, times),
					 PACKET_OK);
			assert_int_equal(out.payload_len, PAYLOAD_BYTES);
			assert_int_equal(out.tuple.dst.port, 80);
		}
	assert_int_equal(with_extension(&out, 51, auth, 24, 1), PACKET_OK);
	assert_int_equal(with_extension(&out, 44, plain, 8, 1),
			 PACKET_FRAGMENT);
	assert_int_equal(with_extension(&out, 50, plain, 16, 1),
			 PACKET_NOT_TCP); /* ESP */
	assert_int_equal(with_extension(&out, 0, plain, 16, 9),
			 PACKET_NOT_TCP); /* there is an end to it */
}

/* Pieces: numbers and bytes follow each other, only the last has PSH and FIN,
 * and each is a packet with checksums. */
static void test_pieces(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct segment whole = some_segment(v6), left, seg;
		size_t header_len = packet_header_len(&whole), len, at = 0;
		uint8_t bytes[200], again[200];
		unsigned count = 0;

		whole.flags |= TCP_FIN;
		left = whole;
		while ((len = packet_cut(bytes, header_len + 10, &left, 7))) {
			assert_true(packet_is_plain(bytes, len));
			assert_int_equal(packet_parse(&seg, bytes, len, len),
					 PACKET_OK);
			assert_int_equal(seg.seq, whole.seq + (uint32_t)at);
			assert_int_equal(seg.ack, whole.ack);
			assert_int_equal(seg.flags,
					 ++count < 3 ? TCP_ACK : whole.flags);
			assert_memory_equal(seg.payload, payload + at,
					    seg.payload_len);
			at += seg.payload_len;
			assert_int_equal(
				packet_build(again, sizeof(again), &seg, 7),
				len);
			assert_memory_equal(bytes, again, len);
		}
		assert_int_equal(count, 3);
		assert_int_equal(at, PAYLOAD_BYTES);
		assert_int_equal(left.payload_len, 0);
		left = whole;
		assert_int_equal(packet_cut(bytes, header_len, &left, 7), 0);
		assert_int_equal(left.payload_len, PAYLOAD_BYTES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_headers_as_they_go_out),
		cmocka_unit_test(test_around_a_payload),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_the_largest),
		cmocka_unit_test(test_other_flags),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_length_of_zero),
		cmocka_unit_test(test_not_for_us),
		cmocka_unit_test(test_ip_options),
		cmocka_unit_test(test_ipv6_extensions),
		cmocka_unit_test(test_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
