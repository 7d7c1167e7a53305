/* SPDX-License-Identifier: BSD-2-Clause */
/* What the doctors of both programs look at on their host. */
#ifndef CHECK_HOST_H
#define CHECK_HOST_H

#include "check/check.h"

/* Whether we have it: CAP_NET_RAW and its name for setcap. */
void check_capability(struct check *c, unsigned capability, const char *name);

/* The table of connections is full, or nearly so. */
void check_conntrack(struct check *c);

/* Whether this host has an IPv6 address that others can reach. */
bool host_has_ipv6(void);

/* Devices that drop what comes from the clients' addresses. */
void check_rp_filter(struct check *c);

#endif
