/* SPDX-License-Identifier: BSD-2-Clause */
/* The account of a run, for people and for programs. */
#ifndef TCPCOPY_LEDGER_H
#define TCPCOPY_LEDGER_H

#include "base/report.h"
#include "core/ledger.h"
#include "io/capture.h"
#include "io/link_client.h"
#include "io/sender.h"

#define LEDGER_WORKERS_MAX 32

struct ledger_links {
	const struct link_state *states;
	size_t count; /* 0: a dry run */
};

struct ledger_view {
	const struct ledger *ledger;
	struct capture_stats kernel;
	struct sender_stats send;
	const struct ledger_links *links; /* of each worker */
	unsigned worker_count;
	struct report_usage usage;
	uint32_t flows, sessions;
	bool final;
};

/* (captured - delivered) / captured of the turns that were to be copied and
 * are decided, in percent; 0 when there are none. */
double ledger_loss_percent(const struct ledger *l);
/* Turns delivered for each one captured; 0: none was captured. */
double ledger_factor(const struct ledger *l);
/* Several lines; to be freed. NULL: no memory. */
char *ledger_text(const struct ledger_view *v);
/* The members of a report line. */
void ledger_json(struct json *j, const struct ledger_view *v);

#endif
