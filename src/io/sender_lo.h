/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets to this host's own addresses: as frames on lo by AF_PACKET, which
 * saves the way through the output, or by raw sockets. */
#ifndef IO_SENDER_LO_H
#define IO_SENDER_LO_H

#include "io/sender.h"

/* slot_bytes: largest packet to be committed. 0 or -errno (-EPERM: CAP_NET_RAW
 * is missing). */
int sender_lo_open(struct sender **out, size_t slot_bytes);
/* Looks whether frames are taken now: to be called every second. */
void sender_lo_look(struct sender *s);
/* A packet of any size at once, behind what is committed; not kept. */
void sender_lo_send(struct sender *s, const uint8_t *l3, size_t len);

#endif
