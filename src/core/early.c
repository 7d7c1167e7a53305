// SPDX-License-Identifier: BSD-2-Clause
#include "core/early.h"

static struct early_answer *answer_at(struct early *e, uint32_t i)
{
	return &e->ring[(e->first + i) % EARLY_COUNT];
}

/* Lets the oldest go; true: it was still waiting. */
static bool drop_first(struct early *e)
{
	bool waiting = e->ring[e->first].waiting;

	e->first = (e->first + 1) % EARLY_COUNT;
	e->count--;
	return waiting;
}

bool early_keep(struct early *e, const struct four_tuple *tuple,
		const struct wire_response *resp, uint64_t until_us)
{
	bool lost = e->count == EARLY_COUNT && drop_first(e);

	*answer_at(e, e->count++) = (struct early_answer){
		.tuple = *tuple,
		.resp = *resp,
		.until_us = until_us,
		.waiting = true,
	};
	return lost;
}

bool early_take(struct early *e, const struct four_tuple *tuple, uint32_t iss,
		struct wire_response *resp)
{
	for (uint32_t i = 0; i < e->count; i++) {
		struct early_answer *a = answer_at(e, i);

		if (!a->waiting || a->resp.ack != iss + 1 ||
		    !four_tuple_equal(&a->tuple, tuple))
			continue;
		a->waiting = false;
		*resp = a->resp;
		return true;
	}
	return false;
}

uint32_t early_expire(struct early *e, uint64_t now_us)
{
	uint32_t expired = 0;

	while (e->count > 0 && e->ring[e->first].until_us <= now_us)
		expired += drop_first(e);
	return expired;
}

uint64_t early_until_us(const struct early *e)
{
	return e->count > 0 ? e->ring[e->first].until_us : UINT64_MAX;
}
