/* SPDX-License-Identifier: BSD-2-Clause */
/* Where client packets come from. A backend is a struct that begins with
 * struct capture and a constructor of its own. */
#ifndef IO_CAPTURE_H
#define IO_CAPTURE_H

#include <stdbool.h>

#include "core/packet.h"

/* At most so many packets, borrowed until the callback returns. */
#define CAPTURE_BATCH 16u
typedef void capture_cb(void *ctx, const struct packet_bytes *packets,
			size_t count);

struct capture_stats {
	uint64_t received;	  /* packets that passed the filter */
	uint64_t dropped_kernel;  /* no room in the ring or buffer */
	uint64_t dropped_device;  /* as the device reports it */
	uint64_t dropped_unusual; /* link types or frames not understood */
};

struct capture;

struct capture_ops {
	/* To be polled for reading; -1: call dispatch at deadline_us(). */
	int (*fd)(const struct capture *c);
	/* Up to budget packets; returns how many, 0: none for now, -1: the end
	 * (files only), -errno below that for a device that failed. */
	int (*dispatch)(struct capture *c, int budget, uint64_t now_us,
			capture_cb *cb, void *ctx);
	/* When the next packet is due (files), UINT64_MAX: when readable. */
	uint64_t (*deadline_us)(const struct capture *c);
	/* An eighth of its buffer or more waits to be dispatched, or nobody
	 * can say. What is not taken now may soon be lost. */
	bool (*is_behind)(const struct capture *c);
	void (*stats)(struct capture *c, struct capture_stats *out);
	void (*close)(struct capture *c);
};

struct capture {
	const struct capture_ops *ops;
};

#endif
