// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Segments can be one packet if they differ in nothing but what a cut makes
 * different: sequence numbers that follow each other, the IPv4 identification,
 * lengths, checksums, and PSH, which only the last may have. All but the last
 * have the same size. Of the checksum of TCP the kernel wants the sum over the
 * addresses, and adds the rest for each segment.
 */
#include "io/gso.h"

#include <netinet/in.h>
#include <string.h>

#include "core/bytes.h"
#include "core/checksum.h"

#define V4_BYTES    20u
#define V6_BYTES    40u
#define TCP_BYTES   20u
#define V4_LEN_AT   2
#define V4_FRAG_AT  6
#define V4_SUM_AT   10
#define V4_ADDRS_AT 12
#define V6_LEN_AT   4
#define V6_ADDRS_AT 8
#define TCP_SEQ_AT  4
#define TCP_ACK_AT  8
#define TCP_FLAG_AT 13
#define TCP_WIN_AT  14
#define TCP_SUM_AT  16
#define TCP_URG_AT  18
#define FLAG_ACK    0x10
#define FLAG_PSH    0x08

static bool is_v4(const uint8_t *l3)
{
	return l3[0] >> 4 == 4;
}

void gso_begin(struct gso *g, const uint8_t *l3, size_t len)
{
	uint16_t ip_bytes = is_v4(l3) ? V4_BYTES : V6_BYTES;
	const uint8_t *tcp = l3 + ip_bytes;
	uint16_t header_bytes = (uint16_t)(ip_bytes + (tcp[12] >> 4) * 4);

	*g = (struct gso){
		.open = len > header_bytes && tcp[TCP_FLAG_AT] == FLAG_ACK,
		.count = 1,
		.len = len,
		.ip_bytes = ip_bytes,
		.header_bytes = header_bytes,
		.mss_bytes = (uint16_t)(len - header_bytes),
	};
	g->next_seq = load_be32(tcp + TCP_SEQ_AT) + g->mss_bytes;
}

static bool same(const uint8_t *a, const uint8_t *b, size_t from, size_t to)
{
	return !memcmp(a + from, b + from, to - from);
}

static bool same_ip(const uint8_t *a, const uint8_t *b)
{
	if (is_v4(a))
		return same(a, b, 0, V4_LEN_AT) &&
		       same(a, b, V4_FRAG_AT, V4_SUM_AT) &&
		       same(a, b, V4_ADDRS_AT, V4_BYTES);
	return same(a, b, 0, V6_LEN_AT) && same(a, b, V6_LEN_AT + 2, V6_BYTES);
}

/* tcp_bytes of header. */
static bool same_tcp(const uint8_t *a, const uint8_t *b, size_t tcp_bytes)
{
	return same(a, b, 0, TCP_SEQ_AT) &&
	       same(a, b, TCP_ACK_AT, TCP_FLAG_AT) &&
	       same(a, b, TCP_WIN_AT, TCP_SUM_AT) &&
	       same(a, b, TCP_URG_AT, tcp_bytes);
}

bool gso_continue(struct gso *g, uint8_t *first, const uint8_t *l3, size_t len)
{
	const uint8_t *tcp = l3 + g->ip_bytes;
	size_t more = len - g->header_bytes;

	if (!g->open || len <= g->header_bytes || more > g->mss_bytes ||
	    g->len + more > UINT16_MAX || !same_ip(first, l3) ||
	    !same_tcp(first + g->ip_bytes, tcp,
		      g->header_bytes - g->ip_bytes) ||
	    load_be32(tcp + TCP_SEQ_AT) != g->next_seq ||
	    (tcp[TCP_FLAG_AT] & ~FLAG_PSH) != FLAG_ACK)
		return false;
	g->count++;
	g->len += more;
	g->next_seq += (uint32_t)more;
	g->open = more == g->mss_bytes && tcp[TCP_FLAG_AT] == FLAG_ACK;
	first[g->ip_bytes + TCP_FLAG_AT] = tcp[TCP_FLAG_AT];
	return true;
}

/* Over the addresses, the protocol and the length of TCP. */
static uint16_t pseudo_sum(const struct gso *g, const uint8_t *l3)
{
	size_t at = is_v4(l3) ? V4_ADDRS_AT : V6_ADDRS_AT;
	uint8_t rest[4] = {0, IPPROTO_TCP};
	uint64_t sum;

	store_be16(rest + 2, (uint16_t)(g->len - g->ip_bytes));
	sum = checksum_add(0, l3 + at, g->ip_bytes - at);
	sum = checksum_add(sum, rest, sizeof(rest));
	return (uint16_t)~checksum_fold(sum);
}

static void set_length(const struct gso *g, uint8_t *l3)
{
	if (!is_v4(l3)) {
		store_be16(l3 + V6_LEN_AT, (uint16_t)(g->len - V6_BYTES));
		return;
	}
	store_be16(l3 + V4_LEN_AT, (uint16_t)g->len);
	store_be16(l3 + V4_SUM_AT, 0);
	store_be16(l3 + V4_SUM_AT,
		   checksum_fold(checksum_add(0, l3, V4_BYTES)));
}

bool gso_end(const struct gso *g, uint8_t *first, struct gso_cut *cut)
{
	if (g->count < 2)
		return false;
	set_length(g, first);
	store_be16(first + g->ip_bytes + TCP_SUM_AT, pseudo_sum(g, first));
	*cut = (struct gso_cut){
		.v4 = is_v4(first),
		.mss_bytes = g->mss_bytes,
		.header_bytes = g->header_bytes,
		.sum_start = g->ip_bytes,
		.sum_at = TCP_SUM_AT,
	};
	return true;
}
