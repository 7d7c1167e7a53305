/* SPDX-License-Identifier: BSD-2-Clause */
/* The Internet checksum (RFC 1071). */
#ifndef CORE_CHECKSUM_H
#define CORE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Adds len bytes to an unfolded sum; only the last part may have an odd
 * length. Start with 0. */
uint64_t checksum_add(uint64_t sum, const uint8_t *bytes, size_t len);
/* Copies len bytes in the same go; their sum. */
uint64_t checksum_copy(uint8_t *to, const uint8_t *from, size_t len);
/* The sum of bytes and of those that follow them, `before` bytes having been
 * summed so far: both may have any length. */
uint64_t checksum_join(uint64_t sum, uint64_t next, size_t before);
/* The 16-bit complement, to be stored in network order. */
uint16_t checksum_fold(uint64_t sum);

#endif
