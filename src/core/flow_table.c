// SPDX-License-Identifier: BSD-2-Clause
#include "core/flow_table.h"

#include "core/fetch.h"
#include "core/pool_trim.h"

/* Every packet needs its flow, but few tables are ever full: buckets for all
 * that fit would mostly be empty, and every page of them touched. */
#define FLOWS_A_BUCKET 4u

static size_t buckets_bytes(const struct flow_table *t)
{
	return ((size_t)t->bucket_mask + 1) * sizeof(t->buckets[0]);
}

bool flow_table_init(struct flow_table *t, const struct mem *mem,
		     uint32_t count, struct hash_key key)
{
	uint32_t buckets = 1;

	while (buckets < count / FLOWS_A_BUCKET)
		buckets <<= 1;
	*t = (struct flow_table){.bucket_mask = buckets - 1, .hash_key = key};
	t->buckets = mem->alloc(mem->ctx, buckets_bytes(t));
	if (!t->buckets)
		return false;
	if (pool_init(&t->flows, mem, sizeof(struct flow), count) &&
	    pool_make_elastic(&t->flows, mem))
		return true;
	pool_fini(&t->flows, mem);
	mem->free(mem->ctx, t->buckets, buckets_bytes(t));
	t->buckets = NULL;
	return false;
}

void flow_table_fini(struct flow_table *t, const struct mem *mem)
{
	pool_fini(&t->flows, mem);
	mem->free(mem->ctx, t->buckets, buckets_bytes(t));
}

static struct flow *flow_at(const struct flow_table *t, uint32_t index)
{
	return pool_at(&t->flows, index);
}

uint32_t flow_table_bucket(const struct flow_table *t,
			   const struct four_tuple *tuple)
{
	return (uint32_t)four_tuple_hash(&t->hash_key, tuple) & t->bucket_mask;
}

void flow_table_fetch(const struct flow_table *t, uint32_t bucket,
		      unsigned step)
{
	if (step == 0)
		__builtin_prefetch(&t->buckets[bucket]);
	else if (t->buckets[bucket])
		fetch_bytes(flow_at(t, t->buckets[bucket] - 1),
			    sizeof(struct flow));
}

struct flow *flow_table_find(const struct flow_table *t,
			     const struct four_tuple *tuple, uint32_t bucket)
{
	uint32_t link = t->buckets[bucket];

	while (link) {
		struct flow *f = flow_at(t, link - 1);

		if (four_tuple_equal(&f->tuple, tuple))
			return f;
		link = f->chain;
	}
	return NULL;
}

struct flow *flow_table_add(struct flow_table *t,
			    const struct four_tuple *tuple, uint32_t bucket)
{
	uint32_t index = pool_take(&t->flows);
	struct flow *f;

	if (index == POOL_NONE)
		return NULL;
	f = flow_at(t, index);
	*f = (struct flow){
		.tuple = *tuple,
		.chain = t->buckets[bucket],
		.listed = true,
		.live = true,
	};
	t->buckets[bucket] = index + 1;
	return f;
}

void flow_table_unlist(struct flow_table *t, struct flow *f)
{
	uint32_t index = pool_index(&t->flows, f);
	uint32_t *link;

	if (!f->listed)
		return;
	link = &t->buckets[flow_table_bucket(t, &f->tuple)];
	while (*link != index + 1)
		link = &flow_at(t, *link - 1)->chain;
	*link = f->chain;
	f->listed = false;
}

struct flow *flow_table_next(const struct flow_table *t, const struct flow *f)
{
	uint32_t index = f ? pool_index(&t->flows, f) + 1 : 0;

	while (index < t->flows.fresh && !flow_at(t, index)->live)
		index++;
	return index < t->flows.fresh ? flow_at(t, index) : NULL;
}

void flow_table_remove(struct flow_table *t, struct flow *f)
{
	flow_table_unlist(t, f);
	f->live = false;
	pool_give(&t->flows, pool_index(&t->flows, f));
}
