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

static uint64_t word_at(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

/* Adds what is no more than 15 bytes. */
static uint64_t add_rest(uint64_t sum, const uint8_t *bytes, size_t len)
{
	uint32_t word;
	uint16_t half;

	if (len & 8) {
		sum = add(sum, word_at(bytes));
		bytes += 8;
	}
	if (len & 4) {
		memcpy(&word, bytes, sizeof(word));
		sum = add(sum, word);
		bytes += 4;
	}
	if (len & 2) {
		memcpy(&half, bytes, sizeof(half));
		sum = add(sum, half);
		bytes += 2;
	}
	if (len & 1) {
		uint8_t last[2] = {*bytes, 0};

		memcpy(&half, last, sizeof(half));
		sum = add(sum, half);
	}
	return sum;
}

/* Sums in the machine's byte order (RFC 1071, 2B), eight bytes a step; two of
 * them that do not wait for each other. */
uint64_t checksum_add(uint64_t sum, const uint8_t *bytes, size_t len)
{
	uint64_t other = 0;

	for (; len >= 16; len -= 16, bytes += 16) {
		sum = add(sum, word_at(bytes));
		other = add(other, word_at(bytes + 8));
	}
	return add_rest(add(sum, other), bytes, len);
}

uint64_t checksum_copy(uint8_t *to, const uint8_t *from, size_t len)
{
	uint64_t sum = 0, other = 0;

	for (; len >= 16; len -= 16, from += 16, to += 16) {
		uint64_t word = word_at(from), next = word_at(from + 8);

		memcpy(to, &word, sizeof(word));
		memcpy(to + 8, &next, sizeof(next));
		sum = add(sum, word);
		other = add(other, next);
	}
	memcpy(to, from, len);
	return add_rest(add(sum, other), from, len);
}

/* Behind an odd number the two bytes of each half change places, which is one
 * byte's turn of the whole sum. */
uint64_t checksum_join(uint64_t sum, uint64_t next, size_t before)
{
	if (before % 2)
		next = next << 8 | next >> 56;
	return add(sum, next);
}

uint16_t checksum_fold(uint64_t sum)
{
	uint16_t folded;

	while (sum >> 16)
		sum = (sum & UINT16_MAX) + (sum >> 16);
	folded = (uint16_t)~sum;
	return load_be16((const uint8_t *)&folded);
}
