// SPDX-License-Identifier: BSD-2-Clause
/* The ledger: what goes into the account, and who gets it. */
#include "intercept/app.h"

static void fill(struct app *a, struct account *out)
{
	struct totals *t = &out->totals;

	t->packets = *divert_counters(a->divert);
	t->routes = divert_routes(a->divert);
	t->links_excess = a->links_excess;
	t->routes_foreign = a->routes_foreign;
	t->routes_unguarded = a->routes_unguarded;
	t->relay_foreign = a->relay_foreign;
	t->relay_unguarded = a->relay_unguarded;
	t->guards = a->guard.used && !a->guard.follows;
	t->armed = a->guard.guard.armed;
	t->guard = a->guard.guard.counters;
	t->injects = a->inject != NULL;
	if (a->inject)
		t->inject = *a->inject->ops->stats(a->inject);
	a->queue->ops->stats(a->queue, &t->queue);
	account_set_links(out, a->server);
	report_usage(&t->usage);
}

void app_report(struct app *a, bool final)
{
	static struct account account; /* large */
	const struct account *own = &account;

	fill(a, &account);
	if (!service_give_account(a->service, &account, sizeof(account)))
		account_report(&a->service->report, &own, 1, NULL, final);
}
