// SPDX-License-Identifier: BSD-2-Clause
/* The ledger, to the log and as JSON. */
#include <stdlib.h>

#include "tcpcopy/app.h"
#include "tcpcopy/ledger.h"

static void add_stats(struct capture_stats *sum, struct capture *c)
{
	struct capture_stats s;

	c->ops->stats(c, &s);
	sum->received += s.received;
	sum->dropped_kernel += s.dropped_kernel;
	sum->dropped_device += s.dropped_device;
	sum->dropped_unusual += s.dropped_unusual;
}

static void add_sent(struct sender_stats *sum, struct sender *sender)
{
	const struct sender_stats *s;

	if (!sender)
		return;
	s = sender->ops->stats(sender);
	sum->sent += s->sent;
	sum->refused += s->refused;
}

void app_report(struct app *a, bool final)
{
	struct ledger_view v = {
		.ledger = replay_ledger(a->replay),
		.links = a->links,
		.flows = replay_flows(a->replay),
		.sessions = replay_sessions(a->replay),
		.final = final,
	};
	struct json *j;
	char *text;

	add_sent(&v.send, a->own);
	add_sent(&v.send, a->relay);
	for (size_t i = 0; i < a->capture_count; i++)
		add_stats(&v.kernel, a->captures[i].capture);
	report_usage(&v.usage);
	text = ledger_text(&v);
	if (text)
		log_text(LOG_LEVEL_INFO, text);
	free(text);
	j = report_begin(&a->service.report, "ledger");
	if (!j)
		return;
	ledger_json(j, &v);
	report_end(&a->service.report);
}
