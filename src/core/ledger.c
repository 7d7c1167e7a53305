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

static void add_unit(struct ledger_unit *sum, const struct ledger_unit *u)
{
	sum->captured += u->captured;
	sum->expected += u->expected;
	sum->not_sampled += u->not_sampled;
	sum->answered += u->answered;
	sum->unanswered += u->unanswered;
	sum->in_flight += u->in_flight;
	for (unsigned i = 0; i < LOSS_COUNT; i++)
		sum->lost[i] += u->lost[i];
}

void ledger_add(struct ledger *sum, const struct ledger *l)
{
	add_unit(&sum->conns, &l->conns);
	add_unit(&sum->turns, &l->turns);
	add_unit(&sum->bytes, &l->bytes);
#define X(key, text) sum->key += l->key;
	LEDGER_COUNTERS(X)
#undef X
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
