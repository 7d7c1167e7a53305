/* SPDX-License-Identifier: BSD-2-Clause */
/* Who has an NFQUEUE of this network namespace, and how it fares. */
#ifndef CHECK_QUEUE_OWNER_H
#define CHECK_QUEUE_OWNER_H

#include <stdbool.h>
#include <stdint.h>

struct queue_owner {
	bool bound;
	uint32_t waiting; /* packets without a verdict */
	uint32_t dropped; /* the kernel found no room for them */
	int pid;	  /* 0: could not be found out */
	char name[32];	  /* of the program, or "" */
};

/* false: this kernel has no such queues, or will not say. */
bool queue_owner_find(struct queue_owner *out, uint16_t queue_num);

/* Packets for which the queue had no room just now may be lost because the
 * buffer for them is smaller than intercept needs. What a netlink socket gets
 * when it asks for so many bytes, or -errno. */
int queue_buffer_granted(int wanted_bytes);

#endif
