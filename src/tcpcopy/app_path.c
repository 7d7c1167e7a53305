// SPDX-License-Identifier: BSD-2-Clause
/* The way to the targets that this host sends on: as frames where the kernel
 * takes them, or by raw sockets. */
#include <stdlib.h>
#include <string.h>

#include "io/sender_link.h"
#include "io/sender_raw.h"
#include "tcpcopy/app.h"

/* Of some changes there are no news. */
#define ASK_EACH_MS 5000

static int open_raw(struct app *a, struct sender **out)
{
	struct sender_raw_config cfg = {.slot_bytes = a->plan.replay.mtu_bytes};
	int err;

	for (size_t i = 0; i < a->plan.replay.target_count; i++) {
		bool v4 = addr_is_v4(&a->plan.targets[i].at.addr);

		cfg.v4 |= v4;
		cfg.v6 |= !v4;
	}
	err = sender_raw_open(out, &cfg);
	return err ? app_refuse(OPTS_EXIT_ENVIRONMENT, "raw socket: %s",
				strerror(-err))
		   : 0;
}

static void tell_one(enum log_level level, const struct endpoint *target,
		     const struct next_hop *hop)
{
	char at[ENDPOINT_TEXT_MAX], text[NEXT_HOP_TEXT_MAX];

	log_write(level, "target %s: path %s: %s%s", endpoint_text(target, at),
		  next_hop_takes_frames(hop) ? "link" : "raw",
		  next_hop_text(hop, text),
		  hop->state == NEXT_HOP_UNRESOLVED ? " (raw meanwhile)" : "");
}

void app_tell_path(const struct app *a)
{
	if (!a->hops)
		return;
	for (size_t i = 0; i < a->plan.replay.target_count; i++) {
		const struct endpoint *target = &a->plan.targets[i].at;

		tell_one(LOG_LEVEL_INFO, target,
			 next_hops_find(a->hops, &target->addr));
	}
}

/* That a next hop is looked for and found is an everyday matter. */
static void on_changed(void *ctx, const struct next_hop *before,
		       const struct next_hop *now)
{
	const struct app *a = ctx;
	bool matters = a->sender == a->own && next_hop_is_other(before, now);

	for (size_t i = 0; i < a->plan.replay.target_count; i++)
		if (addr_equal(&a->plan.targets[i].at.addr, &now->to))
			tell_one(matters ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG,
				 &a->plan.targets[i].at, now);
}

static void on_news(uv_poll_t *poll, int status, int events)
{
	struct app *a = poll->data;

	(void)events;
	next_hops_update(a->hops, on_changed, a);
	/* News that were lost are an error of the socket. */
	if (status < 0)
		uv_poll_start(poll, UV_READABLE, on_news);
}

static void on_time_to_ask(uv_timer_t *timer)
{
	struct app *a = timer->data;

	next_hops_ask(a->hops, on_changed, a);
}

static int open_hops(struct app *a)
{
	struct ip_addr to[TRANSFERS_MAX];
	size_t count = a->plan.replay.target_count;

	for (size_t i = 0; i < count; i++)
		to[i] = a->plan.targets[i].at.addr;
	return next_hops_open(&a->hops, to, count);
}

/* NULL: all take frames. */
static const struct endpoint *first_without_frames(const struct app *a)
{
	for (size_t i = 0; i < a->plan.replay.target_count; i++) {
		const struct endpoint *target = &a->plan.targets[i].at;

		if (!next_hop_takes_frames(
			    next_hops_find(a->hops, &target->addr)))
			return target;
	}
	return NULL;
}

static int refuse_link(const struct app *a, const struct endpoint *target)
{
	char at[ENDPOINT_TEXT_MAX], text[NEXT_HOP_TEXT_MAX];

	return app_refuse(
		OPTS_EXIT_ENVIRONMENT,
		"--path link: target %s: %s: use --path raw",
		endpoint_text(target, at),
		next_hop_text(next_hops_find(a->hops, &target->addr), text));
}

static int start_link(struct app *a)
{
	struct sender_link_config cfg = {
		.slot_bytes = a->plan.replay.mtu_bytes,
		.hops = a->hops,
		.other = a->own,
	};
	int err = uv_poll_init(&a->loop, &a->hops_poll, next_hops_fd(a->hops));

	if (err)
		return err;
	uv_timer_init(&a->loop, &a->hops_timer);
	a->hops_poll.data = a->hops_timer.data = a;
	a->hops_polled = true;
	err = sender_link_open(&a->own, &cfg);
	if (!err)
		err = uv_timer_start(&a->hops_timer, on_time_to_ask,
				     ASK_EACH_MS, ASK_EACH_MS);
	return err ? err : uv_poll_start(&a->hops_poll, UV_READABLE, on_news);
}

static void close_hops(struct app *a)
{
	if (a->hops)
		next_hops_close(a->hops);
	a->hops = NULL;
}

/* There is a raw sender already. */
static int add_link(struct app *a)
{
	bool must = a->options->path == PATH_LINK;
	int err = open_hops(a);

	if (err && must)
		return app_refuse(OPTS_EXIT_ENVIRONMENT,
				  "--path link: routes and neighbours: %s",
				  strerror(-err));
	if (err) {
		log_info("path raw: routes and neighbours: %s", strerror(-err));
		return 0;
	}
	if (must && first_without_frames(a))
		return refuse_link(a, first_without_frames(a));
	err = start_link(a);
	return err ? app_refuse(OPTS_EXIT_ENVIRONMENT, "packet socket: %s",
				strerror(-err))
		   : 0;
}

int app_open_path(struct app *a)
{
	int rc = open_raw(a, &a->own);

	return rc || a->options->path == PATH_RAW ? rc : add_link(a);
}

void app_leave_path(struct app *a)
{
	if (!a->hops_polled)
		return;
	uv_close((uv_handle_t *)&a->hops_poll, NULL);
	uv_close((uv_handle_t *)&a->hops_timer, NULL);
}

void app_close_path(struct app *a)
{
	close_hops(a);
}
