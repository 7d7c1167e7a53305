/* SPDX-License-Identifier: BSD-2-Clause */
/* This host's TCP connections, as ss(8) lists them. */
#ifndef IO_TCP_SOCKETS_H
#define IO_TCP_SOCKETS_H

#include <stdint.h>

/* Connections from this local port to other hosts that may still send
 * something of themselves: not those in TIME_WAIT. -errno. */
int tcp_sockets_count(uint16_t port);

/* By which families somebody listens on this port here (one of IPv6 may take
 * IPv4 as well), 0: nobody. -errno. */
enum { TCP_SOCKETS_V4 = 1, TCP_SOCKETS_V6 = 2 };
int tcp_sockets_listening(uint16_t port);

#endif
