// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Where no core is free, each step of niceness takes time from us and gives it
 * to the service that is being copied. What has not been copied meanwhile
 * waits: first in the capture's buffer, then in the engine. Both are looked at
 * with each turn of the capture, which costs a few loads; a system call is made
 * only when the niceness changes.
 */
#include <linux/capability.h>

#include "tcpcopy/app.h"

static void on_nice_timer(uv_timer_t *timer)
{
	struct app *a = timer->data;
	unsigned before = a->giving_way.steps;

	if (!giving_way_look(&a->giving_way))
		uv_timer_stop(timer);
	if (a->giving_way.steps != before)
		niceness_set(&a->niceness, a->giving_way.steps);
}

int app_open_nice(struct app *a)
{
	unsigned steps = a->options->nice_steps;
	enum niceness_right right = NICENESS_ALWAYS;

	if (steps > 0)
		right = niceness_begin(&a->niceness);
	if (right == NICENESS_NEVER) {
		log_info("--nice %u: without root or a limit (LimitNICE=) that "
			 "lets it come back, tcpcopy stays as nice as it is",
			 steps);
		steps = 0;
	}
	giving_way_init(&a->giving_way, steps);
	return right == NICENESS_CAPABILITY ? CAP_SYS_NICE : -1;
}

static void look_on(struct app *a)
{
	uv_timer_start(&a->nice_timer, on_nice_timer, GIVING_WAY_EACH_MS,
		       GIVING_WAY_EACH_MS);
}

void app_start_nice(struct app *a)
{
	if (a->giving_way.most > 0)
		look_on(a);
}

void app_watch_backlog(struct app *a, struct capture *c)
{
	if (a->giving_way.most == 0 ||
	    (!c->ops->is_behind(c) && !replay_is_half_full(a->replay)))
		return;
	if (a->giving_way.steps > 0)
		niceness_set(&a->niceness, 0);
	giving_way_stop(&a->giving_way);
	if (!uv_is_active((uv_handle_t *)&a->nice_timer))
		look_on(a);
}
