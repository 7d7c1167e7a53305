// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Events of the loop (a readable capture, bytes on a link, a deadline) go into
 * the engine as they come. After the events of one turn of the loop, pump()
 * takes out what the engine has: messages first, since routes must leave before
 * the SYNs, then packets in batches, then what it wants to tell; and arms the
 * timer for its next deadline. Of very much it takes a part, so that captures
 * and links have their turn in between. Captures start when all links are up.
 *
 * The end: the engine resets its sessions, pump() sends that out, and the loop
 * goes on until the links have taken their last messages, or for DRAIN_US.
 */
#include "tcpcopy/app.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/heap.h"
#include "io/capture_file.h"
#include "tcpcopy/room.h"

#define CAPTURE_BUDGET 1024
#define PUMP_BATCHES   16u
/* By the links each batch is a write; other senders have fewer slots. */
#define BATCH_PACKETS 256u
#define PUMP_PACKETS  1024u
#define DRAIN_US      1000000u
#define TRIM_EACH_MS  1000u
/* Of a record at its longest, in a frame of its own. */
#define MESSAGES_AT_ONCE 256u
#define MESSAGES_BYTES                                                         \
	(MESSAGES_AT_ONCE * (WIRE_HEADER_BYTES + WIRE_RECORD_MAX))

_Static_assert(BATCH_PACKETS <= DRY_BATCH,
	       "the dry target keeps the answers to a batch");

int app_refuse(int exit_code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	opts_vcomplain("tcpcopy", fmt, args);
	va_end(args);
	return exit_code;
}

/* ---- what the engine has for us ---- */

/* As many as a link with room for MESSAGES_BYTES takes; how many. */
static unsigned send_some_messages(struct app *a)
{
	struct wire_msg msg;
	unsigned link_id, count = 0;

	while (count < MESSAGES_AT_ONCE &&
	       replay_next_msg(a->replay, &link_id, &msg)) {
		count++;
		if (a->dry_target)
			dry_target_on_msg(a->dry_target, &msg);
		else
			link_client_send(a->links, link_id, &msg);
	}
	if (count && a->links)
		link_client_flush(a->links);
	return count;
}

/* false: some may be left, for which a link has no room now. *any: some were
 * sent. */
static bool send_messages(struct app *a, bool *any)
{
	unsigned count = MESSAGES_AT_ONCE;

	*any = false;
	while (count == MESSAGES_AT_ONCE) {
		if (a->links && !link_client_takes(a->links, MESSAGES_BYTES))
			return false;
		count = send_some_messages(a);
		*any |= count > 0;
	}
	return true;
}

/* One batch at most. */
static unsigned send_packets(struct app *a, uint64_t now_us)
{
	const struct sender_ops *ops = a->sender->ops;
	unsigned count = 0;
	uint8_t *slot;
	size_t cap, len;

	while (count < BATCH_PACKETS &&
	       (slot = ops->reserve(a->sender, &cap))) {
		len = replay_next_packet(a->replay, slot, cap, now_us);
		if (!len)
			break;
		ops->commit(a->sender, len);
		count++;
	}
	if (count)
		ops->flush(a->sender);
	return count;
}

static void take_dry_answers(struct app *a, uint64_t now_us)
{
	struct wire_msg msg;

	while (a->dry_target && dry_target_next_msg(a->dry_target, &msg))
		replay_on_msg(a->replay, 0, &msg, now_us);
}

static uint64_t next_deadline_us(const struct app *a)
{
	uint64_t at_us = replay_deadline_us(a->replay);

	if (a->stopping && a->stop_by_us < at_us)
		at_us = a->stop_by_us;
	if (!a->ready || a->stopping || a->file_ended)
		return at_us;
	for (size_t i = 0; i < a->capture_count; i++) {
		const struct capture *c = a->captures[i].capture;
		uint64_t due_us = c->ops->deadline_us(c);

		if (due_us < at_us)
			at_us = due_us;
	}
	return at_us;
}

static void on_timer(uv_timer_t *timer);

static void arm_timer(struct app *a)
{
	uint64_t now_us = clock_us(), at_us = next_deadline_us(a);
	uint64_t ms = at_us > now_us ? (at_us - now_us + 999) / 1000 : 0;

	if (at_us == UINT64_MAX) {
		uv_timer_stop(&a->timer);
		return;
	}
	uv_update_time(&a->loop);
	uv_timer_start(&a->timer, on_timer, ms, 0);
}

static void stop(struct app *a)
{
	if (a->stopping)
		return;
	a->stopping = true;
	a->stop_by_us = clock_us() + DRAIN_US;
	for (size_t i = 0; i < a->capture_count; i++)
		if (a->captures[i].polled)
			uv_poll_stop(&a->captures[i].poll);
	app_take_responses(a);
	replay_shutdown(a->replay, clock_us());
}

static bool drained(const struct app *a)
{
	return !a->links || !link_client_pending(a->links) ||
	       clock_us() >= a->stop_by_us;
}

