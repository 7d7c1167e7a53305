/* SPDX-License-Identifier: BSD-2-Clause */
/* Randomness from the kernel. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* len <= 256. Aborts the process when the kernel has none to give. */
void random_bytes(void *out, size_t len);
uint64_t random_u64(void);

#endif
