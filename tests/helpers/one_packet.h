/* SPDX-License-Identifier: BSD-2-Clause */
/* One packet for intercept's engine, by itself. */
#ifndef TESTS_ONE_PACKET_H
#define TESTS_ONE_PACKET_H

#include "core/divert.h"

static inline enum verdict give_packet(struct divert *d, const uint8_t *l3,
				       size_t cap_len, size_t wire_len,
				       uint64_t now_us)
{
	const struct divert_packet packet = {.bytes = {l3, cap_len, wire_len}};
	enum verdict verdict;

	divert_on_packets(d, &packet, 1, now_us, &verdict);
	return verdict;
}

#endif
