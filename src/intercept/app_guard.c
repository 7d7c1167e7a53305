// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * The kernel's news and a timer lead to the guard's looks (guard.c). The timer
 * also renews the lease: it asks for a STATUS four times a second, and looks
 * first if a look is due, so that a process that was stopped for a while does
 * not vouch for what it has not seen.
 */
#include "intercept/app_guard.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "intercept/app.h"
#include "io/guard_lock.h"

#define LEASE_RENEWAL_MS 250
/* A look is never older, unless we were kept from running. */
#define LOOK_MAX_US (GUARD_PERIOD_US + LEASE_RENEWAL_MS * 1000u)

/* ---- what the guard has to say ---- */

/* For the other workers. */
static void publish(const struct app_guard *ag)
{
	const struct guard *g = &ag->guard;

	if (ag->word)
		__atomic_store_n(&ag->word->stood_us,
				 g->armed ? g->looked_us : 0, __ATOMIC_RELEASE);
}

static void on_armed(void *ctx, bool armed)
{
	struct app_guard *ag = ctx;

	publish(ag);
	if (armed)
		log_info("guard: all rules and fences stand");
	if (ag->status)
		ag->status(ag->ctx);
}

static void on_fallen(void *ctx, const struct guard_line *line, int error)
{
	char text[GUARD_LINE_TEXT_MAX];

	(void)ctx;
	guard_line_text(line, text);
	if (error < 0)
		log_error("guard: whether the %s stands is not known: %s", text,
			  strerror(-error));
	else
		log_warn("guard: the %s is not as it was made; tcpcopies send "
			 "nothing until it is",
			 text);
}

static void on_restored(void *ctx, const struct guard_line *line, int error)
{
	char text[GUARD_LINE_TEXT_MAX];

	(void)ctx;
	guard_line_text(line, text);
	if (error < 0)
		log_error("guard: the %s cannot be put back: %s: %s", text,
			  strerror(-error), guard_line_remedy(line, error));
	else
		log_info("guard: the %s is back", text);
}

/* ---- the loop ---- */

static void on_timer(uv_timer_t *timer);

static void set_timer(struct app_guard *ag)
{
	uint64_t due_us = guard_deadline_us(&ag->guard), now_us = clock_us();
	uint64_t ms = due_us > now_us ? (due_us - now_us + 999) / 1000 : 0;

	if (ms > LEASE_RENEWAL_MS)
		ms = LEASE_RENEWAL_MS;
	uv_update_time(ag->timer.loop);
	uv_timer_start(&ag->timer, on_timer, ms, 0);
}

static void look_if_due(struct app_guard *ag)
{
	uint64_t now_us = clock_us();

	if (guard_watch_news(&ag->watch))
		guard_on_news(&ag->guard, now_us);
	if (now_us >= guard_deadline_us(&ag->guard))
		guard_look(&ag->guard, now_us);
	publish(ag);
}

static void on_lease(uv_timer_t *timer)
{
	struct app_guard *ag = timer->data;

	ag->status(ag->ctx);
}

static void on_timer(uv_timer_t *timer)
{
	struct app_guard *ag = timer->data;

	look_if_due(ag);
	ag->status(ag->ctx);
	set_timer(ag);
}

static void on_news(uv_poll_t *poll, int status, int events)
{
	struct app_guard *ag = poll->data;

	(void)events;
	look_if_due(ag);
	set_timer(ag);
	/* libuv has stopped the poll after an error, such as lost news. */
	if (status < 0)
		uv_poll_start(poll, UV_READABLE, on_news);
}

void app_guard_start(struct app_guard *ag, uv_loop_t *loop,
		     void (*status)(void *ctx), void *ctx)
{
	if (!ag->used)
		return;
	ag->status = status;
	ag->ctx = ctx;
	uv_timer_init(loop, &ag->timer);
	ag->timer.data = ag;
	if (ag->follows) {
		uv_timer_start(&ag->timer, on_lease, LEASE_RENEWAL_MS,
			       LEASE_RENEWAL_MS);
		return;
	}
	for (unsigned i = 0; i < GUARD_WATCH_FDS; i++) {
		uv_poll_init(loop, &ag->polls[i], ag->watch.fds[i]);
		ag->polls[i].data = ag;
		uv_poll_start(&ag->polls[i], UV_READABLE, on_news);
	}
	set_timer(ag);
}

