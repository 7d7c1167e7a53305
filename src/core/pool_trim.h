/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a pool has not needed lately, given back. Who has had a wave of work
 * does not keep the memory for it for ever.
 */
#ifndef CORE_POOL_TRIM_H
#define CORE_POOL_TRIM_H

#include "core/pool.h"

/* From now on pool_trim() may give back memory of free blocks. false: no
 * memory. */
bool pool_make_elastic(struct pool *p, const struct mem *mem);
/* Not of the blocks, but of what lies beside each: of block n each_bytes at
 * at + n * each_bytes. */
bool pool_make_elastic_beside(struct pool *p, const struct mem *mem,
			      uint8_t *at, size_t each_bytes);
/* To be called now and then, always after about the same time. If since the
 * last call less than half of what has been touched was needed at once, the
 * rest goes, as far as it lies together. */
void pool_trim(struct pool *p, const struct mem *mem);

#endif
