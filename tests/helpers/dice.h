/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers that look random and are the same each time (splitmix64). */
#ifndef TESTS_DICE_H
#define TESTS_DICE_H

#include <stdint.h>

struct dice {
	uint64_t state;
};

static inline uint64_t dice_u64(struct dice *d)
{
	uint64_t x = d->state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* 0 .. n - 1 */
static inline uint32_t dice_below(struct dice *d, uint32_t n)
{
	return (uint32_t)(dice_u64(d) % n);
}

#endif
