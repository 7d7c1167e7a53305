/* SPDX-License-Identifier: BSD-2-Clause */
/* NFQUEUE as a queue: headers only, whole offload packets, batch verdicts. */
#ifndef IO_QUEUE_NFQ_H
#define IO_QUEUE_NFQ_H

#include "io/queue.h"

struct queue_nfq_config {
	uint16_t queue_num;
	uint32_t length; /* packets that may wait for a verdict */
};

/*
 * Binds the queue of this network namespace. 0, or -errno: -EPERM when another
 * process has the queue or CAP_NET_ADMIN is missing (check that first, the
 * kernel does not tell them apart), -EBUSY when this process has it already.
 */
int queue_nfq_open(struct queue **out, const struct queue_nfq_config *cfg);

/* Of the receive buffer that is asked for with a queue so long. */
int queue_nfq_buffer_bytes(uint32_t length);

#endif
