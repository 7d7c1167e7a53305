/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Answers to a SYN that came before its route: the SYN travels as a packet and
 * the route on a link, and either may win. They are kept for a moment.
 */
#ifndef CORE_EARLY_H
#define CORE_EARLY_H

#include "core/wire.h"

#define EARLY_COUNT 1024u

struct early_answer {
	struct four_tuple tuple; /* target -> client */
	struct wire_response resp;
	uint64_t until_us;
	bool waiting; /* not taken yet */
};

/* In the order in which they came; zeroed means empty. */
struct early {
	struct early_answer ring[EARLY_COUNT];
	uint32_t first, count;
};

/* Keeps one; until_us may not go back. true: the oldest had to give way. */
bool early_keep(struct early *e, const struct four_tuple *tuple,
		const struct wire_response *resp, uint64_t until_us);
/* Takes out the next one that answers a SYN with this iss on this tuple; what
 * answers another SYN stays. */
bool early_take(struct early *e, const struct four_tuple *tuple, uint32_t iss,
		struct wire_response *resp);
/* Drops those whose time is over; returns how many were still waiting. */
uint32_t early_expire(struct early *e, uint64_t now_us);
/* When the next one's time is over, UINT64_MAX: none is kept. */
uint64_t early_until_us(const struct early *e);

#endif
