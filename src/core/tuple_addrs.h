/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The addresses that tuples have towards a target, with how many ports of each
 * are used. A record lives as long as it has tuples.
 */
#ifndef CORE_TUPLE_ADDRS_H
#define CORE_TUPLE_ADDRS_H

#include "core/addr.h"
#include "core/pool.h"
#include "core/tuple_ports.h"

/* Of a table that is full, which is rare: empty buckets cost memory, too. */
#define TUPLES_A_BUCKET 4u

/* Tuples not live, by their age. */
struct tuple_list {
	uint32_t oldest, newest; /* POOL_NONE: empty */
};

struct tuple_addr {
	struct ip_addr addr;
	uint16_t target;
	uint16_t used[SPANS]; /* ports that a search must leave out */
	uint32_t hash;	      /* to begin with, for the places of its ports */
	uint32_t chain;
	uint32_t tuples;
	struct tuple_list rested; /* those that may be taken again */
};

struct tuple_addrs {
	struct pool records;
	uint32_t *buckets; /* record + 1, 0: none */
	uint32_t bucket_mask;
	struct hash_key hash_key;
};

/* false: no memory. */
bool tuple_addrs_init(struct tuple_addrs *a, const struct mem *mem,
		      uint32_t count, const struct hash_key *key);
void tuple_addrs_fini(struct tuple_addrs *a, const struct mem *mem);

/* Its record, POOL_NONE: it has no tuple. */
uint32_t tuple_addrs_find(const struct tuple_addrs *a, uint32_t target,
			  const struct ip_addr *addr);
/* One without tuples, for what has no record yet. POOL_NONE: no room. */
uint32_t tuple_addrs_add(struct tuple_addrs *a, uint32_t target,
			 const struct ip_addr *addr);
void tuple_addrs_remove(struct tuple_addrs *a, uint32_t id);

static inline struct tuple_addr *tuple_addrs_at(const struct tuple_addrs *a,
						uint32_t id)
{
	return pool_at(&a->records, id);
}

#endif
