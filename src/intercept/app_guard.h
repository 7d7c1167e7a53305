/* SPDX-License-Identifier: BSD-2-Clause */
/* --guard on intercept's loop. */
#ifndef INTERCEPT_APP_GUARD_H
#define INTERCEPT_APP_GUARD_H

#include <uv.h>

#include "core/wire.h"
#include "intercept/guard.h"
#include "intercept/guard_lines.h"
#include "io/guard_watch.h"

/* What the first of several workers, which has the guard, tells the others. */
struct guard_word {
	uint64_t stood_us; /* last found all standing, 0: it does not */
	bool by_port; /* each gets the answers of its ports; before they start
		       */
};

struct app_guard {
	bool used; /* --guard was given, and it stood once */
	const struct options *options;
	bool follows;		 /* the word of the first of several workers */
	struct guard_word *word; /* NULL: a single process */
	struct guard guard;
	struct guard_lines lines;
	struct guard_watch watch;
	bool watching; /* it is open */
	int *locks;    /* one a port */
	size_t lock_count;
	uv_poll_t polls[GUARD_WATCH_FDS];
	uv_timer_t timer;
	/* Called when a STATUS has to go out: while all stands four times a
	 * second, and at once when that changes. */
	void (*status)(void *ctx);
	void *ctx;
};

/* Sets up rules and fences, if the options say so. 0, or the exit code, after
 * one line on stderr. */
int app_guard_open(struct app_guard *ag, const struct options *o);
/* Begins to keep watch. */
void app_guard_start(struct app_guard *ag, uv_loop_t *loop,
		     void (*status)(void *ctx), void *ctx);
/* Once its handles are closed. Rules and fences stay. */
void app_guard_free(struct app_guard *ag);

/* Whether it stood at the last look, and that was not long ago; without a guard
 * always. */
bool app_guard_stands(const struct app_guard *ag, uint64_t now_us);
/* Whether it is for that port; without a guard always. */
bool app_guard_has(const struct app_guard *ag, uint16_t port);
/* Whether each of several workers gets the answers of its ports. */
bool app_guard_by_port(const struct app_guard *ag);
/* What tcpcopies are to know. */
void app_guard_tell(const struct app_guard *ag, struct wire_status *status);
#endif
