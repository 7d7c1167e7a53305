// SPDX-License-Identifier: BSD-2-Clause
#include "tcpcopy/several.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/random.h"
#include "base/workers.h"
#include "tcpcopy/account.h"
#include "tcpcopy/app.h"

struct several {
	const struct tcpcopy_options *options;
	uint32_t seed;
	/* Shared: the first worker writes the devices' groups. */
	uint16_t *fanout_ids;
};

static int serve(void *ctx, struct service *s, unsigned index)
{
	/* Large, and one a process. */
	static struct tcpcopy_options own;
	static struct app app;
	const struct several *several = ctx;

	own = *several->options;
	own.split.seed = several->seed;
	own.split.index = index;
	own.fanout_ids = several->fanout_ids;
	return app_run(&app, &own, s);
}

static void report(void *ctx, struct service *s, const void *const accounts[],
		   bool final)
{
	const struct several *several = ctx;
	const struct account *all[WORKERS_MAX];
	struct report_usage head;

	for (unsigned i = 0; i < several->options->split.count; i++)
		all[i] = accounts[i];
	report_usage(&head);
	account_report(&s->report, all, several->options->split.count, &head,
		       final);
}

int several_run(const struct tcpcopy_options *o)
{
	size_t bytes = DEVICES_MAX * sizeof(uint16_t);
	struct several several = {.options = o};
	const struct workers_spec spec = {
		.program = "tcpcopy",
		.options = &o->service,
		.count = o->split.count,
		.account_bytes = sizeof(struct account),
		.serve = serve,
		.report = report,
		.ctx = &several,
	};
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int rc;

	if (at == MAP_FAILED)
		return app_refuse(1, "no memory");
	several.fanout_ids = at;
	random_bytes(&several.seed, sizeof(several.seed));
	rc = workers_run(&spec);
	munmap(at, bytes);
	return rc;
}
