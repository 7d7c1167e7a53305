/* SPDX-License-Identifier: BSD-2-Clause */
/* The links as a sender: intercept puts the packets out on the target itself.
 */
#ifndef IO_SENDER_RELAY_H
#define IO_SENDER_RELAY_H

#include "io/link_client.h"
#include "io/sender.h"

struct sender_relay_config {
	size_t slot_bytes;    /* largest packet, <= WIRE_RELAY_MAX */
	unsigned links_count; /* link ids are below this */
	/* The link by which the packet in the slot is to go. */
	unsigned (*link_of)(void *ctx);
	/* The one that it will be, as far as can be told before; or -1. */
	int (*link_guess)(void *ctx);
	/* From now on a link takes packets, or takes none. */
	void (*room)(void *ctx, unsigned link_id, bool room);
	void *ctx;
};

/* 0 or -errno. */
int sender_relay_open(struct sender **out,
		      const struct sender_relay_config *cfg);
/* The links, before the first packet; they stay the caller's. */
void sender_relay_use(struct sender *s, struct link_client *links);

#endif
