// SPDX-License-Identifier: BSD-2-Clause
#include "core/checksum.h"

#include <string.h>

#include "core/bytes.h"

static uint64_t halves(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return (word >> 32) + (word & UINT32_MAX);
}

/* Sums in the machine's byte order (RFC 1071, 2B), eight bytes a step. Of long
 * ones two sums that do not wait for each other. */
uint64_t checksum_add(uint64_t sum, const uint8_t *bytes, size_t len)
{
	uint64_t other = 0;
	uint16_t half;

	for (; len >= 32; len -= 32, bytes += 32) {
		sum += halves(bytes) + halves(bytes + 8);
		other += halves(bytes + 16) + halves(bytes + 24);
	}
	sum += other;
	for (; len >= 8; len -= 8, bytes += 8)
		sum += halves(bytes);
	for (; len >= 2; len -= 2, bytes += 2) {
		memcpy(&half, bytes, sizeof(half));
		sum += half;
	}
	if (len > 0) {
		uint8_t last[2] = {*bytes, 0};

		memcpy(&half, last, sizeof(half));
		sum += half;
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
