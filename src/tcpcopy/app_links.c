// SPDX-License-Identifier: BSD-2-Clause
/* The links, or what stands in for them. */
#include "base/clock.h"
#include "base/heap.h"
#include "base/random.h"
#include "io/sender_relay.h"
#include "tcpcopy/app.h"

#define FRAME_RECORDS 512u

static const char *intercept_of(const struct app *a, unsigned link_id,
				char text[ENDPOINT_TEXT_MAX])
{
	return endpoint_text(
		&a->plan.intercepts[link_id / a->plan.replay.links_per_group],
		text);
}

/* An intercept's answers come out at any of its workers: without a link to each
 * some would be missed. false: it ends. */
static bool check_workers(struct app *a, unsigned link_id, const char *text)
{
	struct link_state state;
	unsigned has, known;

	link_client_state(a->links, link_id, &state);
	has = wire_workers(state.features);
	known = plan_workers_at(&a->plan, &state.server.addr);
	if (has <= known)
		return true;
	if (a->ready) {
		log_error("intercept at %s has %u workers now, %u of them are "
			  "known here: start it again with -p FIRST-LAST",
			  text, has, known);
		return true;
	}
	if (!a->exit_code)
		app_refuse(0,
			   "intercept at %s has %u workers, %u of them are "
			   "known here: say -p FIRST-LAST, its %u ports, "
			   "and -s without a port",
			   text, has, known, has);
	app_end(a, OPTS_EXIT_ENVIRONMENT);
	return false;
}

void app_take_responses(struct app *a)
{
	if (a->response_count)
		replay_on_responses(a->replay, a->responses, a->response_count,
				    clock_us());
	a->response_count = 0;
}

/* It may be another intercept than the one before, with other options. */
static void take_ports(struct app *a, unsigned link_id)
{
	struct link_state state;
	struct split ports;

	link_client_state(a->links, link_id, &state);
	ports = wire_split(state.features);
	replay_set_ports(a->replay, link_id, &ports);
}

static void on_up(void *ctx, unsigned link_id)
{
	struct app *a = ctx;
	char text[ENDPOINT_TEXT_MAX];

	intercept_of(a, link_id, text);
	if (!check_workers(a, link_id, text) ||
	    !app_check_relay(a, link_id, text))
		return;
	log_write(a->ready ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG,
		  "link %u to intercept at %s is up", link_id, text);
	take_ports(a, link_id);
	replay_on_link(a->replay, link_id, true, clock_us());
	if (!a->ready &&
	    link_client_up(a->links) == link_client_count(a->links)) {
		app_choose_path(a);
		app_start(a);
	}
}

static void on_msg(void *ctx, unsigned link_id, const struct wire_msg *msg)
{
	struct app *a = ctx;
	unsigned group = link_id / a->plan.replay.links_per_group;

	if (msg->type == WIRE_RESPONSE) {
		a->responses[a->response_count++] = msg->response;
		if (a->response_count == REPLAY_RESPONSES)
			app_take_responses(a);
		return;
	}
	app_take_responses(a);
	if (msg->type == WIRE_STATUS) {
		a->status[group] = msg->status;
		a->heard[group] = true;
	}
	replay_on_msg(a->replay, link_id, msg, clock_us());
}

static void on_down(void *ctx, unsigned link_id, const char *why)
{
	struct app *a = ctx;
	char text[ENDPOINT_TEXT_MAX];

	app_take_responses(a); /* while their link still stands */
	log_warn("link %u to intercept at %s is lost: %s", link_id,
		 intercept_of(a, link_id, text), why);
	replay_on_link(a->replay, link_id, false, clock_us());
}

static void on_silent(void *ctx, unsigned link_id, bool silent)
{
	struct app *a = ctx;
	char text[ENDPOINT_TEXT_MAX];

	app_take_responses(a);
	log_write(silent ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
		  "link %u to intercept at %s %s", link_id,
		  intercept_of(a, link_id, text),
		  silent ? "does not answer: others take its sessions"
			 : "answers again");
	replay_on_link_silence(a->replay, link_id, silent, clock_us());
}

static void on_failed(void *ctx, unsigned link_id, const char *why)
{
	struct app *a = ctx;
	char text[ENDPOINT_TEXT_MAX];
	struct link_state state;
	const char *what;

	intercept_of(a, link_id, text);
	link_client_state(a->links, link_id, &state);
	what = state.met ? "takes no link" : "cannot be reached";
	if (a->ready) {
		log_warn("intercept at %s %s: %s", text, what, why);
	} else if (!a->exit_code) {
		app_refuse(0, "intercept at %s %s: %s%s", text, what, why,
			   state.met ? ": \"tcpcopy check\" with these options "
				       "says more"
				     : ": start intercept on the target, or "
				       "say where it is with -s and -p");
		app_end(a, OPTS_EXIT_ENVIRONMENT);
	}
}

static int open_dry_target(struct app *a)
{
	const struct wire_msg status = {
		.type = WIRE_STATUS,
		.status = {.queue_bound = true},
	};

	a->dry_target = dry_target_new(&heap_mem, &a->plan.replay.hash_key,
				       a->plan.dry_target_bytes);
	if (!a->dry_target)
		return app_refuse(OPTS_EXIT_ENVIRONMENT, "no memory");
	replay_on_link(a->replay, 0, true, clock_us());
	replay_on_msg(a->replay, 0, &status, clock_us());
	app_start(a);
	return 0;
}

int app_open_links(struct app *a)
{
	const struct link_client_config cfg = {
		.servers = a->plan.intercepts,
		.server_count = a->plan.replay.group_count,
		.links_each = a->plan.replay.links_per_group,
		.instance = random_u64(),
		.max_records = FRAME_RECORDS,
		.key = a->options->key,
	};
	const struct link_client_events events = {.up = on_up,
						  .msg = on_msg,
						  .down = on_down,
						  .silent = on_silent,
						  .failed = on_failed,
						  .ctx = a};

	if (a->options->dry_run)
		return open_dry_target(a);
	if (link_client_open(&a->links, &a->loop, &cfg, &events, &heap_mem))
		return app_refuse(OPTS_EXIT_ENVIRONMENT, "no memory");
	if (a->relay)
		sender_relay_use(a->relay, a->links);
	return 0;
}
