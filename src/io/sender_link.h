/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames to the next hop's MAC by AF_PACKET: no routing, firewall or conntrack
 * of this host has work with them. What has no known MAC at the moment goes by
 * another sender, which makes the kernel look for it. */
#ifndef IO_SENDER_LINK_H
#define IO_SENDER_LINK_H

#include "io/next_hop.h"
#include "io/sender.h"

struct sender_link_config {
	size_t slot_bytes; /* largest packet, no more than the other takes */
	struct next_hops *hops; /* stay the caller's */
	struct sender *other;	/* is closed with this one */
};

/* 0 or -errno; then other is still the caller's. */
int sender_link_open(struct sender **out, const struct sender_link_config *cfg);

#endif
