// SPDX-License-Identifier: BSD-2-Clause
/* The ledger: what goes into the account, and who gets it. */
#include "tcpcopy/account.h"
#include "tcpcopy/app.h"

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

static void fill(struct app *a, struct account *out)
{
	out->ledger = *replay_ledger(a->replay);
	out->flows = replay_flows(a->replay);
	out->sessions = replay_sessions(a->replay);
	out->send = (struct sender_stats){.sent = 0};
	add_sent(&out->send, a->own);
	add_sent(&out->send, a->relay);
	out->kernel = (struct capture_stats){.received = 0};
	for (size_t i = 0; i < a->capture_count; i++)
		add_stats(&out->kernel, a->captures[i].capture);
	account_set_links(out, a->links);
	report_usage(&out->usage);
}

void app_report(struct app *a, bool final)
{
	static struct account account; /* large */
	const struct account *own = &account;

	fill(a, &account);
	if (!service_give_account(a->service, &account, sizeof(account)))
		account_report(&a->service->report, &own, 1, NULL, final);
}
