/* SPDX-License-Identifier: BSD-2-Clause */
/* What one intercept process can say of its run, and several of them together.
 */
#ifndef INTERCEPT_ACCOUNT_H
#define INTERCEPT_ACCOUNT_H

#include "base/report.h"
#include "core/divert.h"
#include "intercept/guard.h"
#include "io/link_server.h"
#include "io/queue.h"
#include "io/sender.h"

#define ACCOUNT_LINKS_MAX 256

struct account_link {
	unsigned id;
	struct link_info info;
};

struct totals {
	struct divert_counters packets;
	uint64_t routes, links_excess, routes_foreign, routes_unguarded;
	uint64_t relay_foreign, relay_unguarded;
	bool guards, armed; /* of the process whose guard it is */
	struct guard_counters guard;
	bool injects;
	struct sender_stats inject;
	struct queue_stats queue;
	struct report_usage usage;
	uint64_t links_ended, altered, strangers;
	struct peer_stats ended;
	uint64_t refused[LINK_CAUSES];
};

/* No pointers: another process reads it. */
struct account {
	struct totals totals;
	unsigned link_count;
	struct account_link links[ACCOUNT_LINKS_MAX];
};

/* Reads what a running server can say of its links. */
void account_set_links(struct account *a, const struct link_server *ls);
/* One report of them all, to the log and to r. head: what this process itself
 * has used besides, NULL: nothing. */
void account_report(struct report *r, const struct account *const accounts[],
		    unsigned count, const struct report_usage *head,
		    bool final);

#endif
