// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A chain is a list of links; link n of the pool belongs to block n. Blocks are
 * given back as the list that they are, so that they are taken again in the
 * order of the stream: mostly one lies behind the other, and what is in many of
 * them is copied in one go.
 */
#include "core/chain.h"

#include <string.h>

#include "core/check.h"
#include "core/checksum.h"
#include "core/fetch.h"
#include "core/pool_trim.h"
#include "core/seq.h"

#define FETCH_BYTES 192u /* a small request has no more */

struct link {
	uint32_t next;
};

static struct link *link_at(const struct chain_pool *blocks, uint32_t index)
{
	return pool_at(&blocks->links, index);
}

static uint8_t *bytes_at(const struct chain_pool *blocks, uint32_t index)
{
	return blocks->bytes + (size_t)index * CHAIN_BLOCK_BYTES;
}

bool chain_pool_init(struct chain_pool *blocks, const struct mem *mem,
		     uint32_t count)
{
	*blocks = (struct chain_pool){0};
	if (!pool_init(&blocks->links, mem, sizeof(struct link), count))
		return false;
	ASSERT(blocks->links.block_bytes == CHAIN_LINK_BYTES);
	blocks->bytes = mem->alloc(mem->ctx, (size_t)count * CHAIN_BLOCK_BYTES);
	if (blocks->bytes &&
	    pool_make_elastic_beside(&blocks->links, mem, blocks->bytes,
				     CHAIN_BLOCK_BYTES))
		return true;
	chain_pool_fini(blocks, mem);
	return false;
}

void chain_pool_fini(struct chain_pool *blocks, const struct mem *mem)
{
	size_t count = blocks->links.count;

	if (blocks->bytes)
		mem->free(mem->ctx, blocks->bytes, count * CHAIN_BLOCK_BYTES);
	blocks->bytes = NULL;
	pool_fini(&blocks->links, mem);
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

static void append(struct chain *c, struct chain_pool *blocks)
{
	uint32_t index = pool_take(&blocks->links);

	link_at(blocks, index)->next = POOL_NONE;
	if (c->tail == POOL_NONE)
		c->head = index;
	else
		link_at(blocks, c->tail)->next = index;
	c->tail = index;
	c->count++;
}

bool chain_reach(struct chain *c, struct chain_pool *blocks, uint32_t first,
		 uint32_t seq)
{
	const struct pool *links = &blocks->links;
	uint32_t span, want;

	if (c->head == POOL_NONE)
		c->base = first;
	span = seq - c->base;
	want = (span + CHAIN_BLOCK_BYTES - 1) / CHAIN_BLOCK_BYTES;
	if (want > c->count && want - c->count > links->count - links->used)
		return false;
	if (want <= c->count)
		return true;
	while (c->count < want)
		append(c, blocks);
	if (links->free_head != POOL_NONE) /* who comes next writes there */
		__builtin_prefetch(bytes_at(blocks, links->free_head), 1);
	return true;
}

static void find_block(const struct chain *c, struct chain_cursor *cursor,
		       const struct chain_pool *blocks, uint32_t n)
{
	ASSERT(n < c->count);
	if (cursor->block == POOL_NONE || cursor->n > n)
		*cursor = (struct chain_cursor){.block = c->head};
	while (cursor->n < n) {
		cursor->block = link_at(blocks, cursor->block)->next;
		cursor->n++;
	}
}

/* The stretch of memory from seq on, of at most *len bytes: its first byte and
 * its length. */
static uint8_t *stretch(const struct chain *c, struct chain_cursor *cursor,
			const struct chain_pool *blocks, uint32_t seq,
			uint32_t *len)
{
	uint32_t at = seq - c->base, in_block = at % CHAIN_BLOCK_BYTES;
	uint32_t room = CHAIN_BLOCK_BYTES - in_block;
	uint8_t *bytes;

	find_block(c, cursor, blocks, at / CHAIN_BLOCK_BYTES);
	bytes = bytes_at(blocks, cursor->block) + in_block;
	while (room < *len &&
	       link_at(blocks, cursor->block)->next == cursor->block + 1) {
		cursor->block++;
		cursor->n++;
		room += CHAIN_BLOCK_BYTES;
	}
	if (*len > room)
		*len = room;
	return bytes;
}

void chain_write(struct chain *c, const struct chain_pool *blocks, uint32_t seq,
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

uint64_t chain_read(struct chain *c, const struct chain_pool *blocks,
		    uint32_t seq, uint8_t *out, uint32_t len)
{
	uint32_t done = 0;
	uint64_t sum = 0;

	while (done < len) {
		uint32_t n = len - done;
		const uint8_t *from =
			stretch(c, &c->reads, blocks, seq + done, &n);

		sum = checksum_join(sum, checksum_copy(out + done, from, n),
				    done);
		done += n;
	}
	return sum;
}

void chain_fetch(const struct chain *c, const struct chain_pool *blocks,
		 uint32_t seq)
{
	uint32_t at = seq - c->base, n = at / CHAIN_BLOCK_BYTES;
	uint32_t block = c->reads.block;

	if (block != POOL_NONE && c->reads.n + 1 == n)
		block = link_at(blocks, block)->next;
	else if (c->reads.n != n)
		return;
	if (block == POOL_NONE)
		return;
	fetch_bytes(bytes_at(blocks, block) + at % CHAIN_BLOCK_BYTES,
		    FETCH_BYTES);
}

void chain_fetch_end(const struct chain *c, const struct chain_pool *blocks,
		     uint32_t seq)
{
	uint32_t at = seq - c->base;

	if (c->writes.block == POOL_NONE ||
	    c->writes.n != at / CHAIN_BLOCK_BYTES)
		return;
	__builtin_prefetch(link_at(blocks, c->writes.block), 1);
	fetch_bytes(bytes_at(blocks, c->writes.block) + at % CHAIN_BLOCK_BYTES,
		    FETCH_BYTES);
}

/* The chain has lost its first blocks. */
static void move_cursor(struct chain_cursor *cursor, uint32_t count)
{
	if (cursor->n < count)
		cursor->block = POOL_NONE;
	else
		cursor->n -= count;
}

/* The first count blocks, of which there is one at least; last is that. */
static void drop(struct chain *c, struct chain_pool *blocks, uint32_t last,
		 uint32_t count)
{
	uint32_t first = c->head;

	c->head = link_at(blocks, last)->next;
	c->base += count * CHAIN_BLOCK_BYTES;
	c->count -= count;
	if (c->head == POOL_NONE)
		c->tail = POOL_NONE;
	move_cursor(&c->reads, count);
	move_cursor(&c->writes, count);
	pool_give_chain(&blocks->links, first, last, count);
}

void chain_drop_before(struct chain *c, struct chain_pool *blocks, uint32_t seq)
{
	uint32_t last = POOL_NONE, next = c->head, end = c->base, count = 0;

	while (next != POOL_NONE && seq_leq(end + CHAIN_BLOCK_BYTES, seq)) {
		last = next;
		next = link_at(blocks, last)->next;
		end += CHAIN_BLOCK_BYTES;
		count++;
	}
	if (count > 0)
		drop(c, blocks, last, count);
}

void chain_drop_all(struct chain *c, struct chain_pool *blocks)
{
	if (c->count > 0)
		drop(c, blocks, c->tail, c->count);
}
