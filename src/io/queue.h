/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a target's answers come from, and their fate. */
#ifndef IO_QUEUE_H
#define IO_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "core/divert.h"

/* At most DIVERT_AT_ONCE packets. The verdicts are DROP when it is called, so
 * that no packet can be left without one. */
typedef void queue_cb(void *ctx, const struct divert_packet *packets,
		      unsigned count, enum verdict *verdicts);

struct queue_stats {
	uint64_t received;
	uint64_t lost;		     /* gaps in the kernel's packet ids */
	uint64_t queue_dropped;	     /* kernel: queue length reached */
	uint64_t user_dropped;	     /* kernel: receive buffer full */
	uint64_t verdict_errors;     /* verdicts the kernel refused */
	size_t receive_buffer_bytes; /* granted */
};

struct queue;

struct queue_ops {
	int (*fd)(const struct queue *q);
	/* Receives until nothing is left or budget is reached, asks cb for all
	 * packets, sends the verdicts. Returns the packets seen, or -errno. */
	int (*dispatch)(struct queue *q, int budget, queue_cb *cb, void *ctx);
	void (*stats)(struct queue *q, struct queue_stats *out);
	void (*close)(struct queue *q);
};

struct queue {
	const struct queue_ops *ops;
};

#endif
