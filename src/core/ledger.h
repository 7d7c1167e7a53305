/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The account of tcpcopy: every captured connection, turn and byte, times the
 * copies that it should have become, ends in exactly one place. Each place has
 * its own counter, raised where it happens.
 *
 *   expected = not_sampled + answered + unanswered + in_flight + sum(lost)
 */
#ifndef CORE_LEDGER_H
#define CORE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

/* key in JSON, what it means */
#define LEDGER_LOSSES(X)                                                       \
	X(CAPTURE_GAP, capture_gap, "packets missing in the capture")          \
	X(MIDSTREAM, midstream, "before the first turn boundary seen")         \
	X(TLS, tls, "TLS cannot be replayed")                                  \
	X(MEMORY, memory, "over the memory limit")                             \
	X(LIMIT, limit, "over --max-sessions, --max-rate or --max-cpu")        \
	X(LOOP, loop, "copied before: packets of tcpcopy come back")           \
	X(NO_TUPLE, no_tuple, "no client address and port free")               \
	X(REFUSED, refused, "target refused the connection")                   \
	X(TARGET_CLOSED, target_closed,                                        \
	  "target closed before the turn was done")                            \
	X(TIMEOUT, timeout, "nothing from the target within the timeout")      \
	X(SHUTDOWN, shutdown, "tcpcopy ended first")

enum loss {
#define X(id, key, text) LOSS_##id,
	LEDGER_LOSSES(X)
#undef X
		LOSS_COUNT,
	LOSS_NONE = LOSS_COUNT
};

struct ledger_unit {
	uint64_t captured;    /* seen, once each */
	uint64_t expected;    /* captured x copies x targets */
	uint64_t not_sampled; /* left out by -r */
	uint64_t answered;    /* delivered, and the target answered */
	uint64_t unanswered;  /* delivered, no byte of answer */
	uint64_t in_flight;   /* not decided yet */
	uint64_t lost[LOSS_COUNT];
};

/* key, what it counts: packets, and events that are no places of the account */
#define LEDGER_COUNTERS(X)                                                     \
	X(packets_captured, "packets taken from the capture")                  \
	X(packets_malformed, "not a TCP packet we can read")                   \
	X(packets_not_ours, "to no address and port that is copied")           \
	X(packets_stray, "of no connection being followed")                    \
	X(packets_repeated, "nothing new in them")                             \
	X(packets_sent, "packets given to the sender")                         \
	X(packets_resent, "of these, sent before")                             \
	X(packets_blocked, "stopped by the send guard")                        \
	X(responses, "headers of answers from intercept")                      \
	X(responses_stale, "of sessions that are over")                        \
	X(response_bytes, "payload bytes that the target sent")                \
	X(early_quiet, "turns released early: answer short, target quiet")     \
	X(early_hold, "turns released early: --max-hold reached")              \
	X(turns_split, "turns cut because the server spoke meanwhile")         \
	X(turns_resent, "turns sent again to a target that had closed")        \
	X(reopened, "sessions opened again after their target closed")         \
	X(rejoined, "sessions opened in the middle of a connection")           \
	X(remapped,                                                            \
	  "sessions under another address or port than the client's")          \
	X(routes_refused, "tuples that intercept refused")                     \
	X(idle_ended, "sessions ended by the idle limit")                      \
	X(shed_sessions, "connections not copied: over --max-sessions")        \
	X(shed_rate, "connections not copied: over --max-rate")                \
	X(shed_cpu, "connections not copied: over --max-cpu")                  \
	X(held_back, "sessions that waited for a target's first response")     \
	X(guard_pauses, "times nothing was sent since a guard did not stand")

struct ledger {
	struct ledger_unit conns, turns, bytes;
#define X(key, text) uint64_t key;
	LEDGER_COUNTERS(X)
#undef X
};

/* not_sampled + answered + unanswered + in_flight + lost == expected. */
bool ledger_balanced(const struct ledger_unit *u);
/* Adds another account to this one, place by place. */
void ledger_add(struct ledger *sum, const struct ledger *l);
const char *ledger_loss_key(enum loss why);
const char *ledger_loss_text(enum loss why);

#endif
