// SPDX-License-Identifier: BSD-2-Clause
#include "io/sockaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

socklen_t sockaddr_from_endpoint(struct sockaddr_storage *out,
				 const struct endpoint *e)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
				  .sin6_port = htons(e->port)};
	struct sockaddr_in v4 = {.sin_family = AF_INET,
				 .sin_port = htons(e->port)};

	memset(out, 0, sizeof(*out));
	if (addr_is_v4(&e->addr)) {
		memcpy(&v4.sin_addr, e->addr.b + 12, 4);
		memcpy(out, &v4, sizeof(v4));
		return sizeof(v4);
	}
	memcpy(&v6.sin6_addr, e->addr.b, 16);
	memcpy(out, &v6, sizeof(v6));
	return sizeof(v6);
}

bool sockaddr_to_endpoint(const struct sockaddr *sa, struct endpoint *out)
{
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in v4;

		memcpy(&v4, sa, sizeof(v4));
		out->addr = addr_from_v4((const uint8_t *)&v4.sin_addr);
		out->port = ntohs(v4.sin_port);
		return true;
	}
	if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 v6;

		memcpy(&v6, sa, sizeof(v6));
		out->addr = addr_from_v6(v6.sin6_addr.s6_addr);
		out->port = ntohs(v6.sin6_port);
		return true;
	}
	return false;
}
