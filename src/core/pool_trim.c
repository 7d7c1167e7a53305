// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * The last block given back is the first one taken. So the free blocks that
 * were needed since the last call lie at the head of the free list, and what
 * lies behind them was not. Of these, runs of blocks that are all free go away:
 * they leave the free list, whose links are in the blocks, and are taken again,
 * run by run, when the list is empty.
 *
 * The list is walked twice (in no order, 25 ms for 100,000 blocks), so that
 * giving a block need not know of runs; hence only when much is to be gained,
 * and after a walk in vain not so soon again.
 */
#include "core/pool_trim.h"

#include <string.h>

/* Of a run at least; and not for less. */
#define RUN_MIN_PAGES	8u
#define SPARE_MIN_PAGES 64u
#define WAIT_MAX	32u

/* Of a run: whole pages, if the first block begins with one. */
static unsigned run_shift(size_t each_bytes, size_t page_bytes)
{
	size_t even = each_bytes & ~(each_bytes - 1);
	unsigned shift = 0;

	while (even << shift < page_bytes ||
	       each_bytes << shift < RUN_MIN_PAGES * page_bytes)
		shift++;
	return shift;
}

bool pool_make_elastic_beside(struct pool *p, const struct mem *mem,
			      uint8_t *at, size_t each_bytes)
{
	unsigned shift = run_shift(each_bytes, mem->page_bytes);
	/* One more, of which there is a part. */
	uint32_t count = (p->count >> shift) + 1;

	if (!mem->discard)
		return true;
	p->runs = (struct pool_runs){
		.of = mem->alloc(mem->ctx, count * sizeof(*p->runs.of)),
		.count = count,
		.shift = shift,
		.at = at,
		.each_bytes = each_bytes,
	};
	return p->runs.of;
}

bool pool_make_elastic(struct pool *p, const struct mem *mem)
{
	return pool_make_elastic_beside(p, mem, p->blocks, p->block_bytes);
}

static uint32_t next_free(const struct pool *p, uint32_t index)
{
	uint32_t next;

	memcpy(&next, pool_at(p, index), sizeof(next));
	return next;
}

static uint32_t touched(const struct pool *p)
{
	const struct pool_runs *runs = &p->runs;

	return p->fresh - (runs->away << runs->shift) -
	       (runs->again_end - runs->again);
}

/* Counts those free by run, but for the first ones. */
static void count_free(struct pool *p, uint32_t but)
{
	struct pool_runs *runs = &p->runs;
	uint32_t index = p->free_head;

	for (uint32_t run = 0; run < runs->count; run++)
		if (!(runs->of[run] & POOL_RUN_AWAY))
			runs->of[run] = 0;
	for (; index != POOL_NONE; index = next_free(p, index))
		if (but > 0)
			but--;
		else
			runs->of[index >> runs->shift]++;
}

/* Those of which all blocks are free; the first of them becomes the first. */
static void mark_away(struct pool_runs *runs)
{
	for (uint32_t run = runs->count; run-- > 0;) {
		if (runs->of[run] != 1u << runs->shift)
			continue;
		runs->of[run] = POOL_RUN_AWAY | runs->away_head;
		runs->away_head = run + 1;
		runs->away++;
	}
}

/* The free list without blocks that are away. */
static void relink(struct pool *p)
{
	const struct pool_runs *runs = &p->runs;
	uint32_t index = p->free_head, next, last = POOL_NONE;

	p->free_head = POOL_NONE;
	for (; index != POOL_NONE; index = next) {
		next = next_free(p, index);
		if (runs->of[index >> runs->shift] & POOL_RUN_AWAY)
			continue;
		if (last == POOL_NONE)
			p->free_head = index;
		else
			memcpy(pool_at(p, last), &index, sizeof(index));
		last = index;
	}
	if (last != POOL_NONE)
		memcpy(pool_at(p, last), &index, sizeof(index));
}

static void discard(const struct pool_runs *runs, const struct mem *mem,
		    uint32_t run, uint32_t count)
{
	size_t run_bytes = runs->each_bytes << runs->shift;

	mem->discard(mem->ctx, runs->at + run * run_bytes, count * run_bytes);
}

/* The first count ones that are away, neighbours together. */
static void discard_first(const struct pool_runs *runs, const struct mem *mem,
			  uint32_t count)
{
	uint32_t link = runs->away_head, first = link, together = 0;

	for (; count > 0; count--) {
		if (link != first + together) {
			discard(runs, mem, first - 1, together);
			first = link;
			together = 0;
		}
		together++;
		link = runs->of[link - 1] & ~POOL_RUN_AWAY;
	}
	if (together > 0)
		discard(runs, mem, first - 1, together);
}

static bool is_worth_it(const struct pool *p, const struct mem *mem,
			uint32_t spare)
{
	return spare >= touched(p) / 2 &&
	       spare * p->runs.each_bytes >= SPARE_MIN_PAGES * mem->page_bytes;
}

/* The longer, the more often it was in vain. */
static void wait_again(struct pool_runs *runs, bool in_vain)
{
	runs->wait = in_vain ? runs->wait * 2 + 1 : 0;
	if (runs->wait > WAIT_MAX)
		runs->wait = WAIT_MAX;
	runs->waited = 0;
}

void pool_trim(struct pool *p, const struct mem *mem)
{
	struct pool_runs *runs = &p->runs;
	uint32_t needed = p->most, spare = touched(p) - needed;
	uint32_t away = runs->away;

	p->most = p->used;
	if (!runs->of || !is_worth_it(p, mem, spare))
		return;
	if (runs->waited++ < runs->wait)
		return;
	count_free(p, needed - p->used);
	mark_away(runs);
	if (runs->away > away) {
		relink(p);
		discard_first(runs, mem, runs->away - away);
	}
	wait_again(runs, (runs->away - away) << runs->shift < spare / 2);
}
