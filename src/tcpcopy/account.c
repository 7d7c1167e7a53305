// SPDX-License-Identifier: BSD-2-Clause
#include "tcpcopy/account.h"

#include <stdlib.h>

#include "base/log.h"

void account_set_links(struct account *a, const struct link_client *links)
{
	a->link_count = links ? link_client_count(links) : 0;
	for (unsigned i = 0; i < a->link_count; i++)
		link_client_state(links, i, &a->links[i]);
}

static void add_usage(struct report_usage *sum, const struct report_usage *u)
{
	sum->cpu_seconds += u->cpu_seconds;
	sum->memory_peak_kb += u->memory_peak_kb;
}

static void add(struct ledger_view *v, struct ledger *sum,
		const struct account *a)
{
	ledger_add(sum, &a->ledger);
	v->kernel.received += a->kernel.received;
	v->kernel.dropped_kernel += a->kernel.dropped_kernel;
	v->kernel.dropped_device += a->kernel.dropped_device;
	v->kernel.dropped_unusual += a->kernel.dropped_unusual;
	v->send.sent += a->send.sent;
	v->send.refused += a->send.refused;
	add_usage(&v->usage, &a->usage);
	v->flows += a->flows;
	v->sessions += a->sessions;
}

static void put(struct report *r, const struct ledger_view *v)
{
	char *text = ledger_text(v);
	struct json *j;

	if (text)
		log_text(LOG_LEVEL_INFO, text);
	free(text);
	j = report_begin(r, "ledger");
	if (!j)
		return;
	ledger_json(j, v);
	report_end(r);
}

void account_report(struct report *r, const struct account *const accounts[],
		    unsigned count, const struct report_usage *head, bool final)
{
	struct ledger sum = {.conns = {.captured = 0}};
	struct ledger_links links[LEDGER_WORKERS_MAX];
	struct ledger_view v = {
		.ledger = &sum,
		.links = links,
		.worker_count = count,
		.final = final,
	};

	for (unsigned i = 0; i < count; i++) {
		add(&v, &sum, accounts[i]);
		links[i] = (struct ledger_links){accounts[i]->links,
						 accounts[i]->link_count};
	}
	if (head)
		add_usage(&v.usage, head);
	put(r, &v);
}
