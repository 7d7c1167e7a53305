// SPDX-License-Identifier: BSD-2-Clause
#include "core/flow_table.h"

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
	if (pool_init(&t->flows, mem, sizeof(struct flow), count))
		return true;
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

static uint32_t *bucket_of(const struct flow_table *t,
			   const struct four_tuple *tuple)
{
	return &t->buckets[four_tuple_hash(&t->hash_key, tuple) &
			   t->bucket_mask];
}

struct flow *flow_table_find(const struct flow_table *t,
			     const struct four_tuple *tuple)
{
	uint32_t link = *bucket_of(t, tuple);

	while (link) {
		struct flow *f = flow_at(t, link - 1);

		if (four_tuple_equal(&f->tuple, tuple))
			return f;
		link = f->chain;
	}
	return NULL;
}

struct flow *flow_table_add(struct flow_table *t,
			    const struct four_tuple *tuple)
{
	uint32_t index = pool_take(&t->flows);
	uint32_t *bucket = bucket_of(t, tuple);
	struct flow *f;

	if (index == POOL_NONE)
		return NULL;
	f = flow_at(t, index);
	*f = (struct flow){
		.tuple = *tuple,
		.chain = *bucket,
		.listed = true,
		.live = true,
	};
	*bucket = index + 1;
	return f;
}

void flow_table_unlist(struct flow_table *t, struct flow *f)
{
	uint32_t index = pool_index(&t->flows, f);
	uint32_t *link = bucket_of(t, &f->tuple);

	if (!f->listed)
		return;
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
