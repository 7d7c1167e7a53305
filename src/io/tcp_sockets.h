/* SPDX-License-Identifier: BSD-2-Clause */
/* This host's TCP connections, as ss(8) lists them. */
#ifndef IO_TCP_SOCKETS_H
#define IO_TCP_SOCKETS_H

#include <stdint.h>

/* Connections from this local port to other hosts that may still send
 * something of themselves: not those in TIME_WAIT. -errno. */
int tcp_sockets_count(uint16_t port);

#endif
