/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory for the core that counts what is out, and fails when it is told to. */
#ifndef TESTS_COUNTED_MEM_H
#define TESTS_COUNTED_MEM_H

#include <stdlib.h>

#include "core/mem.h"

struct counted_mem {
	struct mem mem; /* give this one to the core */
	size_t live_bytes;
	unsigned calls;
	unsigned fail_at; /* this call fails, counted from 1; 0: none */
};

static inline void *counted_alloc(void *ctx, size_t size_bytes)
{
	struct counted_mem *m = ctx;
	void *ptr = ++m->calls == m->fail_at ? NULL : calloc(1, size_bytes);

	if (ptr)
		m->live_bytes += size_bytes;
	return ptr;
}

static inline void counted_free(void *ctx, void *ptr, size_t size_bytes)
{
	struct counted_mem *m = ctx;

	m->live_bytes -= size_bytes;
	free(ptr);
}

static inline void counted_mem_init(struct counted_mem *m, unsigned fail_at)
{
	*m = (struct counted_mem){
		.mem = {.alloc = counted_alloc, .free = counted_free, .ctx = m},
		.fail_at = fail_at,
	};
}

#endif
