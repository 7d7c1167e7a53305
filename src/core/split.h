/* SPDX-License-Identifier: BSD-2-Clause */
/* Whose a client's port is, among several workers, of tcpcopy and of intercept.
 * docs/workers.md says why it is the port and nothing secret, and
 * io/split_filter.c is the same for the kernel. */
#ifndef CORE_SPLIT_H
#define CORE_SPLIT_H

#include <stdbool.h>
#include <stdint.h>

#define SPLIT_FACTOR 0x9e3779b1u
#define SPLIT_SHIFT  16
/* Workers of intercept, if each gets the answers to its ports: the guard has a
 * rule for each. */
#define SPLIT_BY_PORT_MAX 16u

struct split {
	unsigned count; /* of workers; 0 and 1: all is ours */
	unsigned index; /* of this one */
};

static inline uint32_t split_hash(uint16_t port)
{
	return port * SPLIT_FACTOR >> SPLIT_SHIFT;
}

static inline bool split_is_ours(const struct split *s, uint16_t port)
{
	return s->count < 2 || split_hash(port) % s->count == s->index;
}

/* This worker's part of a limit that is for all: together they make it up. */
static inline uint64_t split_part(const struct split *s, uint64_t all)
{
	return s->count < 2 ? all
			    : all / s->count + (s->index < all % s->count);
}

#endif
