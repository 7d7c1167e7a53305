// SPDX-License-Identifier: BSD-2-Clause
#include "base/heap.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAPPED_MIN_BYTES (128u << 10)
#define PAGE_MIN_BYTES	 4096u

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

/* Whole pages of it. Where that fails (locked memory) they stay. */
static void heap_discard(void *ctx, void *at, size_t size_bytes)
{
	uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t first = (uintptr_t)at + page_bytes - 1;
	uintptr_t end = (uintptr_t)at + size_bytes;

	(void)ctx;
	first -= first % page_bytes;
	end -= end % page_bytes;
	if (first < end)
		madvise((uint8_t *)at + (first - (uintptr_t)at), end - first,
			MADV_DONTNEED);
}

const struct mem heap_mem = {
	.alloc = heap_alloc,
	.free = heap_free,
	.discard = heap_discard,
	.page_bytes = PAGE_MIN_BYTES,
};
