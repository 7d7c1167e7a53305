/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The captured connections, by client and online endpoint. A flow that was
 * taken out of the index (its client has reused the port) lives on until its
 * copies are done.
 */
#ifndef CORE_FLOW_TABLE_H
#define CORE_FLOW_TABLE_H

#include "core/hold.h"
#include "core/addr.h"
#include "core/ledger.h"
#include "core/timers.h"

struct copy;

/* One captured connection. There are very many that do nothing: what is only
 * needed while something is under way is elsewhere, in the hold's stock and in
 * the copies' work. */
struct flow {
	struct hold hold;
	struct timer timer;
	struct copy *copies;
	uint64_t last_us;	 /* last packet of the client */
	struct four_tuple tuple; /* client -> online */
	uint32_t chain;
	uint32_t iss;	      /* the client's, if whole */
	uint32_t share;	      /* copies that it should have */
	uint32_t missing;     /* of these, refused for want of memory */
	uint8_t joining_loss; /* joining or left out: why its bytes are lost */
	bool whole : 1;	      /* seen from its SYN on */
	bool copied : 1;      /* is to become copies */
	bool left_out : 1;    /* sampled, and not copied all the same */
	bool joining : 1;     /* waits for a turn boundary */
	bool joined : 1;      /* has copies, or had */
	bool closed : 1;      /* the client has ended it */
	bool listed : 1;      /* in the index */
	bool traced : 1;      /* --trace asks for it */
	bool live;	      /* not a free block */
};

struct flow_table {
	struct pool flows;
	uint32_t *buckets; /* flow + 1, 0: none */
	uint32_t bucket_mask;
	struct hash_key hash_key;
};

/* Of the index, for each flow that fits the table, at most. */
#define FLOW_BUCKET_BYTES 2u

/* false: no memory. */
bool flow_table_init(struct flow_table *t, const struct mem *mem,
		     uint32_t count, struct hash_key key);
void flow_table_fini(struct flow_table *t, const struct mem *mem);
/* Where a flow of this tuple is listed. Telling that is most of the work of
 * finding it. */
uint32_t flow_table_bucket(const struct flow_table *t,
			   const struct four_tuple *tuple);
/* bucket: the tuple's. */
struct flow *flow_table_find(const struct flow_table *t,
			     const struct four_tuple *tuple, uint32_t bucket);
/* What finding a flow there needs comes into the cache, unless others are
 * listed before it. Each step needs what the one before it has brought. */
#define FLOW_FETCH_STEPS 2u
void flow_table_fetch(const struct flow_table *t, uint32_t bucket,
		      unsigned step);
/* A zeroed flow, listed under this tuple, which has none; NULL: full. */
struct flow *flow_table_add(struct flow_table *t,
			    const struct four_tuple *tuple, uint32_t bucket);
/* Takes it out of the index only. */
void flow_table_unlist(struct flow_table *t, struct flow *f);
/* The first one (f NULL), or the one behind f; NULL: none. f itself may have
 * been removed meanwhile. */
struct flow *flow_table_next(const struct flow_table *t, const struct flow *f);
/* Frees it; its hold and timer are the caller's to end before. */
void flow_table_remove(struct flow_table *t, struct flow *f);

#endif
