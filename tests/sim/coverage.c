// SPDX-License-Identifier: BSD-2-Clause
#include "tests/sim/coverage.h"

#include <stdbool.h>

struct line {
	const char *name, *text;
};

/* A stop that must never be needed, and the table that is never full. */
static bool is_spare(enum cover c)
{
	return c == COVER_LEDGER_packets_blocked ||
	       c == COVER_DIVERT_routes_full;
}

static const struct line lines[COVER_COUNT] = {
#define X(key, what) [COVER_##key] = {.name = #key, .text = what},
	SIM_COVERAGE(X)
#undef X
#define X(key, what) [COVER_LEDGER_##key] = {.name = #key, .text = what},
		LEDGER_COUNTERS(X)
#undef X
#define X(id, key, what)                                                       \
	[COVER_LOST_##key] = {.name = "lost_" #key, .text = what},
			LEDGER_LOSSES(X)
#undef X
#define X(key, what)                                                           \
	[COVER_DIVERT_##key] = {.name = "intercept_" #key, .text = what},
				DIVERT_COUNTERS(X)
#undef X
};

void coverage_add_ledger(uint64_t *coverage, const struct ledger *l)
{
#define X(key, text) coverage[COVER_LEDGER_##key] += l->key;
	LEDGER_COUNTERS(X)
#undef X
#define X(id, key, text)                                                       \
	coverage[COVER_LOST_##key] +=                                          \
		l->turns.lost[LOSS_##id] + l->conns.lost[LOSS_##id];
	LEDGER_LOSSES(X)
#undef X
}

void coverage_add_divert(uint64_t *coverage, const struct divert_counters *c)
{
#define X(key, text) coverage[COVER_DIVERT_##key] += c->key;
	DIVERT_COUNTERS(X)
#undef X
}

unsigned coverage_print(const uint64_t *coverage, FILE *out)
{
	unsigned zeroes = 0;

	for (int i = 0; i < COVER_COUNT; i++) {
		bool missing = coverage[i] == 0 && !is_spare((enum cover)i);

		fprintf(out, "# %12llu %-24s %s%s\n",
			(unsigned long long)coverage[i], lines[i].name,
			lines[i].text, missing ? "  <-- never" : "");
		zeroes += missing;
	}
	return zeroes;
}
