// SPDX-License-Identifier: BSD-2-Clause
#include "core/packet.h"

#include <string.h>

#include "core/bytes.h"
#include "core/check.h"
#include "core/checksum.h"

enum {
	IPV4_HEADER = 20,
	IPV6_HEADER = 40,
	TCP_HEADER = 20,
	PROTO_HOPOPTS = 0,
	PROTO_TCP = 6,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_AUTH = 51,
	PROTO_DSTOPTS = 60,
	TTL = 64,
	EXTENSIONS_MAX = 8,
};

/* What is left of a packet once its IP header is off. */
struct ip_payload {
	struct reader bytes; /* readable */
	size_t len;	     /* on the wire */
};

/* Cuts padding off, or trusts wire_len where the header has no length. */
static enum packet_error cut(struct ip_payload *out, struct reader r,
			     size_t ip_len, size_t header_len, size_t wire_len)
{
	if (ip_len == 0)
		ip_len = wire_len;
	if (ip_len < header_len || ip_len > wire_len)
		return PACKET_TRUNCATED;
	out->len = ip_len - header_len;
	if (r.left_bytes > out->len)
		r.left_bytes = out->len;
	out->bytes = r;
	return PACKET_OK;
}

static enum packet_error parse_v4(struct segment *seg, struct ip_payload *out,
				  struct reader r, size_t wire_len)
{
	const uint8_t *h = reader_take(&r, IPV4_HEADER);
	size_t header_len;

	if (!h)
		return PACKET_TRUNCATED;
	header_len = (h[0] & 0x0f) * 4u;
	if (header_len < IPV4_HEADER)
		return PACKET_BAD_IP;
	if (!reader_take(&r, header_len - IPV4_HEADER))
		return PACKET_TRUNCATED;
	if (load_be16(h + 6) & 0x3fff) /* more fragments, or an offset */
		return PACKET_FRAGMENT;
	if (h[9] != PROTO_TCP)
		return PACKET_NOT_TCP;
	seg->tuple.src.addr = addr_from_v4(h + 12);
	seg->tuple.dst.addr = addr_from_v4(h + 16);
	return cut(out, r, load_be16(h + 2), header_len, wire_len);
}

/* Walks to the TCP header. *proto: the header that r stands at. */
static enum packet_error skip_extensions(struct reader *r, uint8_t proto)
{
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		const uint8_t *h;
		size_t unit = 8, extra = 1;

		if (proto == PROTO_TCP)
			return PACKET_OK;
		if (proto == PROTO_FRAGMENT)
			return PACKET_FRAGMENT;
		if (proto == PROTO_AUTH) {
			unit = 4;
			extra = 2;
		} else if (proto != PROTO_HOPOPTS && proto != PROTO_ROUTING &&
			   proto != PROTO_DSTOPTS) {
			return PACKET_NOT_TCP;
		}
		h = reader_take(r, 2);
		if (!h || !reader_take(r, (h[1] + extra) * unit - 2))
			return PACKET_TRUNCATED;
		proto = h[0];
	}
	return PACKET_NOT_TCP;
}

static enum packet_error parse_v6(struct segment *seg, struct ip_payload *out,
				  struct reader r, size_t wire_len)
{
	const uint8_t *h = reader_take(&r, IPV6_HEADER);
	enum packet_error error;
	size_t before, len;

	if (!h)
		return PACKET_TRUNCATED;
	seg->tuple.src.addr = addr_from_v6(h + 8);
	seg->tuple.dst.addr = addr_from_v6(h + 24);
	before = r.left_bytes;
	error = skip_extensions(&r, h[6]);
	if (error != PACKET_OK)
		return error;
	len = load_be16(h + 4);
	return cut(out, r, len ? len + IPV6_HEADER : 0,
		   IPV6_HEADER + before - r.left_bytes, wire_len);
}

