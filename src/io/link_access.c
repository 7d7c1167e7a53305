// SPDX-License-Identifier: BSD-2-Clause
#include "io/link_access.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/sockaddr.h"

/* An answer may be this old: an address that has moved to another host must not
 * get packets from us there. */
#define FRESH_US 1000000u

struct link_access {
	const struct addr_prefix *allow;
	size_t allow_count;
	struct addr_prefix *own; /* address and length of its subnet */
	size_t own_count;
	uint64_t read_us;
};

/* ---- what the kernel says ---- */

static uint8_t bits_of(const struct ip_addr *mask)
{
	unsigned bits = addr_is_v4(mask) ? 96 : 0;

	while (bits < 128 && mask->b[bits / 8] & 0x80u >> bits % 8)
		bits++;
	return (uint8_t)bits;
}

/* A subnet of length 0 would let everybody in. */
static bool own_of(const struct ifaddrs *at, struct addr_prefix *out)
{
	struct ip_addr mask;

	if (!sockaddr_to_addr(at->ifa_addr, &out->addr))
		return false;
	out->len = 128;
	if (sockaddr_to_addr(at->ifa_netmask, &mask))
		out->len = bits_of(&mask);
	if (out->len == 0 || (addr_is_v4(&out->addr) && out->len == 96))
		out->len = 128;
	return true;
}

static int read_own(struct link_access *la, uint64_t now_us)
{
	struct addr_prefix *own;
	struct ifaddrs *list;
	size_t max = 0, n = 0;

	la->read_us = now_us;
	if (getifaddrs(&list))
		return -errno;
	for (const struct ifaddrs *at = list; at; at = at->ifa_next)
		max++;
	own = calloc(max + 1, sizeof(*own));
	for (const struct ifaddrs *at = list; own && at; at = at->ifa_next)
		n += own_of(at, &own[n]);
	freeifaddrs(list);
	if (!own)
		return -ENOMEM;
	free(la->own);
	la->own = own;
	la->own_count = n;
	return 0;
}

/* ---- questions ---- */

static bool in_any(const struct ip_addr *a, const struct addr_prefix *list,
		   size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (addr_in_prefix(a, &list[i]))
			return true;
	return false;
}

static bool may_connect(const struct link_access *la, const struct ip_addr *who)
{
	return addr_is_loopback(who) || in_any(who, la->own, la->own_count) ||
	       in_any(who, la->allow, la->allow_count);
}

static bool is_own(const struct link_access *la, const struct ip_addr *addr)
{
	if (addr_is_loopback(addr))
		return true;
	for (size_t i = 0; i < la->own_count; i++)
		if (addr_equal(addr, &la->own[i].addr))
			return true;
	return false;
}

static bool
ask(struct link_access *la, const struct ip_addr *addr, uint64_t now_us,
    bool (*question)(const struct link_access *la, const struct ip_addr *addr))
{
	if (now_us - la->read_us >= FRESH_US)
		read_own(la, now_us); /* otherwise what we knew counts on */
	return question(la, addr);
}

bool link_access_may_connect(struct link_access *la, const struct ip_addr *who,
			     uint64_t now_us)
{
	return ask(la, who, now_us, may_connect);
}

bool link_access_is_own(struct link_access *la, const struct ip_addr *addr,
			uint64_t now_us)
{
	return ask(la, addr, now_us, is_own);
}

bool link_access_is_own_now(const struct link_access *la,
			    const struct ip_addr *addr)
{
	return is_own(la, addr);
}

/* ---- text ---- */

static struct ip_addr network_of(const struct addr_prefix *p)
{
	struct ip_addr a = p->addr;

	for (unsigned bit = p->len; bit < 128; bit++)
		a.b[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
	return a;
}

static bool listed_before(const struct addr_prefix *list, size_t i)
{
	struct ip_addr mine = network_of(&list[i]), other;

	for (size_t k = 0; k < i; k++) {
		other = network_of(&list[k]);
		if (list[k].len == list[i].len && addr_equal(&mine, &other))
			return true;
	}
	return false;
}

static void put_list(const struct addr_prefix *list, size_t count, char *out,
		     size_t cap)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < count; i++) {
		struct ip_addr net = network_of(&list[i]);
		size_t used = strlen(out);

		if (addr_is_loopback(&net) || listed_before(list, i))
			continue;
		snprintf(out + used, cap - used, "%s%s/%u", used ? ", " : "",
			 addr_text(&net, text),
			 list[i].len - (addr_is_v4(&net) ? 96u : 0u));
	}
}

void link_access_text(const struct link_access *la, char *out, size_t cap)
{
	out[0] = '\0';
	put_list(la->own, la->own_count, out, cap);
	put_list(la->allow, la->allow_count, out, cap);
}

/* ---- life ---- */

int link_access_open(struct link_access **out, const struct addr_prefix *allow,
		     size_t allow_count, uint64_t now_us)
{
	struct link_access *la = calloc(1, sizeof(*la));
	int rc;

	if (!la)
		return -ENOMEM;
	la->allow = allow;
	la->allow_count = allow_count;
	rc = read_own(la, now_us);
	if (rc)
		link_access_free(la);
	else
		*out = la;
	return rc;
}

void link_access_free(struct link_access *la)
{
	free(la->own);
	free(la);
}
