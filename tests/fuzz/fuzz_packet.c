// SPDX-License-Identifier: BSD-2-Clause
/*
 * A packet of which a part was captured: the first two bytes say how many were
 * on the wire beyond those. What is taken lies within the input, and is built
 * and taken as the same again.
 */
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/check.h"
#include "core/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct segment *a, const struct segment *b)
{
	ASSERT(four_tuple_equal(&a->tuple, &b->tuple));
	ASSERT(a->seq == b->seq && a->ack == b->ack);
	ASSERT(a->flags == b->flags && a->wnd == b->wnd);
	ASSERT(a->opts.mss_bytes == b->opts.mss_bytes);
	ASSERT(a->opts.has_wscale == b->opts.has_wscale);
	ASSERT(a->payload_len == b->payload_len);
	ASSERT(a->payload_len == 0 ||
	       memcmp(a->payload, b->payload, a->payload_len) == 0);
}

static void check_again(const struct segment *seg)
{
	size_t len = packet_header_len(seg) + seg->payload_len, cut;
	uint8_t *bytes = malloc(len);
	struct segment again;

	if (!bytes)
		return;
	ASSERT(packet_build(bytes, len - 1, seg, 1) == 0);
	if (packet_build(bytes, len, seg, 1) == len) {
		ASSERT(packet_parse(&again, bytes, len, len) == PACKET_OK);
		check_same(seg, &again);
		for (cut = 0; cut < packet_header_len(seg); cut += 3)
			ASSERT(packet_parse(&again, bytes, cut, len) ==
			       PACKET_TRUNCATED);
	}
	free(bytes);
}

/* In pieces it has the same bytes at the same numbers. */
static void check_pieces(const struct segment *seg)
{
	uint8_t piece[PACKET_HEADER_MAX + 100];
	struct segment left = *seg, part;
	uint32_t at = 0;
	size_t len;

	while ((len = packet_cut(piece, sizeof(piece), &left, 1)) > 0) {
		ASSERT(packet_is_plain(piece, len));
		ASSERT(packet_parse(&part, piece, len, len) == PACKET_OK);
		ASSERT(part.seq == seg->seq + at && part.payload_len > 0);
		ASSERT(!memcmp(part.payload, seg->payload + at,
			       part.payload_len));
		at += part.payload_len;
	}
	ASSERT(at == seg->payload_len);
}

/* Both ends have the family that IP gave them; mapped addresses in an IPv6
 * header would go out as IPv4. */
static bool has_one_family(const struct segment *seg)
{
	return addr_is_v4(&seg->tuple.src.addr) ==
	       addr_is_v4(&seg->tuple.dst.addr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct segment seg;
	size_t wire_len;

	if (size < 2)
		return 0;
	wire_len = size - 2 + load_be16(data);
	data += 2;
	size -= 2;
	if (packet_parse(&seg, data, size, wire_len) != PACKET_OK)
		return 0;
	ASSERT(seg.payload_cap <= seg.payload_len);
	ASSERT(seg.payload_len <= wire_len);
	ASSERT(!seg.payload == !seg.payload_cap);
	if (seg.payload_cap)
		ASSERT(seg.payload >= data &&
		       seg.payload + seg.payload_cap <= data + size);
	if (seg.payload_cap == seg.payload_len && has_one_family(&seg))
		check_again(&seg);
	if (seg.payload_cap == seg.payload_len && has_one_family(&seg) &&
	    !(seg.flags & (TCP_SYN | TCP_RST)))
		check_pieces(&seg);
	return 0;
}
