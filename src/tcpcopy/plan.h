/* SPDX-License-Identifier: BSD-2-Clause */
/* From what the user asked for, and what this host is, to what the engine and
 * the links are told. */
#ifndef TCPCOPY_PLAN_H
#define TCPCOPY_PLAN_H

#include "tcpcopy/options.h"

struct plan {
	struct replay_config replay; /* its arrays are ours */
	struct replay_target targets[TRANSFERS_MAX];
	struct endpoint intercepts[REPLAY_GROUPS_MAX]; /* one a group */
	size_t buffer_bytes;	 /* of the capture, all devices together */
	size_t dry_target_bytes; /* 0: not a dry run */
	struct ip_addr *own_addrs;
	size_t own_addr_count;
	bool may_relay; /* if the intercepts take packets */
	/* Some copied address is not of this host (a mirror port). */
	bool mirror;
};

/* 0; otherwise the exit code, and fault says why. */
int plan_make(struct plan *p, const struct tcpcopy_options *o,
	      struct opts_fault *fault);
/* Whether CAP_NET_RAW is needed: for packets captured here, or sent by another
 * way than the links. */
bool plan_needs_raw(const struct plan *p, const struct tcpcopy_options *o);
/* Ports of its workers that lead to the intercept at that address. */
unsigned plan_workers_at(const struct plan *p, const struct ip_addr *addr);
/* Divides -m, once everything else is planned. */
int plan_memory(struct plan *p, const struct tcpcopy_options *o,
		struct opts_fault *fault);
void plan_free(struct plan *p);

#endif