/* true: there is more. */
static bool take_out(struct app *a)
{
	unsigned packets = 0, some;
	uint64_t now_us;
	bool more = true, told;

	app_take_responses(a);
	now_us = clock_us();
	/* What had no room may have some now. */
	a->sender->ops->flush(a->sender);
	for (unsigned n = 0; more && n < PUMP_BATCHES && packets < PUMP_PACKETS;
	     n++) {
		/* A session's packets go behind its route. */
		some = send_messages(a, &more) ? send_packets(a, now_us) : 0;
		more |= some > 0;
		packets += some;
		take_dry_answers(a, now_us);
	}
	/* What the last packets have left to say. */
	send_messages(a, &told);
	return more;
}

static void on_more(uv_idle_t *more)
{
	(void)more;
}

/* pump() comes soon, after the events that are there. No timer could do that:
 * one that is due again at once leaves the loop no turn for anything else. */
static void pump_soon(struct app *a)
{
	uv_idle_start(&a->more, on_more);
}

static void pump(struct app *a)
{
	bool more = take_out(a);

	app_tell_notices(a);
	uv_idle_stop(&a->more);
	if (a->file_ended && !a->stopping && !replay_sessions(a->replay)) {
		stop(a);
		more = true;
	}
	if (more)
		pump_soon(a);
	else if (a->stopping && drained(a))
		uv_stop(&a->loop);
	else
		arm_timer(a);
}

/* ---- what goes into the engine ---- */

_Static_assert(CAPTURE_BATCH <= REPLAY_PACKETS, "a batch goes on as it comes");

static void on_packets(void *ctx, const struct packet_bytes *packets,
		       size_t count)
{
	struct app *a = ctx;

	replay_on_packets(a->replay, packets, count, clock_us());
}

static void file_end(struct app *a, struct capture *c)
{
	const char *failure = capture_file_failure(c);
	uint64_t truncated = capture_file_truncated(c);

	a->file_ended = true;
	if (failure)
		log_warn("%s: %s: what follows is not replayed",
			 a->options->file, failure);
	if (truncated)
		log_warn("%s: %" PRIu64 " packets are there only in part",
			 a->options->file, truncated);
	replay_on_capture_end(a->replay, clock_us());
}

static void take_packets(struct app *a, struct capture *c)
{
	int n;

	app_watch_backlog(a, c);
	n = c->ops->dispatch(c, CAPTURE_BUDGET, clock_us(), on_packets, a);

	if (n == -1 && a->options->file)
		file_end(a, c);
	else if (n < 0)
		log_error("capture: %s", strerror(-n));
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct app_capture *ac = poll->data;

	(void)events;
	take_packets(ac->app, ac->capture);
	/* A device went down, and libuv has stopped to look: it may be up
	 * again one day. */
	if (status < 0)
		uv_poll_start(poll, UV_READABLE, on_readable);
}

static void on_timer(uv_timer_t *timer)
{
	struct app *a = timer->data;
	uint64_t now_us = clock_us();

	if (now_us >= replay_deadline_us(a->replay))
		replay_on_timer(a->replay, now_us);
	if (a->options->file && a->ready && !a->file_ended && !a->stopping)
		take_packets(a, a->captures[0].capture);
	pump_soon(a);
}

static void on_cpu_timer(uv_timer_t *timer)
{
	struct app *a = timer->data;

	replay_set_shedding(a->replay, cpu_limit_is_over(&a->cpu, cpu_used_us(),
							 clock_us()));
}

static void watch_cpu(struct app *a)
{
	unsigned percent = a->options->max_cpu_percent;

	if (!percent)
		return;
	cpu_limit_init(&a->cpu, percent, a->options->split.count, cpu_used_us(),
		       clock_us());
	uv_timer_start(&a->cpu_timer, on_cpu_timer, CPU_LIMIT_EACH_MS,
		       CPU_LIMIT_EACH_MS);
}

static void on_trim_timer(uv_timer_t *timer)
{
	struct app *a = timer->data;

	replay_trim(a->replay, &heap_mem);
}

static void on_check(uv_check_t *check)
{
	pump(check->data);
}

/* ---- life ---- */

static void on_report(void *ctx)
{
	app_report(ctx, false);
}

static void on_stop(void *ctx)
{
	struct app *a = ctx;

	if (!a->ready) {
		app_end(a, 0);
		return;
	}
	stop(a);
	pump_soon(a);
}

void app_end(struct app *a, int exit_code)
{
	a->exit_code = exit_code;
	uv_stop(&a->loop);
}

static void tell_room_towards(const struct app *a, size_t target)
{
	const struct replay_config *cfg = &a->plan.replay;
	struct room room = room_towards(cfg, target);
	char at[ENDPOINT_TEXT_MAX], text[256];

	snprintf(text, sizeof(text),
		 "-n %u: %s have ports for %" PRIu64
		 " connections at a time to %s",
		 cfg->copies,
		 room.addrs ? "the addresses of -c together"
			    : "the copies of each client",
		 room.connections, endpoint_text(&cfg->targets[target].at, at));
	if (room.is_small)
		log_warn("%s: copies of more than these are lost (no_tuple); "
			 "%s, or a smaller -n",
			 text,
			 room.addrs ? "give more addresses with -c"
				    : "give addresses with -c");
	else
		log_info("%s", text);
}

