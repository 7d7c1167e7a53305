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

/* Of a device's buffer, to give way. */
#define BUFFER_LEAST_BYTES (2u << 20)

static void on_nice_timer(uv_timer_t *timer)
{
	struct app *a = timer->data;
	unsigned before = a->giving_way.steps;

	if (!giving_way_look(&a->giving_way))
		uv_timer_stop(timer);
	if (a->giving_way.steps != before)
		niceness_set(&a->niceness, a->giving_way.steps);
}

/* A buffer lasts for as long as its blocks are closed one by one, 10 ms each:
 * with one of a megabyte we must run every 80 ms. */
static bool is_short(const struct app *a)
{
	size_t devices = a->options->device_count;

	return !a->options->file &&
	       a->plan.buffer_bytes / (devices ? devices : 1) <
		       BUFFER_LEAST_BYTES;
}

int app_open_nice(struct app *a)
{
	unsigned steps = is_short(a) ? 0 : a->options->nice_steps;
	enum niceness_right right = NICENESS_ALWAYS;

	if (steps > 0)
		right = niceness_begin(&a->niceness);
	if (right == NICENESS_NEVER) {
		log_info("--nice %u: tcpcopy stays as nice as it is: to come "
			 "back takes root of this host, or LimitNICE=",
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
	if (a->giving_way.steps > 0 && !niceness_set(&a->niceness, 0))
		log_warn("--nice: not allowed to come back; what comes may be "
			 "lost");
	giving_way_stop(&a->giving_way);
	if (!uv_is_active((uv_handle_t *)&a->nice_timer))
		look_on(a);
}
