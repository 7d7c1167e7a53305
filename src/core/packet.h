/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes <-> segment, IPv4 and IPv6: the only code that touches their headers.
 */
#ifndef CORE_PACKET_H
#define CORE_PACKET_H

#include "core/segment.h"

/* Why a packet was not taken. */
enum packet_error {
	PACKET_OK = 0,
	PACKET_TRUNCATED, /* shorter than its own headers say */
	PACKET_BAD_IP,	  /* version or header length is impossible */
	PACKET_FRAGMENT,  /* not the whole datagram */
	PACKET_NOT_TCP,
	PACKET_BAD_TCP, /* data offset is impossible, or SYN with FIN or RST */
	PACKET_ERROR_COUNT
};

/* A packet as it was captured, from its L3 header on: cap_len bytes are
 * readable, wire_len (>= cap_len) were on the wire. */
struct packet_bytes {
	const uint8_t *l3;
	size_t cap_len, wire_len;
};

/* Largest IP and TCP header that packet_build() writes. */
#define PACKET_HEADER_MAX (40 + 20 + TCP_OPTS_MAX)

/*
 * Decodes the L3 packet at l3. cap_len bytes are readable, wire_len (>=
 * cap_len) were on the wire; trailing bytes beyond the IP length (Ethernet
 * padding) are ignored, and an IPv4 total length or IPv6 payload length of
 * zero (segmentation offload) means wire_len. IPv6 extension headers are
 * walked. Checksums are not looked at: locally captured ones are partial.
 * seg->payload borrows l3.
 */
enum packet_error packet_parse(struct segment *seg, const uint8_t *l3,
			       size_t cap_len, size_t wire_len);

/* These bytes are one packet with nothing special about it: no IP options or
 * extension headers, which could send it elsewhere, no fragment, the length
 * that it says, and TCP. */
bool packet_is_plain(const uint8_t *l3, size_t len);

/* Bytes of IP and TCP header that packet_build() will put before the payload.
 */
size_t packet_header_len(const struct segment *seg);

/*
 * Writes the whole packet with checksums; the family is the tuple's (both
 * ends alike). payload_cap must equal payload_len. ip_id is used by IPv4 only;
 * DF is set. Returns the packet's length, or 0 if cap is too small.
 */
size_t packet_build(uint8_t *out, size_t cap, const struct segment *seg,
		    uint16_t ip_id);

/* Writes what stands before the payload, which is in place at out +
 * packet_header_len(seg) and has that sum (checksum.h); otherwise as above. */
size_t packet_build_around(uint8_t *out, size_t cap, const struct segment *seg,
			   uint64_t payload_sum, uint16_t ip_id);

/*
 * Cuts a segment without SYN and RST: writes the first packet of at most cap
 * bytes of it, as packet_build() does, and takes that off seg. Only the last
 * one has PSH and FIN. Returns the packet's length; 0: nothing is left, or cap
 * has no room for payload.
 */
size_t packet_cut(uint8_t *out, size_t cap, struct segment *seg,
		  uint16_t ip_id);

#endif