bool packet_is_plain(const uint8_t *l3, size_t len)
{
	if (len >= IPV4_HEADER && l3[0] == 0x45)
		return load_be16(l3 + 2) == len && l3[9] == PROTO_TCP &&
		       !(load_be16(l3 + 6) & 0x3fff);
	if (len >= IPV6_HEADER && l3[0] >> 4 == 6)
		return load_be16(l3 + 4) == len - IPV6_HEADER &&
		       l3[6] == PROTO_TCP;
	return false;
}

static enum packet_error parse_tcp(struct segment *seg, struct ip_payload *ip)
{
	const uint8_t *h = reader_take(&ip->bytes, TCP_HEADER), *opts;
	size_t header_len;

	if (!h)
		return PACKET_TRUNCATED;
	header_len = (h[12] >> 4) * 4u;
	if (header_len < TCP_HEADER)
		return PACKET_BAD_TCP;
	opts = reader_take(&ip->bytes, header_len - TCP_HEADER);
	if (!opts)
		return PACKET_TRUNCATED;
	seg->tuple.src.port = load_be16(h);
	seg->tuple.dst.port = load_be16(h + 2);
	seg->seq = load_be32(h + 4);
	seg->ack = load_be32(h + 8);
	seg->flags = h[13] & (TCP_FIN | TCP_SYN | TCP_RST | TCP_PSH | TCP_ACK);
	seg->wnd = load_be16(h + 14);
	if (seg->flags & TCP_SYN && seg->flags & (TCP_FIN | TCP_RST))
		return PACKET_BAD_TCP;
	tcp_opts_parse(&seg->opts, opts, header_len - TCP_HEADER);
	seg->payload_len = (uint32_t)(ip->len - header_len);
	seg->payload_cap = (uint32_t)ip->bytes.left_bytes;
	seg->payload = seg->payload_cap ? ip->bytes.p : NULL;
	return PACKET_OK;
}

enum packet_error packet_parse(struct segment *seg, const uint8_t *l3,
			       size_t cap_len, size_t wire_len)
{
	struct reader r = reader_of(l3, cap_len);
	struct ip_payload ip;
	enum packet_error error;

	ASSERT(cap_len <= wire_len);
	if (cap_len == 0)
		return PACKET_TRUNCATED;
	*seg = (struct segment){0};
	if (l3[0] >> 4 == 4)
		error = parse_v4(seg, &ip, r, wire_len);
	else if (l3[0] >> 4 == 6)
		error = parse_v6(seg, &ip, r, wire_len);
	else
		error = PACKET_BAD_IP;
	return error == PACKET_OK ? parse_tcp(seg, &ip) : error;
}

static size_t ip_header_len(const struct segment *seg)
{
	return addr_is_v4(&seg->tuple.src.addr) ? IPV4_HEADER : IPV6_HEADER;
}

static size_t opts_len(const struct segment *seg)
{
	size_t len = 0;

	len += seg->opts.mss_bytes ? 4 : 0;
	len += seg->opts.has_wscale ? 3 : 0;
	len += seg->opts.has_tstamp ? 10 : 0;
	return (len + 3) & ~(size_t)3;
}

size_t packet_header_len(const struct segment *seg)
{
	return ip_header_len(seg) + TCP_HEADER + opts_len(seg);
}

static void build_tcp(uint8_t *h, const struct segment *seg, size_t header_len)
{
	store_be16(h, seg->tuple.src.port);
	store_be16(h + 2, seg->tuple.dst.port);
	store_be32(h + 4, seg->seq);
	store_be32(h + 8, seg->ack);
	h[12] = (uint8_t)(header_len / 4 << 4);
	h[13] = seg->flags;
	store_be16(h + 14, seg->wnd);
	store_be32(h + 16, 0); /* checksum, urgent pointer */
	tcp_opts_build(&seg->opts, h + TCP_HEADER);
}

