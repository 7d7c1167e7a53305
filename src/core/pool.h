/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fixed number of equal blocks, named by index. Blocks never used have never
 * been touched, so a pool sized for the worst case costs only what is used; an
 * elastic one also gives back what it has not needed lately (pool_trim.h).
 */
#ifndef CORE_POOL_H
#define CORE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/mem.h"

#define POOL_NONE UINT32_MAX

/* Blocks one behind the other that go away together, whole pages of them. */
struct pool_runs {
	uint32_t *of; /* by run: below; NULL: the pool is not elastic */
	uint32_t count;
	unsigned shift;		   /* run = index >> shift */
	uint32_t away, away_head;  /* how many; run + 1, 0: none */
	uint32_t again, again_end; /* of one that was away: not taken yet */
	uint32_t wait, waited;	   /* calls of pool_trim() */
	uint8_t *at; /* what goes away, each_bytes of every block */
	size_t each_bytes;
};

/* In pool_runs.of: it is away, and the next such one + 1. Without it: how many
 * of its blocks pool_trim() has found to be free. */
#define POOL_RUN_AWAY (1u << 31)

struct pool {
	uint8_t *blocks;
	size_t block_bytes;
	uint32_t count, used;
	uint32_t most;	    /* used at once, since pool_trim() */
	uint32_t fresh;	    /* first block never handed out */
	uint32_t free_head; /* last one given back, or POOL_NONE */
	struct pool_runs runs;
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
