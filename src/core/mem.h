/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only way the core gets memory, and only while something is being made
 * (*_new, *_init); afterwards everything comes from pools, which say what of it
 * they do not need (*_trim).
 */
#ifndef CORE_MEM_H
#define CORE_MEM_H

#include <stddef.h>

struct mem {
	/* Zeroed memory for any type, or NULL. Pages nobody touches should
	 * cost nothing: tables are sized for the worst case. */
	void *(*alloc)(void *ctx, size_t size_bytes);
	void (*free)(void *ctx, void *ptr, size_t size_bytes);
	/* What lies there is not needed any more; the memory stays ours. Any
	 * part of it reads as zeroes from now on, the others as before. Whole
	 * pages of page_bytes, a power of two, are worth telling. NULL: nothing
	 * is. */
	void (*discard)(void *ctx, void *at, size_t size_bytes);
	size_t page_bytes;
	void *ctx;
};

#endif
