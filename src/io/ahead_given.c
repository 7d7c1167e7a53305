// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Ring and socket have packets in the same order but for those that several
 * processors received at once, so that the one looked for is the first or near
 * it; unless the ring had no room for some, which then stand before it.
 */
#include "io/ahead_given.h"

#include <string.h>

#define HEADER_BYTES 80u /* IPv6 and TCP with usual options */

uint64_t ahead_given_sum(const uint8_t *l3, size_t cap_len, size_t wire_len)
{
	uint64_t sum = wire_len, word;

	for (size_t i = 0; i < HEADER_BYTES && i < cap_len; i += sizeof(word)) {
		size_t left = cap_len - i;

		word = 0;
		memcpy(&word, l3 + i,
		       left < sizeof(word) ? left : sizeof(word));
		sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
		sum ^= sum >> 32;
	}
	return sum ? sum : 1;
}

static uint64_t *nth(struct ahead_given *g, unsigned i)
{
	return &g->sums[(g->first + i) % AHEAD_GIVEN_MAX];
}

bool ahead_given_add(struct ahead_given *g, uint64_t sum)
{
	if (g->count == AHEAD_GIVEN_MAX)
		return false;
	*nth(g, g->count++) = sum;
	return true;
}

static bool find(struct ahead_given *g, uint64_t sum)
{
	for (unsigned i = 0; i < g->count; i++) {
		if (*nth(g, i) != sum)
			continue;
		*nth(g, i) = 0;
		return true;
	}
	return false;
}

bool ahead_given_take(struct ahead_given *g, uint64_t sum)
{
	bool found = find(g, sum);

	while (g->count > 0 && *nth(g, 0) == 0) {
		g->first = (g->first + 1) % AHEAD_GIVEN_MAX;
		g->count--;
	}
	return found;
}

void ahead_given_clear(struct ahead_given *g)
{
	g->first = g->count = 0;
}