static void build_v4(uint8_t *h, const struct segment *seg, size_t len,
		     uint16_t ip_id)
{
	h[0] = 0x45;
	h[1] = 0;
	store_be16(h + 2, (uint16_t)len);
	store_be16(h + 4, ip_id);
	store_be16(h + 6, 0x4000); /* don't fragment */
	h[8] = TTL;
	h[9] = PROTO_TCP;
	store_be16(h + 10, 0);
	memcpy(h + 12, seg->tuple.src.addr.b + 12, 4);
	memcpy(h + 16, seg->tuple.dst.addr.b + 12, 4);
	store_be16(h + 10, checksum_fold(checksum_add(0, h, IPV4_HEADER)));
}

static void build_v6(uint8_t *h, const struct segment *seg, size_t len)
{
	store_be32(h, 0x60000000);
	store_be16(h + 4, (uint16_t)(len - IPV6_HEADER));
	h[6] = PROTO_TCP;
	h[7] = TTL;
	memcpy(h + 8, seg->tuple.src.addr.b, 16);
	memcpy(h + 24, seg->tuple.dst.addr.b, 16);
}

/* Addresses lie next to each other at the end of both IP headers. */
static uint16_t tcp_checksum(const uint8_t *packet, size_t ip_len,
			     size_t header_len, size_t len,
			     uint64_t payload_sum)
{
	size_t addrs = ip_len == IPV4_HEADER ? 8 : 32;
	uint8_t rest[8] = {[7] = PROTO_TCP};
	uint64_t sum;

	store_be32(rest, (uint32_t)(len - ip_len));
	sum = checksum_add(0, packet + ip_len - addrs, addrs);
	sum = checksum_add(sum, rest, sizeof(rest));
	sum = checksum_add(sum, packet + ip_len, header_len - ip_len);
	return checksum_fold(checksum_join(sum, payload_sum, 0));
}

static bool fits(const struct segment *seg, size_t cap)
{
	size_t len = packet_header_len(seg) + seg->payload_len;

	ASSERT(seg->payload_cap == seg->payload_len);
	return len <= cap && len <= UINT16_MAX;
}

size_t packet_build_around(uint8_t *out, size_t cap, const struct segment *seg,
			   uint64_t payload_sum, uint16_t ip_id)
{
	size_t ip_len = ip_header_len(seg);
	size_t header_len = packet_header_len(seg);
	size_t len = header_len + seg->payload_len;

	if (!fits(seg, cap))
		return 0;
	if (ip_len == IPV4_HEADER)
		build_v4(out, seg, len, ip_id);
	else
		build_v6(out, seg, len);
	build_tcp(out + ip_len, seg, header_len - ip_len);
	store_be16(out + ip_len + 16,
		   tcp_checksum(out, ip_len, header_len, len, payload_sum));
	return len;
}

size_t packet_build(uint8_t *out, size_t cap, const struct segment *seg,
		    uint16_t ip_id)
{
	uint64_t sum = 0;

	if (!fits(seg, cap))
		return 0;
	if (seg->payload_len > 0)
		sum = checksum_copy(out + packet_header_len(seg), seg->payload,
				    seg->payload_len);
	return packet_build_around(out, cap, seg, sum, ip_id);
}

size_t packet_cut(uint8_t *out, size_t cap, struct segment *seg, uint16_t ip_id)
{
	size_t header_len = packet_header_len(seg);
	struct segment piece = *seg;
	uint32_t len = seg->payload_len;

	if (len == 0 || cap <= header_len)
		return 0;
	if (len > cap - header_len) {
		len = (uint32_t)(cap - header_len);
		piece.flags &= (uint8_t) ~(TCP_PSH | TCP_FIN);
	}
	piece.payload_len = piece.payload_cap = len;
	seg->seq += len;
	seg->payload += len;
	seg->payload_len -= len;
	seg->payload_cap = seg->payload_len;
	return packet_build(out, cap, &piece, ip_id);
}
