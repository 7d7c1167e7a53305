/* SPDX-License-Identifier: BSD-2-Clause */
/* struct endpoint <-> the kernel's socket addresses. */
#ifndef IO_SOCKADDR_H
#define IO_SOCKADDR_H

#include <sys/socket.h>

#include "core/addr.h"

/* AF_INET for an IPv4 address, else AF_INET6. Returns the length. */
socklen_t sockaddr_from_endpoint(struct sockaddr_storage *out,
				 const struct endpoint *e);
/* All zero for a family that is neither. */
struct endpoint sockaddr_to_endpoint(const struct sockaddr_storage *sa);
/* false: no IPv4 or IPv6 address. from may be NULL, or not aligned as its type,
 * as with what getifaddrs() gives. */
bool sockaddr_to_addr(const struct sockaddr *from, struct ip_addr *out);

#endif
