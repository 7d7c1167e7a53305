/* SPDX-License-Identifier: BSD-2-Clause */
/* Captures from this host's devices: two ways to the same packets. */
#ifndef IO_CAPTURE_LIVE_H
#define IO_CAPTURE_LIVE_H

#include "core/split.h"
#include "io/capture.h"

/* No buffer is smaller. */
#define CAPTURE_BUFFER_MIN_BYTES (512u << 10)

/* Of a device. */
struct capture_groups {
	uint16_t ring, ahead;
};

struct capture_live_config {
	const char *device; /* NULL: all */
	const char *filter; /* pcap-filter(7) */
	bool other_hosts; /* packets that are not addressed to this host too */
	bool promiscuous; /* make the device take them; needs a device */
	size_t buffer_bytes;
	/* Several workers, of which each opens a ring in turn, that of index 0
	 * first: only what is ours. */
	struct split split;
	/* For them all: written by the first. */
	struct capture_groups *groups;
};

/* Both: 0, or -errno and a reason in err; -EINVAL: the filter is wrong. */
int capture_ring_open(struct capture **out,
		      const struct capture_live_config *cfg, char *err,
		      size_t err_bytes);
int capture_pcap_open(struct capture **out,
		      const struct capture_live_config *cfg, char *err,
		      size_t err_bytes);

#endif
