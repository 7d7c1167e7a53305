/* SPDX-License-Identifier: BSD-2-Clause */
/* Into the cache, ahead of its use. */
#ifndef CORE_FETCH_H
#define CORE_FETCH_H

#include <stddef.h>
#include <stdint.h>

#define CACHE_LINE_BYTES 64u

static inline void fetch_bytes(const void *object, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += CACHE_LINE_BYTES)
		__builtin_prefetch((const uint8_t *)object + at);
}

#endif
