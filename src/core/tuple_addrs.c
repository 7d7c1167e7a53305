// SPDX-License-Identifier: BSD-2-Clause
#include "core/tuple_addrs.h"

#include <string.h>

static size_t buckets_bytes(const struct tuple_addrs *a)
{
	return ((size_t)a->bucket_mask + 1) * sizeof(a->buckets[0]);
}

bool tuple_addrs_init(struct tuple_addrs *a, const struct mem *mem,
		      uint32_t count, const struct hash_key *key)
{
	uint32_t buckets = 1;

	while (buckets < count / TUPLES_A_BUCKET)
		buckets <<= 1;
	*a = (struct tuple_addrs){.bucket_mask = buckets - 1, .hash_key = *key};
	if (!pool_init(&a->records, mem, sizeof(struct tuple_addr), count))
		return false;
	a->buckets = mem->alloc(mem->ctx, buckets_bytes(a));
	if (!a->buckets)
		pool_fini(&a->records, mem);
	return a->buckets;
}

void tuple_addrs_fini(struct tuple_addrs *a, const struct mem *mem)
{
	mem->free(mem->ctx, a->buckets, buckets_bytes(a));
	pool_fini(&a->records, mem);
}

static uint32_t hash_of(const struct tuple_addrs *a, uint32_t target,
			const struct ip_addr *addr)
{
	uint8_t key[sizeof(*addr) + sizeof(target)];

	memcpy(key, addr, sizeof(*addr));
	memcpy(key + sizeof(*addr), &target, sizeof(target));
	return (uint32_t)keyed_hash(&a->hash_key, key, sizeof(key));
}

uint32_t tuple_addrs_find(const struct tuple_addrs *a, uint32_t target,
			  const struct ip_addr *addr)
{
	uint32_t link = a->buckets[hash_of(a, target, addr) & a->bucket_mask];

	while (link) {
		const struct tuple_addr *r = tuple_addrs_at(a, link - 1);

		if (r->target == target && addr_equal(&r->addr, addr))
			return link - 1;
		link = r->chain;
	}
	return POOL_NONE;
}

uint32_t tuple_addrs_add(struct tuple_addrs *a, uint32_t target,
			 const struct ip_addr *addr)
{
	uint32_t id = pool_take(&a->records);
	uint32_t hash = hash_of(a, target, addr);
	uint32_t *bucket = &a->buckets[hash & a->bucket_mask];

	if (id == POOL_NONE)
		return POOL_NONE;
	*tuple_addrs_at(a, id) = (struct tuple_addr){
		.addr = *addr,
		.target = (uint16_t)target,
		.hash = hash,
		.chain = *bucket,
		.rested = {POOL_NONE, POOL_NONE},
	};
	*bucket = id + 1;
	return id;
}

void tuple_addrs_remove(struct tuple_addrs *a, uint32_t id)
{
	const struct tuple_addr *r = tuple_addrs_at(a, id);
	uint32_t *link = &a->buckets[r->hash & a->bucket_mask];

	while (*link != id + 1)
		link = &tuple_addrs_at(a, *link - 1)->chain;
	*link = r->chain;
	pool_give(&a->records, id);
}