/* What the ports allow when there are several copies: for all workers, by the
 * first. */
static void tell_room(const struct app *a)
{
	const struct replay_config *cfg = &a->plan.replay;

	if (cfg->copies == 1 || cfg->split.index > 0)
		return;
	for (size_t i = 0; i < cfg->target_count; i++)
		tell_room_towards(a, i);
}

void app_start(struct app *a)
{
	struct json *j;

	a->ready = true;
	for (size_t i = 0; i < a->capture_count; i++) {
		struct app_capture *ac = &a->captures[i];

		if (ac->polled)
			uv_poll_start(&ac->poll, UV_READABLE, on_readable);
	}
	watch_cpu(a);
	uv_timer_start(&a->trim_timer, on_trim_timer, TRIM_EACH_MS,
		       TRIM_EACH_MS);
	app_start_nice(a);
	service_ready(a->service);
	log_info("%s: %s to %zu %s%s", service_ready_word(a->service),
		 a->options->file ? "replaying a file" : "copying",
		 a->plan.replay.target_count,
		 a->plan.replay.target_count == 1 ? "target" : "targets",
		 a->dry_target ? ", packets go to a file" : "");
	tell_room(a);
	j = report_begin(&a->service->report, "ready");
	if (j)
		report_end(&a->service->report);
	arm_timer(a);
}

static int make_handles(struct app *a)
{
	static const struct service_calls calls = {.report = on_report,
						   .stop = on_stop};
	int err = uv_loop_init(&a->loop);

	if (err)
		return app_refuse(OPTS_EXIT_ENVIRONMENT, "event loop: %s",
				  uv_strerror(err));
	a->loop_made = true;
	uv_timer_init(&a->loop, &a->timer);
	a->timer.data = a;
	uv_timer_init(&a->loop, &a->cpu_timer);
	a->cpu_timer.data = a;
	uv_timer_init(&a->loop, &a->trim_timer);
	a->trim_timer.data = a;
	uv_timer_init(&a->loop, &a->nice_timer);
	a->nice_timer.data = a;
	uv_check_init(&a->loop, &a->check);
	a->check.data = a;
	uv_check_start(&a->check, on_check);
	uv_idle_init(&a->loop, &a->more);
	err = service_run_on(a->service, &a->loop, &a->options->service, &calls,
			     a);
	a->handles_made = true;
	return err ? app_refuse(OPTS_EXIT_ENVIRONMENT, "signals: %s",
				uv_strerror(err))
		   : 0;
}

static int make_engine(struct app *a)
{
	a->replay = replay_new(&a->plan.replay, &heap_mem, clock_us());
	if (a->replay)
		return 0;
	return app_refuse(OPTS_EXIT_BAD_INPUT,
			  "-m %u: too little memory for one session",
			  a->options->memory_mb);
}

static int open_all(struct app *a)
{
	struct opts_fault fault;
	int rc = plan_make(&a->plan, a->options, &fault);
	if (rc)
		return app_refuse(rc, "%s", fault.text);
	rc = make_handles(a);
	if (!rc)
		rc = make_engine(a);
	if (!rc)
		rc = app_open_io(a);
	if (rc)
		return rc;
	rc = service_drop_privileges(a->service, app_open_nice(a));
	return rc ? rc : app_open_links(a);
}

static void close_loop(struct app *a)
{
	if (!a->loop_made)
		return;
	if (a->handles_made) {
		uv_close((uv_handle_t *)&a->timer, NULL);
		uv_close((uv_handle_t *)&a->cpu_timer, NULL);
		uv_close((uv_handle_t *)&a->trim_timer, NULL);
		uv_close((uv_handle_t *)&a->nice_timer, NULL);
		uv_close((uv_handle_t *)&a->check, NULL);
		uv_close((uv_handle_t *)&a->more, NULL);
		service_leave_loop(a->service);
	}
	for (size_t i = 0; i < a->capture_count; i++)
		if (a->captures[i].polled)
			uv_close((uv_handle_t *)&a->captures[i].poll, NULL);
	app_leave_path(a);
	if (a->links)
		link_client_close(a->links);
	uv_run(&a->loop, UV_RUN_DEFAULT);
	uv_loop_close(&a->loop);
}

static void close_all(struct app *a)
{
	close_loop(a);
	if (a->links)
		link_client_free(a->links);
	app_close_io(a);
	if (a->dry_target)
		dry_target_free(a->dry_target, &heap_mem);
	if (a->replay)
		replay_free(a->replay, &heap_mem);
	plan_free(&a->plan);
}

int app_run(struct app *a, const struct tcpcopy_options *o, struct service *s)
{
	*a = (struct app){.options = o, .service = s};
	a->exit_code = open_all(a);
	if (!a->exit_code) {
		uv_run(&a->loop, UV_RUN_DEFAULT);
		if (a->ready)
			app_report(a, true);
	}
	close_all(a);
	return a->exit_code;
}
