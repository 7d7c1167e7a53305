/* SPDX-License-Identifier: BSD-2-Clause */
/* The Internet checksum (RFC 1071). */
#ifndef CORE_CHECKSUM_H
#define CORE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Adds len bytes to an unfolded sum; only the last part may have an odd
 * length. Start with 0. */
uint64_t checksum_add(uint64_t sum, const uint8_t *bytes, size_t len);
/* The 16-bit complement, to be stored in network order. */
uint16_t checksum_fold(uint64_t sum);

#endif
