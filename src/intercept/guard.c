// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Looks come with the kernel's news, and once a second without. When a line
 * does not stand, that is told first, then every such line is made anew, then
 * all are looked at again: armed means that a look has found all of them
 * standing and nothing was heard since. While they do not stand, looks come
 * faster.
 */
#include "intercept/guard.h"

#include <errno.h>
#include <stdlib.h>

bool guard_init(struct guard *g, struct guard_line **lines, size_t count,
		const struct guard_events *events)
{
	*g = (struct guard){
		.lines = lines,
		.failed = calloc(count, sizeof(*g->failed)),
		.count = count,
		.events = *events,
	};
	return g->failed;
}

void guard_fini(struct guard *g)
{
	free(g->failed);
}

static void set_armed(struct guard *g, bool armed)
{
	if (g->armed == armed)
		return;
	g->armed = armed;
	g->events.armed(g->events.ctx, armed);
}

static int check(struct guard *g, size_t i)
{
	return g->lines[i]->ops->check(g->lines[i]);
}

static bool all_stand(struct guard *g)
{
	for (size_t i = 0; i < g->count; i++)
		if (check(g, i) != 1)
			return false;
	return true;
}

/* Puts one line back. It counts as fallen once, however many tries it takes. */
static void restore(struct guard *g, size_t i, int found)
{
	struct guard_line *line = g->lines[i];
	int rc;

	if (!g->failed[i]) {
		g->counters.fallen++;
		g->events.fallen(g->events.ctx, line, found);
	}
	rc = line->ops->install(line);
	if (rc == 0 && check(g, i) != 1)
		rc = -EAGAIN;
	if (rc == 0)
		g->counters.restored++;
	if (rc == 0 || !g->failed[i])
		g->events.restored(g->events.ctx, line, rc);
	g->failed[i] = rc < 0;
}

void guard_look(struct guard *g, uint64_t now_us)
{
	g->looked_us = now_us;
	g->counters.looks++;
	for (size_t i = 0; i < g->count; i++) {
		int found = check(g, i);

		if (found == 1) {
			g->failed[i] = false;
			continue;
		}
		set_armed(g, false);
		restore(g, i, found);
	}
	set_armed(g, g->armed || all_stand(g));
	g->due_us = now_us + (g->armed ? GUARD_PERIOD_US : GUARD_RETRY_US);
}

int guard_start(struct guard *g, const struct guard_line **bad, uint64_t now_us)
{
	for (size_t i = 0; i < g->count; i++) {
		int rc = g->lines[i]->ops->install(g->lines[i]);

		*bad = g->lines[i];
		if (rc == 0)
			rc = check(g, i);
		if (rc != 1)
			return rc < 0 ? rc : -EAGAIN;
	}
	guard_look(g, now_us);
	return 0;
}

void guard_on_news(struct guard *g, uint64_t now_us)
{
	uint64_t at_us = g->looked_us + GUARD_PAUSE_US;

	at_us = at_us > now_us ? at_us : now_us;
	if (at_us < g->due_us)
		g->due_us = at_us;
}

uint64_t guard_deadline_us(const struct guard *g)
{
	return g->due_us;
}
