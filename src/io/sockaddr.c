// SPDX-License-Identifier: BSD-2-Clause
#include "io/sockaddr.h"

#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>

socklen_t sockaddr_from_endpoint(struct sockaddr_storage *out,
				 const struct endpoint *e)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (addr_is_v4(&e->addr)) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(e->port);
		memcpy(&v4->sin_addr, e->addr.b + 12, 4);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(e->port);
	memcpy(&v6->sin6_addr, e->addr.b, 16);
	return sizeof(*v6);
}

struct endpoint sockaddr_to_endpoint(const struct sockaddr_storage *sa)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;
	struct endpoint e = {0};

	if (sa->ss_family == AF_INET) {
		e.addr = addr_from_v4((const uint8_t *)&v4->sin_addr);
		e.port = ntohs(v4->sin_port);
	} else if (sa->ss_family == AF_INET6) {
		e.addr = addr_from_v6((const uint8_t *)&v6->sin6_addr);
		e.port = ntohs(v6->sin6_port);
	}
	return e;
}

bool sockaddr_to_addr(const struct sockaddr *from, struct ip_addr *out)
{
	struct sockaddr_storage sa = {0};

	if (!from ||
	    (from->sa_family != AF_INET && from->sa_family != AF_INET6))
		return false;
	memcpy(&sa, from,
	       from->sa_family == AF_INET ? sizeof(struct sockaddr_in)
					  : sizeof(struct sockaddr_in6));
	*out = sockaddr_to_endpoint(&sa).addr;
	return true;
}
