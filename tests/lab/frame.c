// SPDX-License-Identifier: BSD-2-Clause
#include <endian.h>
#include <string.h>

#include "frame.h"

#define PATTERN_BYTES (1u << 20)

static uint8_t pattern[PATTERN_BYTES];

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93u;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93u;
	x ^= x >> 32;
	return x;
}

void frame_setup(void)
{
	for (size_t i = 0; i < PATTERN_BYTES; i += 8) {
		uint64_t word = mix(i + 1);

		memcpy(pattern + i, &word, 8);
	}
}

void frame_pack(const struct frame *f, uint8_t out[FRAME_HEADER_BYTES])
{
	uint32_t kind = htobe32((uint32_t)f->kind), seq = htobe32(f->seq);
	uint32_t len = htobe32(f->len), answer_len = htobe32(f->answer_len);
	uint64_t id = htobe64(f->id);

	memcpy(out, &kind, 4);
	memcpy(out + 4, &id, 8);
	memcpy(out + 12, &seq, 4);
	memcpy(out + 16, &len, 4);
	memcpy(out + 20, &answer_len, 4);
}

bool frame_unpack(struct frame *f, const uint8_t in[FRAME_HEADER_BYTES])
{
	uint32_t kind, seq, len, answer_len;
	uint64_t id;

	memcpy(&kind, in, 4);
	memcpy(&id, in + 4, 8);
	memcpy(&seq, in + 12, 4);
	memcpy(&len, in + 16, 4);
	memcpy(&answer_len, in + 20, 4);
	f->kind = (enum frame_kind)be32toh(kind);
	f->id = be64toh(id);
	f->seq = be32toh(seq);
	f->len = be32toh(len);
	f->answer_len = be32toh(answer_len);
	if (f->kind != FRAME_REQUEST && f->kind != FRAME_ANSWER)
		return false;
	return f->len >= FRAME_HEADER_BYTES && f->len <= FRAME_MAX_BYTES &&
	       f->answer_len <= FRAME_MAX_BYTES;
}

static size_t pattern_at(const struct frame *f, uint32_t from)
{
	uint64_t start = mix(f->id ^ ((uint64_t)f->seq << 20) ^ f->kind);

	return (start + from) % PATTERN_BYTES;
}

size_t frame_pieces(const struct frame *f, uint32_t from,
		    uint8_t header[FRAME_HEADER_BYTES], struct iovec *iov,
		    size_t max)
{
	size_t n = 0;

	if (from < FRAME_HEADER_BYTES && n < max) {
		frame_pack(f, header);
		iov[n].iov_base = header + from;
		iov[n++].iov_len = FRAME_HEADER_BYTES - from;
		from = FRAME_HEADER_BYTES;
	}
	while (from < f->len && n < max) {
		size_t at = pattern_at(f, from);
		size_t len = f->len - from;

		if (len > PATTERN_BYTES - at)
			len = PATTERN_BYTES - at;
		iov[n].iov_base = pattern + at;
		iov[n++].iov_len = len;
		from += (uint32_t)len;
	}
	return n;
}

bool frame_check(const struct frame *f, uint32_t from, const uint8_t *data,
		 size_t len)
{
	while (len) {
		size_t at = pattern_at(f, from), n = len;

		if (n > PATTERN_BYTES - at)
			n = PATTERN_BYTES - at;
		if (memcmp(pattern + at, data, n))
			return false;
		data += n;
		from += (uint32_t)n;
		len -= n;
	}
	return true;
}

uint32_t frame_pick(uint32_t lo, uint32_t hi, uint64_t id, uint32_t seq)
{
	if (hi <= lo)
		return lo;
	return lo + (uint32_t)(mix(id * 31 + seq) % (hi - lo + 1u));
}
