/* SPDX-License-Identifier: BSD-2-Clause */
/* What this host knows of itself: its addresses, and its way to a target. */
#ifndef TCPCOPY_HOST_H
#define TCPCOPY_HOST_H

#include "core/addr.h"

/* Addresses of all devices, in an array to be freed. 0 or -errno. */
int host_addresses(struct ip_addr **out, size_t *count);

struct host_way {
	struct ip_addr source; /* the address that this host prefers */
	unsigned mtu_bytes;
};

/* 0 or -errno: -ENETUNREACH and the like. Nothing is sent. */
int host_way_to(const struct endpoint *target, struct host_way *out);

#endif
