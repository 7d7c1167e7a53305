/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * May the next turn go? Only when the target has taken the turn before and
 * has answered as the online server had when the client went on, or has
 * evidently finished answering. A pure function of what the session knows.
 */
#ifndef CORE_GATE_H
#define CORE_GATE_H

#include <stdbool.h>
#include <stdint.h>

#define GATE_QUIET_MIN_US 20000u
/* For a target that owes nothing: so long, so many times the client's own
 * pause, and so many times what it took to answer at most. */
#define GATE_SILENT_MIN_US  50000u
#define GATE_SILENT_GAPS    10u
#define GATE_SILENT_ANSWERS 4u
#define GATE_QUIET_GAP_US                                                      \
	200000u /* the client's own pause counts up to this                    \
		 */

enum gate_verdict {
	GATE_SHUT,
	GATE_OPEN,
	GATE_EARLY_QUIET, /* open: a shorter answer, or none, seems complete */
	GATE_EARLY_HOLD	  /* open: held for as long as is allowed */
};

struct gate_view {
	bool acked;    /* the turn before is acknowledged to its last byte */
	bool finished; /* the target has closed: nothing more will come */
	bool pushed;   /* the last segment of its answer had PSH */
	bool paused;   /* no link: silence means nothing */
	uint32_t need_bytes; /* the client had seen */
	uint32_t got_bytes;  /* the target has sent since the turn before */
	bool had_all;	  /* it had sent before all that the client had seen */
	uint32_t srtt_us; /* 0: unknown */
	uint32_t gap_us;  /* client's pause before this turn */
	uint64_t slowest_us;	 /* answer so far, to its first byte */
	uint64_t quiet_since_us; /* last response or our last ACK */
	uint64_t hold_until_us; /* not longer than this; UINT64_MAX: for ever */
};

/* *again_us: when to ask again if nothing happens before (GATE_SHUT only),
 * UINT64_MAX: only after an event. */
enum gate_verdict gate_ask(const struct gate_view *v, uint64_t now_us,
			   uint64_t *again_us);

#endif
