// SPDX-License-Identifier: BSD-2-Clause
/* The links: who may have one, and what comes over them. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/random.h"
#include "intercept/app.h"

#define SUBNETS_TEXT_MAX 400
/* Lines in a second: nobody outside may fill the log. */
#define STRANGERS_SAID_MAX 10

static void on_link_up(void *ctx, unsigned link_id)
{
	struct app *a = ctx;
	char remote[ENDPOINT_TEXT_MAX];
	struct link_info info;
	struct wire_msg msg;

	if (!link_server_info(a->server, link_id, &info))
		return;
	a->foreign_said[link_id] = a->unguarded_said[link_id] = false;
	if (!divert_on_link_up(a->divert, link_id, info.instance, clock_us())) {
		a->links_excess++;
		link_server_end(a->server, link_id,
				"more tcpcopies have routes here than there "
				"is room for");
		return;
	}
	if (a->inject && info.features & WIRE_FEATURE_LOCAL_ACK)
		divert_allow_local_acks(a->divert, link_id);
	app_fill_status(a, &msg);
	link_server_send(a->server, link_id, &msg);
	log_info("link %u up: %s, instance %016" PRIx64, link_id,
		 endpoint_text(&info.remote, remote), info.instance);
}

/* No answer: with several intercepts, another one has that target. */
static void refuse_foreign(struct app *a, unsigned link_id,
			   const struct wire_route *route)
{
	char text[ENDPOINT_TEXT_MAX];

	a->routes_foreign++;
	if (a->foreign_said[link_id])
		return;
	a->foreign_said[link_id] = true;
	log_info("link %u registers sessions with %s, which is not this host: "
		 "not taken",
		 link_id, endpoint_text(&route->target, text));
}

/* Its answers would get out to the clients. */
static void refuse_unguarded(struct app *a, unsigned link_id,
			     const struct wire_route *route)
{
	char text[ENDPOINT_TEXT_MAX];

	a->routes_unguarded++;
	if (a->unguarded_said[link_id])
		return;
	a->unguarded_said[link_id] = true;
	log_warn("link %u registers sessions with %s, whose port is not "
		 "guarded: not taken; add %u to --guard",
		 link_id, endpoint_text(&route->target, text),
		 route->target.port);
}

static void add_route(struct app *a, unsigned link_id,
		      const struct wire_msg *msg, uint64_t now_us)
{
	const struct endpoint *target = &msg->route.target;

	if (!link_access_is_own(a->access, &target->addr, now_us))
		refuse_foreign(a, link_id, &msg->route);
	else if (!app_guard_has(&a->guard, target->port))
		refuse_unguarded(a, link_id, &msg->route);
	else
		divert_on_msg(a->divert, link_id, msg, now_us);
}

static void on_probe(struct app *a, unsigned link_id,
		     const struct wire_probe *probe)
{
	bool own =
		link_access_is_own(a->access, &probe->target.addr, clock_us());
	struct wire_msg msg = app_probe_answer(&a->probe, link_id, probe, own);

	link_server_send(a->server, link_id, &msg);
}

static void on_link_msg(void *ctx, unsigned link_id, const struct wire_msg *msg)
{
	struct app *a = ctx;
	uint64_t now_us = clock_us();

	if (msg->type == WIRE_RELAY) {
		app_relay(a, link_id, &msg->relay, now_us);
		return; /* it makes no messages */
	}
	if (msg->type == WIRE_PROBE)
		on_probe(a, link_id, &msg->probe);
	else if (msg->type == WIRE_ROUTE_ADD)
		add_route(a, link_id, msg, now_us);
	else
		divert_on_msg(a->divert, link_id, msg, now_us);
	if (++a->since_pull >= DIVERT_BATCH)
		app_pull(a);
}

static void on_link_down(void *ctx, unsigned link_id, const char *why)
{
	struct app *a = ctx;

	app_probe_on_link_down(&a->probe, link_id);
	divert_on_link_down(a->divert, link_id, clock_us());
	log_info("link %u down: %s", link_id, why);
}

static bool may_connect(void *ctx, const struct ip_addr *remote)
{
	struct app *a = ctx;

	return a->options->key ||
	       link_access_may_connect(a->access, remote, clock_us());
}

static void on_stranger(void *ctx, const struct endpoint *remote,
			const char *why)
{
	char addr[ADDR_TEXT_MAX];
	struct app *a = ctx;

	if (a->strangers_said++ >= STRANGERS_SAID_MAX)
		return;
	log_info("connection from %s ended: %s", addr_text(&remote->addr, addr),
		 why);
}

static void on_links_done(void *ctx)
{
	app_settle(ctx);
}

static int open_server(struct app *a)
{
	struct link_server_config cfg = {
		.address = a->options->address,
		.port = a->options->port,
		.instance = random_u64(),
		.features =
			(a->inject ? WIRE_FEATURE_RELAY | WIRE_FEATURE_LOCAL_ACK
				   : 0) |
			(app_guard_by_port(&a->guard) ? WIRE_FEATURE_BY_PORT
						      : 0) |
			wire_workers_feature(a->options->workers) |
			wire_worker_feature(a->options->worker),
		.max_records = a->options->records,
		.links_max = APP_LINKS_MAX,
		.key = a->options->key,
	};
	struct link_server_events events = {
		.up = on_link_up,
		.msg = on_link_msg,
		.down = on_link_down,
		.may_connect = may_connect,
		.stranger = on_stranger,
		.done = on_links_done,
		.ctx = a,
	};
	struct endpoint at = {.addr = cfg.address, .port = cfg.port};
	char text[ENDPOINT_TEXT_MAX];
	int rc = link_server_open(&a->server, &a->loop, &cfg, &events,
				  &heap_mem);

	if (rc == 0)
		return 0;
	return app_refuse("listening on %s: %s; choose another -p or -b",
			  endpoint_text(&at, text), strerror(-rc));
}

static int open_access(struct app *a)
{
	int rc = link_access_open(&a->access, a->options->allow.items,
				  a->options->allow.count, clock_us());

	return rc ? app_refuse("this host's addresses: %s", strerror(-rc)) : 0;
}

int app_open_links(struct app *a)
{
	int rc = open_access(a);

	return rc ? rc : open_server(a);
}

void app_free_links(struct app *a)
{
	if (a->server)
		link_server_free(a->server);
	if (a->access)
		link_access_free(a->access);
}

void app_say_access(const struct app *a)
{
	char text[SUBNETS_TEXT_MAX];

	if (a->options->key) {
		log_info("with a key: links only from who has it, encrypted");
		return;
	}
	link_access_text(a->access, text, sizeof(text));
	log_info("without a key: links only from this host and from %s",
		 text[0] ? text : "no subnet");
}