/* ---- life ---- */

static int lock_ports(struct app_guard *ag, const struct options *o)
{
	ag->locks = calloc(o->guard_count, sizeof(*ag->locks));
	if (!ag->locks)
		return app_refuse("no memory");
	for (size_t i = 0; i < o->guard_count; i++) {
		int fd = guard_lock(o->guard_ports[i]);

		if (fd < 0 && fd != -EADDRINUSE)
			return app_refuse("--guard: %s", strerror(-fd));
		if (fd < 0)
			return app_refuse(
				"--guard %u: another intercept guards "
				"that port; end it first",
				o->guard_ports[i]);
		ag->locks[ag->lock_count++] = fd;
	}
	return 0;
}

static int set_up(struct app_guard *ag)
{
	const struct guard_events events = {.armed = on_armed,
					    .fallen = on_fallen,
					    .restored = on_restored,
					    .ctx = ag};
	char text[GUARD_LINE_TEXT_MAX];
	const struct guard_line *bad;
	int rc;

	if (!guard_init(&ag->guard, ag->lines.lines, ag->lines.count, &events))
		return app_refuse("no memory");
	rc = guard_start(&ag->guard, &bad, clock_us());
	if (rc == 0)
		return 0;
	return app_refuse(
		"--guard: the %s cannot be set up: %s: %s; what has been "
		"set up stays, --unguard %u removes it",
		guard_line_text(bad, text), strerror(-rc),
		guard_line_remedy(bad, rc), bad->cfg.port);
}

int app_guard_open(struct app_guard *ag, const struct options *o)
{
	int rc;

	*ag = (struct app_guard){.options = o};
	if (!o->guard)
		return 0;
	ag->word = o->guard_word;
	ag->follows = o->worker > 0;
	ag->used = ag->follows;
	if (ag->follows)
		return 0;
	rc = lock_ports(ag, o);
	if (rc)
		return rc;
	/* The watch first: what changes after the first look is news. */
	rc = guard_watch_open(&ag->watch);
	ag->watching = rc == 0;
	if (rc == 0)
		rc = guard_lines_open(&ag->lines, o);
	if (rc < 0)
		return app_refuse("--guard: %s", strerror(-rc));
	rc = set_up(ag);
	ag->used = rc == 0;
	if (ag->used && ag->word)
		ag->word->by_port = guard_lines_by_port(&ag->lines);
	return rc;
}

void app_guard_free(struct app_guard *ag)
{
	guard_fini(&ag->guard);
	guard_lines_close(&ag->lines);
	if (ag->watching)
		guard_watch_close(&ag->watch);
	while (ag->lock_count > 0)
		close(ag->locks[--ag->lock_count]);
	free(ag->locks);
}

/* ---- what others ask ---- */

/* When the guard last found all standing, 0: it does not. */
static uint64_t stood_us(const struct app_guard *ag)
{
	if (ag->follows)
		return __atomic_load_n(&ag->word->stood_us, __ATOMIC_ACQUIRE);
	return ag->guard.armed ? ag->guard.looked_us : 0;
}

bool app_guard_stands(const struct app_guard *ag, uint64_t now_us)
{
	uint64_t at_us = stood_us(ag);

	return !ag->used || (at_us > 0 && now_us < at_us + LOOK_MAX_US);
}

bool app_guard_by_port(const struct app_guard *ag)
{
	return ag->used && ag->word && ag->word->by_port;
}

bool app_guard_has(const struct app_guard *ag, uint16_t port)
{
	for (size_t i = 0; i < ag->options->guard_count; i++)
		if (ag->options->guard_ports[i] == port)
			return true;
	return !ag->used;
}

/* Who has the guard has just looked. */
void app_guard_tell(const struct app_guard *ag, struct wire_status *status)
{
	bool stands = ag->follows ? app_guard_stands(ag, clock_us())
				  : ag->guard.armed;

	status->guarded = ag->used;
	status->armed = ag->used && stands;
	if (!ag->used)
		return;
	status->port_count = (uint8_t)ag->options->guard_count;
	memcpy(status->ports, ag->options->guard_ports,
	       ag->options->guard_count * sizeof(status->ports[0]));
}
