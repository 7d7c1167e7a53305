// SPDX-License-Identifier: BSD-2-Clause
#include "core/gate.h"

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t quiet_us(const struct gate_view *v)
{
	uint64_t gap_us = min_u64(v->gap_us, GATE_QUIET_GAP_US);

	return max_u64(max_u64(2 * (uint64_t)v->srtt_us, GATE_QUIET_MIN_US),
		       gap_us);
}

/* Both sides may be speaking at once. Then a turn can be a piece of something
 * that is answered as a whole, and what the client had seen with the next one
 * was about something before it, and has been sent before it. */
static uint64_t silent_us(const struct gate_view *v)
{
	uint64_t gaps_us = GATE_SILENT_GAPS * (uint64_t)v->gap_us;
	uint64_t answers_us = GATE_SILENT_ANSWERS * v->slowest_us;

	return max_u64(max_u64(gaps_us, answers_us), GATE_SILENT_MIN_US);
}

enum gate_verdict gate_ask(const struct gate_view *v, uint64_t now_us,
			   uint64_t *again_us)
{
	uint64_t quiet_at_us = UINT64_MAX;

	*again_us = UINT64_MAX;
	if (!v->acked)
		return GATE_SHUT;
	if (v->finished || v->got_bytes >= v->need_bytes)
		return GATE_OPEN;
	if (v->paused)
		return GATE_SHUT;
	if (v->got_bytes > 0 && v->pushed)
		quiet_at_us = v->quiet_since_us + quiet_us(v);
	else if (v->got_bytes == 0 && v->pushed && v->had_all)
		quiet_at_us = v->quiet_since_us + silent_us(v);
	if (now_us >= quiet_at_us)
		return GATE_EARLY_QUIET;
	if (now_us >= v->hold_until_us)
		return GATE_EARLY_HOLD;
	*again_us = min_u64(quiet_at_us, v->hold_until_us);
	return GATE_SHUT;
}
