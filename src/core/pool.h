/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fixed number of equal blocks, named by index. Blocks never used have never
 * been touched, so a pool sized for the worst case costs only what is used.
 */
#ifndef CORE_POOL_H
#define CORE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/mem.h"

#define POOL_NONE UINT32_MAX

struct pool {
	uint8_t *blocks;
	size_t block_bytes;
	uint32_t count, used;
	uint32_t fresh;	    /* first block never handed out */
	uint32_t free_head; /* last one given back, or POOL_NONE */
};

/* block_bytes >= 4, rounded up to a multiple of 8. false: no memory. */
bool pool_init(struct pool *p, const struct mem *mem, size_t block_bytes,
	       uint32_t count);
void pool_fini(struct pool *p, const struct mem *mem);
/* A block with unspecified content, or POOL_NONE when all are taken. */
uint32_t pool_take(struct pool *p);
void pool_give(struct pool *p, uint32_t index);
/* Gives back count blocks of which each but the last has the next one's index
 * in its first four bytes. They are taken again in that order. */
void pool_give_chain(struct pool *p, uint32_t first, uint32_t last,
		     uint32_t count);

static inline void *pool_at(const struct pool *p, uint32_t index)
{
	return p->blocks + (size_t)index * p->block_bytes;
}

/* The index of a block of this pool. */
static inline uint32_t pool_index(const struct pool *p, const void *block)
{
	return (uint32_t)((size_t)((const uint8_t *)block - p->blocks) /
			  p->block_bytes);
}

#endif
