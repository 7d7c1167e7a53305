// SPDX-License-Identifier: BSD-2-Clause
#include "core/addr.h"

#include <string.h>

#include <sodium/crypto_shorthash.h>

#include "core/bytes.h"

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

struct ip_addr addr_from_v4(const uint8_t v4[4])
{
	struct ip_addr a;

	memcpy(a.b, v4_prefix, sizeof(v4_prefix));
	memcpy(a.b + sizeof(v4_prefix), v4, 4);
	return a;
}

struct ip_addr addr_from_v6(const uint8_t v6[16])
{
	struct ip_addr a;

	memcpy(a.b, v6, sizeof(a.b));
	return a;
}

bool addr_is_v4(const struct ip_addr *a)
{
	return memcmp(a->b, v4_prefix, sizeof(v4_prefix)) == 0;
}

bool addr_is_none(const struct ip_addr *a)
{
	static const struct ip_addr none;

	return addr_equal(a, &none);
}

bool addr_is_any(const struct ip_addr *a)
{
	static const uint8_t any_v4[4];

	return addr_is_v4(a) ? memcmp(a->b + 12, any_v4, 4) == 0
			     : addr_is_none(a);
}

bool addr_is_loopback(const struct ip_addr *a)
{
	static const struct ip_addr one = {{[15] = 1}};

	return addr_is_v4(a) ? a->b[12] == 127 : addr_equal(a, &one);
}

bool addr_is_link_local(const struct ip_addr *a)
{
	if (addr_is_v4(a))
		return a->b[12] == 169 && a->b[13] == 254;
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool addr_in_prefix(const struct ip_addr *a, const struct addr_prefix *p)
{
	unsigned whole = p->len / 8, rest = p->len % 8;

	if (memcmp(a->b, p->addr.b, whole) != 0)
		return false;
	return rest == 0 || (a->b[whole] ^ p->addr.b[whole]) >> (8 - rest) == 0;
}

struct ip_addr addr_range_at(const struct addr_range *range, uint32_t index)
{
	struct ip_addr a = range->first;
	uint64_t carry = index;

	for (int i = 15; i >= 0 && carry; i--) {
		carry += a.b[i];
		a.b[i] = (uint8_t)carry;
		carry >>= 8;
	}
	return a;
}

uint64_t keyed_hash(const struct hash_key *key, const void *bytes, size_t len)
{
	uint64_t hash;

	_Static_assert(sizeof(*key) == crypto_shorthash_KEYBYTES, "key size");
	_Static_assert(sizeof(hash) == crypto_shorthash_BYTES, "hash size");
	crypto_shorthash((unsigned char *)&hash, bytes, len, key->b);
	return hash;
}

uint64_t four_tuple_hash(const struct hash_key *key, const struct four_tuple *t)
{
	struct {
		uint8_t src[4], dst[4];
		uint32_t port;
	} v4 = {.port = t->dst.port};
	uint32_t step = port_step(t->src.port);

	if (!addr_is_v4(&t->src.addr) || !addr_is_v4(&t->dst.addr)) {
		struct four_tuple rest = *t;

		rest.src.port = 0;
		return keyed_hash(key, &rest, sizeof(rest)) + step;
	}
	memcpy(v4.src, t->src.addr.b + sizeof(v4_prefix), sizeof(v4.src));
	memcpy(v4.dst, t->dst.addr.b + sizeof(v4_prefix), sizeof(v4.dst));
	return keyed_hash(key, &v4, sizeof(v4)) + step;
}

static char *put_number(char *to, unsigned value, unsigned base)
{
	static const char digits[] = "0123456789abcdef";

	if (value >= base)
		to = put_number(to, value / base, base);
	*to++ = digits[value % base];
	return to;
}

/* The longest run of at least two zero groups, the first of equals. */
static int zero_run(const struct ip_addr *a, int *length)
{
	int best = -1;

	*length = 1;
	for (int i = 0; i < 8; i++) {
		int n = 0;

		while (i + n < 8 && load_be16(a->b + 2 * (i + n)) == 0)
			n++;
		if (n > *length) {
			best = i;
			*length = n;
		}
		i += n;
	}
	return best;
}

static char *put_v4(char *to, const uint8_t v4[4])
{
	for (int i = 0; i < 4; i++) {
		if (i > 0)
			*to++ = '.';
		to = put_number(to, v4[i], 10);
	}
	return to;
}

static char *put_v6(char *to, const struct ip_addr *a)
{
	int length, run = zero_run(a, &length);

	for (int i = 0; i < 8; i++) {
		if (i == run) {
			*to++ = ':';
			i += length - 1;
			if (i == 7)
				*to++ = ':';
			continue;
		}
		if (i > 0)
			*to++ = ':';
		to = put_number(to, load_be16(a->b + 2 * i), 16);
	}
	return to;
}

static char *put_addr(char *to, const struct ip_addr *a)
{
	return addr_is_v4(a) ? put_v4(to, a->b + 12) : put_v6(to, a);
}

char *addr_text(const struct ip_addr *a, char buf[ADDR_TEXT_MAX])
{
	*put_addr(buf, a) = '\0';
	return buf;
}

char *endpoint_text(const struct endpoint *e, char buf[ENDPOINT_TEXT_MAX])
{
	bool brackets = !addr_is_v4(&e->addr);
	char *to = buf;

	if (brackets)
		*to++ = '[';
	to = put_addr(to, &e->addr);
	if (brackets)
		*to++ = ']';
	*to++ = ':';
	*put_number(to, e->port, 10) = '\0';
	return buf;
}
