/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only way the core gets memory, and only while something is being made
 * (*_new, *_init); afterwards everything comes from pools.
 */
#ifndef CORE_MEM_H
#define CORE_MEM_H

#include <stddef.h>

struct mem {
	/* Zeroed memory for any type, or NULL. Pages nobody touches should
	 * cost nothing: tables are sized for the worst case. */
	void *(*alloc)(void *ctx, size_t size_bytes);
	void (*free)(void *ctx, void *ptr, size_t size_bytes);
	void *ctx;
};

#endif
