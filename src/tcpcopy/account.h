/* SPDX-License-Identifier: BSD-2-Clause */
/* What one tcpcopy process can say of its run, and several of them together. */
#ifndef TCPCOPY_ACCOUNT_H
#define TCPCOPY_ACCOUNT_H

#include "core/replay.h"
#include "tcpcopy/ledger.h"

#define ACCOUNT_LINKS_EACH_MAX 16
#define ACCOUNT_LINKS_MAX      (REPLAY_GROUPS_MAX * ACCOUNT_LINKS_EACH_MAX)

/* No pointers: another process reads it. */
struct account {
	struct ledger ledger;
	struct capture_stats kernel;
	struct sender_stats send;
	struct report_usage usage;
	uint32_t flows, sessions;
	uint32_t link_count;
	struct link_state links[ACCOUNT_LINKS_MAX];
};

/* Links are none in a dry run: NULL. */
void account_set_links(struct account *a, const struct link_client *links);
/* One report of them all, to the log and to r; head: what the process itself
 * has used besides, NULL: nothing. */
void account_report(struct report *r, const struct account *const accounts[],
		    unsigned count, const struct report_usage *head,
		    bool final);

#endif
