// SPDX-License-Identifier: BSD-2-Clause
#include "core/pool.h"

#include <string.h>

#include "core/check.h"

bool pool_init(struct pool *p, const struct mem *mem, size_t block_bytes,
	       uint32_t count)
{
	*p = (struct pool){
		.block_bytes = (block_bytes + 7) & ~(size_t)7,
		.count = count,
		.free_head = POOL_NONE,
	};
	p->blocks = mem->alloc(mem->ctx, p->block_bytes * count);
	return p->blocks;
}

void pool_fini(struct pool *p, const struct mem *mem)
{
	const struct pool_runs *runs = &p->runs;

	if (p->blocks)
		mem->free(mem->ctx, p->blocks, p->block_bytes * p->count);
	if (runs->of)
		mem->free(mem->ctx, runs->of, runs->count * sizeof(*runs->of));
	*p = (struct pool){.free_head = POOL_NONE};
}

/* A run that was away is touched again, from its first block on. */
static void take_run(struct pool_runs *runs)
{
	uint32_t run = runs->away_head - 1;

	runs->away_head = runs->of[run] & ~POOL_RUN_AWAY;
	runs->of[run] = 0;
	runs->away--;
	runs->again = run << runs->shift;
	runs->again_end = (run + 1) << runs->shift;
}

/* One that nobody has given back. */
static uint32_t take_untouched(struct pool *p)
{
	struct pool_runs *runs = &p->runs;

	if (runs->again == runs->again_end && runs->away_head)
		take_run(runs);
	if (runs->again < runs->again_end)
		return runs->again++;
	return p->fresh < p->count ? p->fresh++ : POOL_NONE;
}

uint32_t pool_take(struct pool *p)
{
	uint32_t index = p->free_head;

	if (index != POOL_NONE) {
		memcpy(&p->free_head, pool_at(p, index), sizeof(index));
		if (p->free_head != POOL_NONE)
			__builtin_prefetch(pool_at(p, p->free_head), 1);
	} else {
		index = take_untouched(p);
		if (index == POOL_NONE)
			return POOL_NONE;
	}
	if (++p->used > p->most)
		p->most = p->used;
	return index;
}

void pool_give(struct pool *p, uint32_t index)
{
	ASSERT(index < p->fresh && p->used > 0);
	memcpy(pool_at(p, index), &p->free_head, sizeof(index));
	p->free_head = index;
	p->used--;
}

void pool_give_chain(struct pool *p, uint32_t first, uint32_t last,
		     uint32_t count)
{
	ASSERT(first < p->fresh && last < p->fresh && p->used >= count);
	memcpy(pool_at(p, last), &p->free_head, sizeof(p->free_head));
	p->free_head = first;
	p->used -= count;
}
