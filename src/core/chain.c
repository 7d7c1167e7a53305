// SPDX-License-Identifier: BSD-2-Clause
#include "core/chain.h"

#include <string.h>

#include "core/check.h"
#include "core/seq.h"

struct block {
	uint32_t next;
	uint8_t data[CHAIN_DATA_BYTES];
};

_Static_assert(sizeof(struct block) == CHAIN_BLOCK_BYTES, "as it says");

static struct block *block_at(const struct pool *blocks, uint32_t index)
{
	return pool_at(blocks, index);
}

bool chain_pool_init(struct pool *blocks, const struct mem *mem, uint32_t count)
{
	return pool_init(blocks, mem, sizeof(struct block), count);
}

void chain_init(struct chain *c)
{
	*c = (struct chain){
		.head = POOL_NONE,
		.tail = POOL_NONE,
		.reads.block = POOL_NONE,
		.writes.block = POOL_NONE,
	};
}

bool chain_reach(struct chain *c, struct pool *blocks, uint32_t first,
		 uint32_t seq)
{
	uint32_t span, want;

	if (c->head == POOL_NONE)
		c->base = first;
	span = seq - c->base;
	want = (span + CHAIN_DATA_BYTES - 1) / CHAIN_DATA_BYTES;
	if (want > c->count && want - c->count > blocks->count - blocks->used)
		return false;
	while (c->count < want) {
		uint32_t index = pool_take(blocks);

		block_at(blocks, index)->next = POOL_NONE;
		if (c->tail == POOL_NONE)
			c->head = index;
		else
			block_at(blocks, c->tail)->next = index;
		c->tail = index;
		c->count++;
	}
	return true;
}

static struct block *find_block(const struct chain *c,
				struct chain_cursor *cursor,
				const struct pool *blocks, uint32_t n)
{
	ASSERT(n < c->count);
	if (cursor->block == POOL_NONE || cursor->n > n)
		*cursor = (struct chain_cursor){.block = c->head};
	while (cursor->n < n) {
		cursor->block = block_at(blocks, cursor->block)->next;
		cursor->n++;
	}
	return block_at(blocks, cursor->block);
}

/* The stretch of one block that holds seq: its first byte and its length. */
static uint8_t *stretch(const struct chain *c, struct chain_cursor *cursor,
			const struct pool *blocks, uint32_t seq, uint32_t *len)
{
	uint32_t at = seq - c->base, in_block = at % CHAIN_DATA_BYTES;
	uint32_t room = CHAIN_DATA_BYTES - in_block;

	if (*len > room)
		*len = room;
	return find_block(c, cursor, blocks, at / CHAIN_DATA_BYTES)->data +
	       in_block;
}

void chain_write(struct chain *c, const struct pool *blocks, uint32_t seq,
		 const uint8_t *bytes, uint32_t len)
{
	while (len > 0) {
		uint32_t n = len;
		uint8_t *to = stretch(c, &c->writes, blocks, seq, &n);

		memcpy(to, bytes, n);
		seq += n;
		bytes += n;
		len -= n;
	}
}

void chain_read(struct chain *c, const struct pool *blocks, uint32_t seq,
		uint8_t *out, uint32_t len)
{
	while (len > 0) {
		uint32_t n = len;
		const uint8_t *from = stretch(c, &c->reads, blocks, seq, &n);

		memcpy(out, from, n);
		/* what lies behind it is asked for next */
		__builtin_prefetch(from + n);
		__builtin_prefetch(from + n + 64);
		seq += n;
		out += n;
		len -= n;
	}
}

/* The chain has lost its head. */
static void move_cursor(struct chain_cursor *cursor)
{
	if (cursor->n == 0)
		cursor->block = POOL_NONE;
	else
		cursor->n--;
}

static void drop_head(struct chain *c, struct pool *blocks)
{
	uint32_t old = c->head;

	c->head = block_at(blocks, old)->next;
	c->base += CHAIN_DATA_BYTES;
	c->count--;
	if (c->head == POOL_NONE)
		c->tail = POOL_NONE;
	move_cursor(&c->reads);
	move_cursor(&c->writes);
	pool_give(blocks, old);
}

void chain_drop_before(struct chain *c, struct pool *blocks, uint32_t seq)
{
	while (c->head != POOL_NONE && seq_leq(c->base + CHAIN_DATA_BYTES, seq))
		drop_head(c, blocks);
}

void chain_drop_all(struct chain *c, struct pool *blocks)
{
	while (c->head != POOL_NONE)
		drop_head(c, blocks);
}
