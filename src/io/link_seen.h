/* SPDX-License-Identifier: BSD-2-Clause */
/* Remembers what has been seen once. */
#ifndef IO_LINK_SEEN_H
#define IO_LINK_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#define LINK_SEEN_ID_BYTES 16u

struct link_seen;

/* For the last min at least, and at most twice as many. NULL: no memory. */
struct link_seen *link_seen_new(uint32_t min);
void link_seen_free(struct link_seen *seen);
/* id must be evenly distributed: it is its own hash. false: seen before. */
bool link_seen_add(struct link_seen *seen,
		   const uint8_t id[LINK_SEEN_ID_BYTES]);

#endif
