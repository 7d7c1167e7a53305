/* SPDX-License-Identifier: BSD-2-Clause */
/* Which way this host's packets go. */
#ifndef CHECK_ROUTE_H
#define CHECK_ROUTE_H

#include "core/addr.h"

/* Number of the device by which they leave, or -errno: no route. */
int route_device(const struct ip_addr *to);

#endif
