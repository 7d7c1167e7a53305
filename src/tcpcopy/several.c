// SPDX-License-Identifier: BSD-2-Clause
#include "tcpcopy/several.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/workers.h"
#include "tcpcopy/account.h"
#include "tcpcopy/app.h"

/* By all workers. */
struct shared {
	uint64_t syns[REPLAY_SYNS];
	struct capture_groups groups[DEVICES_MAX]; /* the first writes them */
};

struct several {
	const struct tcpcopy_options *options;
	struct shared *shared;
};

/* Where a worker's packets of a dry run go; NULL: they are sent. */
static const char *own_dry_run(const char *path, unsigned index)
{
	static char own[PATH_MAX];

	if (!path)
		return NULL;
	/* one that is too long is refused as it is, when it is opened */
	if (snprintf(own, sizeof(own), "%s.%u", path, index) >=
	    (int)sizeof(own))
		return path;
	return own;
}

static int serve(void *ctx, struct service *s, unsigned index)
{
	/* Large, and one a process. */
	static struct tcpcopy_options own;
	static struct app app;
	const struct several *several = ctx;

	own = *several->options;
	own.split.index = index;
	own.groups = several->shared->groups;
	own.syns = several->shared->syns;
	own.dry_run = own_dry_run(several->options->dry_run, index);
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
	void *at = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int rc;

	if (at == MAP_FAILED)
		return app_refuse(OPTS_EXIT_ENVIRONMENT, "no memory");
	several.shared = at;
	rc = workers_run(&spec);
	munmap(at, sizeof(struct shared));
	return rc;
}
