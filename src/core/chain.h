/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes of a stream, kept in a chain of blocks: block n has CHAIN_BLOCK_BYTES
 * from base + n * CHAIN_BLOCK_BYTES on, so that every byte has its place as
 * soon as the chain reaches so far, in whichever order they come. Which of them
 * have come is for its user to know.
 */
#ifndef CORE_CHAIN_H
#define CORE_CHAIN_H

#include "core/pool.h"

#define CHAIN_BLOCK_BYTES 512u
#define CHAIN_LINK_BYTES  8u

/* Blocks, and a link of CHAIN_LINK_BYTES for each. They lie apart, so that who
 * goes along a chain touches no bytes, which have long left the cache. */
struct chain_pool {
	struct pool links;
	uint8_t *bytes;
};

/* The block looked at last, POOL_NONE: none, and its number in the chain. It
 * makes walking on from there cheap. */
struct chain_cursor {
	uint32_t block, n;
};

struct chain {
	uint32_t head, tail; /* blocks, or POOL_NONE */
	uint32_t base;	     /* the first byte that the head has room for */
	uint32_t count;
	struct chain_cursor reads, writes;
};

/* false: no memory, and it is without any. */
bool chain_pool_init(struct chain_pool *blocks, const struct mem *mem,
		     uint32_t count);
void chain_pool_fini(struct chain_pool *blocks, const struct mem *mem);

/* Without a block. */
void chain_init(struct chain *c);
/* Makes it reach up to seq; a chain without a block begins at `first`. false:
 * not enough blocks, and nothing was taken. */
bool chain_reach(struct chain *c, struct chain_pool *blocks, uint32_t first,
		 uint32_t seq);
/* Of [seq, seq + len), which it must reach. */
void chain_write(struct chain *c, const struct chain_pool *blocks, uint32_t seq,
		 const uint8_t *bytes, uint32_t len);
/* Returns their sum (checksum.h). */
uint64_t chain_read(struct chain *c, const struct chain_pool *blocks,
		    uint32_t seq, uint8_t *out, uint32_t len);
/* What lies at seq comes into the cache, if chain_read() has got there or near.
 */
void chain_fetch(const struct chain *c, const struct chain_pool *blocks,
		 uint32_t seq);
/* The same for what chain_write() will need at seq, if it has got there. */
void chain_fetch_end(const struct chain *c, const struct chain_pool *blocks,
		     uint32_t seq);
/* Gives back the blocks with nothing but bytes before seq. */
void chain_drop_before(struct chain *c, struct chain_pool *blocks,
		       uint32_t seq);
void chain_drop_all(struct chain *c, struct chain_pool *blocks);

#endif
