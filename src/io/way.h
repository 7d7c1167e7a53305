/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel would do with a packet to somebody. */
#ifndef IO_WAY_H
#define IO_WAY_H

#include "core/addr.h"

struct way {
	struct ip_addr source; /* the address that this host prefers */
	unsigned mtu_bytes;    /* as much of it is left to IP */
};

/* 0 or -errno: -ENETUNREACH and the like. Nothing is sent. */
int way_to(const struct endpoint *target, struct way *out);

#endif
