// SPDX-License-Identifier: BSD-2-Clause
#include "base/heap.h"

#include <stdlib.h>
#include <sys/mman.h>

#define MAPPED_MIN_BYTES (128u << 10)

static void *heap_alloc(void *ctx, size_t size_bytes)
{
	void *at;

	(void)ctx;
	if (size_bytes < MAPPED_MIN_BYTES)
		return calloc(1, size_bytes);
	at = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return at == MAP_FAILED ? NULL : at;
}

static void heap_free(void *ctx, void *ptr, size_t size_bytes)
{
	(void)ctx;
	if (size_bytes < MAPPED_MIN_BYTES)
		free(ptr);
	else if (ptr)
		munmap(ptr, size_bytes);
}

const struct mem heap_mem = {.alloc = heap_alloc, .free = heap_free};
