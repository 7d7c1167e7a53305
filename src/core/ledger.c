// SPDX-License-Identifier: BSD-2-Clause
#include "core/ledger.h"

bool ledger_balanced(const struct ledger_unit *u)
{
	uint64_t sum =
		u->not_sampled + u->answered + u->unanswered + u->in_flight;

	for (unsigned i = 0; i < LOSS_COUNT; i++)
		sum += u->lost[i];
	return sum == u->expected;
}

const char *ledger_loss_key(enum loss why)
{
	static const char *const keys[] = {
#define X(id, key, text) [LOSS_##id] = #key,
		LEDGER_LOSSES(X)
#undef X
	};

	return why < LOSS_COUNT ? keys[why] : "none";
}

const char *ledger_loss_text(enum loss why)
{
	static const char *const texts[] = {
#define X(id, key, text) [LOSS_##id] = text,
		LEDGER_LOSSES(X)
#undef X
	};

	return why < LOSS_COUNT ? texts[why] : "not lost";
}
