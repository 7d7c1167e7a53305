/* SPDX-License-Identifier: BSD-2-Clause */
/* A packet socket that gives client packets from their IP header on. It begins
 * with protocol 0, for which nothing is delivered: filter and ring are set up
 * first, and the start lets packets in, so that none gets past the filter. */
#ifndef IO_PACKET_SOCKET_H
#define IO_PACKET_SOCKET_H

#include <linux/filter.h>

#include "io/capture_live.h"

/* The socket, not blocking, or -errno. */
int packet_socket_open(void);

/* 0 or -errno. Takes the place of the filter that is there, for packets from
 * now on. */
int packet_socket_filter(int fd, const struct sock_fprog *prog);

/* Packets of cfg's device come in from now on. 0 or -errno, -ENODEV: there is
 * no such device. */
int packet_socket_start(int fd, const struct capture_live_config *cfg);

/* One that has been started becomes a member of a fanout group: the place in it
 * is its worker's index. That of index 0 makes the group, and writes its number
 * to *group. 0 or -errno. */
int packet_socket_join(int fd, const struct split *split, uint16_t *group);

#endif
