/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets that were given by the one of ring and socket, and are still to come
 * by the other. */
#ifndef IO_AHEAD_GIVEN_H
#define IO_AHEAD_GIVEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AHEAD_GIVEN_MAX 4096u

/* Zero is an empty one. */
struct ahead_given {
	uint64_t sums[AHEAD_GIVEN_MAX]; /* 0: has come */
	unsigned first, count;
};

/* Of a packet's headers and length, never 0. Two packets with the same one are
 * the same segment, sent twice at the most: either may stand for the other. */
uint64_t ahead_given_sum(const uint8_t *l3, size_t cap_len, size_t wire_len);

/* false: there are AHEAD_GIVEN_MAX already. */
bool ahead_given_add(struct ahead_given *g, uint64_t sum);

/* Whether it is one of them; then it is none any more. To be asked of every
 * packet of the other, in its order. */
bool ahead_given_take(struct ahead_given *g, uint64_t sum);

void ahead_given_clear(struct ahead_given *g);

#endif
