// SPDX-License-Identifier: BSD-2-Clause
#include "core/checksum.h"

#include <string.h>

#include "core/bytes.h"

/* A carry comes in again at the other end, in words of any size. */
static uint64_t add(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

/* Sums in the machine's byte order (RFC 1071, 2B), eight bytes a step. */
uint64_t checksum_add(uint64_t sum, const uint8_t *bytes, size_t len)
{
	uint64_t word;
	uint16_t half;

	for (; len >= 8; len -= 8, bytes += 8) {
		memcpy(&word, bytes, sizeof(word));
		sum = add(sum, word);
	}
	for (; len >= 2; len -= 2, bytes += 2) {
		memcpy(&half, bytes, sizeof(half));
		sum = add(sum, half);
	}
	if (len > 0) {
		uint8_t last[2] = {*bytes, 0};

		memcpy(&half, last, sizeof(half));
		sum = add(sum, half);
	}
	return sum;
}

uint16_t checksum_fold(uint64_t sum)
{
	uint16_t folded;

	while (sum >> 16)
		sum = (sum & UINT16_MAX) + (sum >> 16);
	folded = (uint16_t)~sum;
	return load_be16((const uint8_t *)&folded);
}
