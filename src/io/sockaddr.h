/* SPDX-License-Identifier: BSD-2-Clause */
/* Endpoints as the socket calls want them. */
#ifndef IO_SOCKADDR_H
#define IO_SOCKADDR_H

#include <stdbool.h>
#include <sys/socket.h>

#include "core/addr.h"

/* Returns the length to give to the kernel. */
socklen_t sockaddr_from_endpoint(struct sockaddr_storage *out,
				 const struct endpoint *e);
/* false: neither IPv4 nor IPv6. */
bool sockaddr_to_endpoint(const struct sockaddr *sa, struct endpoint *out);

#endif
