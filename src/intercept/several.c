// SPDX-License-Identifier: BSD-2-Clause
#include "intercept/several.h"

#include <sys/mman.h>

#include "base/workers.h"
#include "intercept/app.h"

int several_serve_one(const struct options *o, struct service *s)
{
	struct app app;
	int rc = app_open(&app, o, s);

	if (rc)
		return rc;
	service_ready(s);
	app_run(&app);
	app_free(&app);
	return 0;
}

static int serve(void *ctx, struct service *s, unsigned index)
{
	struct options own = *(const struct options *)ctx;

	own.worker = index;
	own.queue_num = (uint16_t)(own.queue_num + index);
	own.port = (uint16_t)(own.port + index);
	return several_serve_one(&own, s);
}

static void report(void *ctx, struct service *s, const void *const accounts[],
		   bool final)
{
	const struct options *o = ctx;
	const struct account *all[WORKERS_MAX];
	struct report_usage head;

	for (unsigned i = 0; i < o->workers; i++)
		all[i] = accounts[i];
	report_usage(&head);
	account_report(&s->report, all, o->workers, &head, final);
}

int several_run(const struct options *o)
{
	struct options copy = *o;
	const struct workers_spec spec = {
		.program = "intercept",
		.options = &o->service,
		.count = o->workers,
		.account_bytes = sizeof(struct account),
		.serve = serve,
		.report = report,
		.ctx = &copy,
	};
	void *word =
		mmap(NULL, sizeof(*copy.guard_word), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int rc;

	if (word == MAP_FAILED)
		return app_refuse("no memory");
	copy.guard_word = word;
	rc = workers_run(&spec);
	munmap(word, sizeof(*copy.guard_word));
	return rc;
}
