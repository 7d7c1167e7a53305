// SPDX-License-Identifier: BSD-2-Clause
#include "core/early.h"

bool early_keep(struct early *e, const struct four_tuple *tuple,
		const struct wire_response *resp, uint64_t until_us)
{
	struct early_answer *slot = &e->ring[e->next];
	bool lost = slot->waiting;

	e->next = (e->next + 1) % EARLY_COUNT;
	e->waiting += !lost;
	*slot = (struct early_answer){
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
	if (e->waiting == 0)
		return false;
	for (uint32_t i = 0; i < EARLY_COUNT; i++) {
		struct early_answer *slot = &e->ring[i];

		if (!slot->waiting || slot->resp.ack != iss + 1 ||
		    !four_tuple_equal(&slot->tuple, tuple))
			continue;
		slot->waiting = false;
		e->waiting--;
		*resp = slot->resp;
		return true;
	}
	return false;
}

uint32_t early_expire(struct early *e, uint64_t now_us)
{
	uint32_t expired = 0;

	for (uint32_t i = 0; i < EARLY_COUNT && e->waiting > 0; i++) {
		struct early_answer *slot = &e->ring[i];

		if (!slot->waiting || now_us < slot->until_us)
			continue;
		slot->waiting = false;
		e->waiting--;
		expired++;
	}
	return expired;
}
