// SPDX-License-Identifier: BSD-2-Clause
/* Values of options that are addresses, networks, ports, or lists of them. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/opts.h"
#include "core/bytes.h"

#define SPACES " \t"
/* A network of clients is walked address by address. */
#define RANGE_BITS_MAX 24

int opts_item(const char **list, char *item, size_t cap)
{
	const char *at = *list;
	size_t len, whole;

	if (!at)
		return 0;
	whole = strcspn(at, ",");
	*list = at[whole] ? at + whole + 1 : NULL;
	len = strspn(at, SPACES);
	len = len < whole ? len : whole;
	at += len;
	len = whole - len;
	while (len && strchr(SPACES, at[len - 1]))
		len--;
	if (!len || len >= cap)
		return -EINVAL;
	memcpy(item, at, len);
	item[len] = '\0';
	return 1;
}

bool opts_addr(const char *text, struct ip_addr *out)
{
	char bare[INET6_ADDRSTRLEN];
	uint8_t bytes[16];
	size_t len = strlen(text);

	if (inet_pton(AF_INET, text, bytes) == 1) {
		*out = addr_from_v4(bytes);
		return true;
	}
	if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len >= sizeof(bare))
		return false;
	memcpy(bare, text, len);
	bare[len] = '\0';
	if (inet_pton(AF_INET6, bare, bytes) != 1)
		return false;
	*out = addr_from_v6(bytes);
	return true;
}

bool opts_is_host(const struct ip_addr *a)
{
	static const uint8_t every[4] = {255, 255, 255, 255};

	if (addr_is_any(a))
		return false;
	if (!addr_is_v4(a))
		return a->b[0] != 0xff;
	return (a->b[12] & 0xf0) != 224 && memcmp(a->b + 12, every, 4) != 0;
}

static bool must_be_host(const struct ip_addr *a, const char *text,
			 struct opts_fault *fault)
{
	return opts_is_host(a) ||
	       opts_fail(fault,
			 "%.80s is not the address of a host, but "
			 "unspecified, multicast or broadcast",
			 text);
}

static bool from_sockaddr(const struct sockaddr *sa, struct ip_addr *out)
{
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in v4;

		memcpy(&v4, sa, sizeof(v4));
		*out = addr_from_v4((const uint8_t *)&v4.sin_addr);
		return true;
	}
	if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 v6;

		memcpy(&v6, sa, sizeof(v6));
		*out = addr_from_v6(v6.sin6_addr.s6_addr);
		return true;
	}
	return false;
}

bool opts_host(const char *text, struct ip_addr *out, struct opts_fault *fault)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
	bool ok;
	int err;

	if (opts_addr(text, out))
		return must_be_host(out, text, fault);
	/* Otherwise 1.2.3 and 1.2.3.400 would be "host names". */
	if (text[strspn(text, "0123456789.")] == '\0' || strpbrk(text, " :[]"))
		return opts_fail(fault, "%.80s is not an address", text);
	err = getaddrinfo(text, NULL, &hints, &found);
	ok = !err && from_sockaddr(found->ai_addr, out);
	if (found)
		freeaddrinfo(found);
	if (!ok)
		return opts_fail(fault, "host %.80s is not known: %s", text,
				 gai_strerror(err));
	return must_be_host(out, text, fault);
}

bool opts_prefix(const char *text, struct addr_prefix *out,
		 struct opts_fault *fault)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char addr[ADDR_TEXT_MAX + 2];
	uint64_t bits;
	unsigned base;

	if (len < sizeof(addr)) {
		memcpy(addr, text, len);
		addr[len] = '\0';
	}
	if (len >= sizeof(addr) || !opts_addr(addr, &out->addr))
		return opts_fail(fault,
				 "%.80s is neither ADDRESS nor "
				 "ADDRESS/LENGTH",
				 text);
	base = addr_is_v4(&out->addr) && !strchr(addr, ':') ? 96 : 0;
	out->len = 128;
	if (!slash)
		return true;
	if (!opts_number(slash + 1, "the length of a prefix", 0, 128 - base,
			 &bits, fault))
		return false;
	out->len = (uint8_t)(base + bits);
	return true;
}

/* 192.0.2.x -> 192.0.2.0/24 */
static bool wildcard(const char *text, struct addr_prefix *out)
{
	size_t len = strlen(text);
	char addr[ADDR_TEXT_MAX];

	if (len < 2 || len >= sizeof(addr) || strcmp(text + len - 2, ".x") != 0)
		return false;
	memcpy(addr, text, len + 1);
	addr[len - 1] = '0';
	out->len = 120;
	return opts_addr(addr, &out->addr);
}

bool opts_range(const char *text, struct addr_range *out,
		struct opts_fault *fault)
{
	struct addr_prefix p;
	struct ip_addr last;
	unsigned host_bits;
	uint32_t host_mask;

	if (!wildcard(text, &p) && !opts_prefix(text, &p, fault))
		return false;
	host_bits = 128u - p.len;
	if (host_bits > RANGE_BITS_MAX)
		return opts_fail(fault,
				 "a network has at most %u addresses here "
				 "(/%u in IPv4, /%u in IPv6)",
				 1u << RANGE_BITS_MAX, 32 - RANGE_BITS_MAX,
				 128 - RANGE_BITS_MAX);
	out->count = 1u << host_bits;
	host_mask = out->count - 1;
	out->first = p.addr;
	store_be32(out->first.b + 12,
		   load_be32(out->first.b + 12) & ~host_mask);
	if (addr_is_v4(&p.addr) && host_bits > 1) {
		store_be32(out->first.b + 12, load_be32(out->first.b + 12) + 1);
		out->count -= 2;
	}
	last = addr_range_at(out, out->count - 1);
	return must_be_host(&out->first, text, fault) &&
	       must_be_host(&last, text, fault);
}

bool opts_port(const char *text, uint16_t *out, struct opts_fault *fault)
{
	uint64_t port;

	if (!opts_number(text, "a port", 1, 65535, &port, fault))
		return false;
	*out = (uint16_t)port;
	return true;
}

bool opts_endpoint(const char *text, uint16_t default_port,
		   struct endpoint *out, struct opts_fault *fault)
{
	const char *colon = strrchr(text, ':');
	const char *bracket = strrchr(text, ']');
	char host[OPTS_ITEM_MAX];
	size_t len = strlen(text);

	/* An IPv6 address without brackets has no port. */
	if (colon && !bracket && strchr(text, ':') != colon)
		colon = NULL;
	if (colon && bracket && colon < bracket)
		colon = NULL;
	if (colon)
		len = (size_t)(colon - text);
	if (!len || len >= sizeof(host))
		return opts_fail(fault, "\"%.80s\" is not HOST or HOST:PORT",
				 text);
	memcpy(host, text, len);
	host[len] = '\0';
	out->port = default_port;
	return (!colon || opts_port(colon + 1, &out->port, fault)) &&
	       opts_host(host, &out->addr, fault);
}
