/* SPDX-License-Identifier: BSD-2-Clause */
/* Which of a fixed number of chains a key's records stand in: worlds of many
 * connections ask for them with every packet. */
#ifndef SIM_INDEX_H
#define SIM_INDEX_H

#include <stdint.h>
#include <string.h>

#include "core/addr.h"

#define SIM_CHAINS 4096u

static inline unsigned index_of_number(uint64_t x)
{
	return (unsigned)((x * 0x9e3779b97f4a7c15u) >> 52);
}

static inline unsigned index_of_bytes(const uint8_t bytes[8])
{
	uint64_t x;

	memcpy(&x, bytes, sizeof(x));
	return index_of_number(x);
}

static inline unsigned index_of_tuple(const struct four_tuple *tuple)
{
	uint64_t src, dst;

	memcpy(&src, tuple->src.addr.b + 8, sizeof(src));
	memcpy(&dst, tuple->dst.addr.b + 8, sizeof(dst));
	return index_of_number(
		src * 31 + dst * 17 +
		((uint64_t)tuple->src.port << 16 | tuple->dst.port));
}

_Static_assert(SIM_CHAINS == 1u << (64 - 52), "as many as there are indices");

#endif
