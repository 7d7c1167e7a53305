/* SPDX-License-Identifier: BSD-2-Clause */
/* What this host knows of itself. */
#ifndef TCPCOPY_HOST_H
#define TCPCOPY_HOST_H

#include "core/addr.h"

/* Addresses of all devices, in an array to be freed. 0 or -errno. */
int host_addresses(struct ip_addr **out, size_t *count);

#endif
