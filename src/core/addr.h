/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses without a family: an IPv4 address is its IPv4-mapped IPv6 address
 * (::ffff:a.b.c.d), so that one code path serves both. Ports are in host order.
 */
#ifndef CORE_ADDR_H
#define CORE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ip_addr {
	uint8_t b[16];
};

struct endpoint {
	struct ip_addr addr;
	uint16_t port;
};

struct four_tuple {
	struct endpoint src, dst;
};

/* count addresses from first on, in numeric order. */
struct addr_range {
	struct ip_addr first;
	uint32_t count;
};

/* len leading bits of addr; 96 + the IPv4 length for an IPv4 prefix. */
struct addr_prefix {
	struct ip_addr addr;
	uint8_t len;
};

/* Chosen at random by the program: attackers choose what is hashed. */
struct hash_key {
	uint8_t b[16];
};

struct ip_addr addr_from_v4(const uint8_t v4[4]);
struct ip_addr addr_from_v6(const uint8_t v6[16]);
bool addr_is_v4(const struct ip_addr *a);
/* All zero bytes: no address given (0.0.0.0 mapped is an address). */
bool addr_is_none(const struct ip_addr *a);
/* 0.0.0.0, ::. */
bool addr_is_any(const struct ip_addr *a);
/* 127/8, ::1. */
bool addr_is_loopback(const struct ip_addr *a);
/* 169.254/16, fe80::/10. */
bool addr_is_link_local(const struct ip_addr *a);
static inline bool addr_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}
bool addr_in_prefix(const struct ip_addr *a, const struct addr_prefix *p);
/* first + index; index < range->count. */
struct ip_addr addr_range_at(const struct addr_range *range, uint32_t index);
static inline bool endpoint_equal(const struct endpoint *a,
				  const struct endpoint *b)
{
	return a->port == b->port && addr_equal(&a->addr, &b->addr);
}
static inline bool four_tuple_equal(const struct four_tuple *a,
				    const struct four_tuple *b)
{
	return endpoint_equal(&a->src, &b->src) &&
	       endpoint_equal(&a->dst, &b->dst);
}
/* SipHash-2-4 of len bytes (libsodium). */
uint64_t keyed_hash(const struct hash_key *key, const void *bytes, size_t len);
/* What a client's port adds to the hash of the rest: those that a client takes
 * one after the other, mostly each second one (Linux), get neighbouring places
 * in a table. Nobody knows whose place is beside whose. */
static inline uint32_t port_step(uint16_t port)
{
	return port >> 1 | (port & 1u) << 15;
}
/* Of a tuple: of src.port the step, the same hash of everything else; of IPv4
 * addresses, only the bytes that differ. */
uint64_t four_tuple_hash(const struct hash_key *key,
			 const struct four_tuple *t);

/* Text, always terminated: "192.0.2.1", "2001:db8::1", "192.0.2.1:80",
 * "[2001:db8::1]:80". Returns buf. IPv6 in RFC 5952 form. */
#define ADDR_TEXT_MAX	  46
#define ENDPOINT_TEXT_MAX (ADDR_TEXT_MAX + 8)
char *addr_text(const struct ip_addr *a, char buf[ADDR_TEXT_MAX]);
char *endpoint_text(const struct endpoint *e, char buf[ENDPOINT_TEXT_MAX]);

#endif
