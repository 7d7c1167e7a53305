/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by divert*.c only. */
#ifndef CORE_DIVERT_INTERNAL_H
#define CORE_DIVERT_INTERNAL_H

#include "core/divert.h"
#include "core/early.h"
#include "core/local_ack.h"
#include "core/router.h"

/* What DIVERT_BATCH events can put out: one message each and what it finds
 * untold, or a registration all the early answers, of which each event can have
 * added one; and what one timer finds paused. */
#define OUT_MAX	 (3 * DIVERT_BATCH + EARLY_COUNT)
#define ACKS_MAX (2 * DIVERT_BATCH)

struct out {
	uint32_t link_id;
	struct wire_msg msg;
};

struct divert {
	struct router *router;
	struct early early;
	struct addr_prefix *passlist;
	size_t passlist_count;
	uint16_t *relay_ports;
	size_t relay_port_count;
	struct divert_counters counters;
	struct out out[OUT_MAX];
	uint32_t out_first, out_count;
	uint64_t routes_us; /* next look for routes to give up */
	struct locals locals;
	bool *link_locals; /* by link id: they are allowed */
	uint32_t links_max;
	uint64_t now_us; /* of the last packets */
	struct segment acks[ACKS_MAX];
	uint32_t acks_first, acks_count;
};

/* divert_answers.c: what is put out */

void divert_emit(struct divert *d, uint32_t link_id,
		 const struct wire_msg *msg);
/* A header as it is; without route id. */
struct wire_response divert_response_of(const struct segment *seg);
/* For the session that hit is about. */
void divert_answer(struct divert *d, const struct segment *seg,
		   struct router_hit *hit, uint64_t now_us);
/* Answers that have paused, in steps. */
void divert_tell_paused(struct divert *d, uint64_t now_us);
/* The answer that is acknowledged here, if there is one, is no more. */
void divert_end_local(struct divert *d, const struct router_hit *hit);

#endif
