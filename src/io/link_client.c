// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A link is idle (waiting for its next attempt) or has a stream, which
 * connects, or is connected and still without HELLO, or up, or closing. One
 * tick serves all timers: attempts, time limits of connecting, the streams'
 * own, and who is silent. That is a link that does not answer while another of
 * its group does. Nothing is done to it but telling: a link that is only slow
 * answers again, and one that is dead comes to its end as any other.
 */
#include "io/link_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "io/link_stream.h"
#include "io/sockaddr.h"

#define TX_BYTES       LINK_CLIENT_TX_BYTES
#define TICK_MS	       50
#define BACKOFF_MIN_US 100000u
#define BACKOFF_MAX_US 1000000u
#define CONNECT_MAX_US 3000000u

struct link {
	struct link_client *client;
	uint64_t opened_us, retry_us, backoff_us;
	uint64_t times_up, refused;
	struct peer_stats past; /* of connections that are over */
	bool silent;		/* we have said so */
	uv_connect_t connect;
	struct link_stream stream; /* not in use: idle */
};

struct link_client {
	struct link_client_config cfg;
	struct link_client_events events;
	const struct mem *mem;
	uv_loop_t *loop;
	uv_timer_t tick;
	struct endpoint *servers;
	unsigned count;
	bool closed;
	struct link *links;
	uint8_t rx[LINK_RX_BYTES];
};

static unsigned id_of(const struct link *l)
{
	return (unsigned)(l - l->client->links);
}

static bool is_up(const struct link *l)
{
	return l->stream.peer && l->stream.up && !l->stream.closing;
}

/* ---- who is silent ---- */

static void set_silent(struct link *l, bool silent)
{
	struct link_client *lc = l->client;

	if (l->silent == silent)
		return;
	l->silent = silent;
	if (lc->events.silent)
		lc->events.silent(lc->events.ctx, id_of(l), silent);
}

static bool lags(const struct link *l, uint64_t now_us)
{
	const struct link_client *lc = l->client;
	unsigned each = lc->cfg.links_each;
	const struct link *group = &lc->links[id_of(l) / each * each];

	for (unsigned i = 0; is_up(l) && i < each; i++)
		if (is_up(&group[i]) &&
		    peer_lags(l->stream.peer, group[i].stream.peer, now_us))
			return true;
	return false;
}

/* First those that answer, so that there is always one that does. */
static void find_silent(struct link_client *lc, uint64_t now_us)
{
	for (unsigned i = 0; i < lc->count; i++)
		if (!lags(&lc->links[i], now_us))
			set_silent(&lc->links[i], false);
	for (unsigned i = 0; i < lc->count; i++)
		if (lags(&lc->links[i], now_us))
			set_silent(&lc->links[i], true);
}

/* ---- what becomes of a stream ---- */

static void on_up(struct link_stream *s)
{
	struct link *l = s->owner;
	struct link_client *lc = l->client;

	l->times_up++;
	lc->events.up(lc->events.ctx, id_of(l));
}

static void on_msg(struct link_stream *s, const struct wire_msg *msg)
{
	struct link *l = s->owner;
	struct link_client *lc = l->client;

	set_silent(l, false); /* before what it says */
	lc->events.msg(lc->events.ctx, id_of(l), msg);
}

static void plan_retry(struct link *l, bool was_up)
{
	if (was_up || !l->backoff_us)
		l->backoff_us = BACKOFF_MIN_US;
	l->retry_us = clock_us() + l->backoff_us;
	l->backoff_us *= 2;
	if (l->backoff_us > BACKOFF_MAX_US)
		l->backoff_us = BACKOFF_MAX_US;
}

/* It is we who want no more of it. */
static bool is_refusal(enum link_cause cause)
{
	switch (cause) {
	case LINK_STRANGE:
	case LINK_OTHER_VERSION:
	case LINK_WRONG_KEY:
	case LINK_REPLAYED:
	case LINK_ALTERED:
		return true;
	default:
		return false;
	}
}

static void on_end(struct link_stream *s, enum link_cause cause,
		   const char *why)
{
	struct link *l = s->owner;
	struct link_client *lc = l->client;

	l->refused += is_refusal(cause);
	link_stats_add(&l->past, peer_stats(s->peer));
	plan_retry(l, s->up);
	if (lc->closed)
		return;
	l->silent = false;
	find_silent(lc, clock_us());
	if (s->up)
		lc->events.down(lc->events.ctx, id_of(l), why);
	else
		lc->events.failed(lc->events.ctx, id_of(l), why);
}

static const struct link_stream_events stream_events = {
	.up = on_up,
	.msg = on_msg,
	.end = on_end,
	.eof_text = "closed by intercept",
	.eof_early_text = "closed without an answer: the --key-file is not the "
			  "same on both sides, our address is not allowed "
			  "there (--allow), it has too many links from here, "
			  "or it is another program; its log says which",
};

/* ---- writing ---- */

void link_client_send(struct link_client *lc, unsigned link_id,
		      const struct wire_msg *msg)
{
	struct link *l = &lc->links[link_id];

	if (is_up(l))
		peer_send(l->stream.peer, msg);
}

size_t link_client_room(const struct link_client *lc, unsigned link_id)
{
	const struct link *l = &lc->links[link_id];

	return is_up(l) ? peer_relay_room(l->stream.peer) : 0;
}

uint8_t *link_client_slot(struct link_client *lc, unsigned link_id, size_t len)
{
	struct link *l = &lc->links[link_id];

	return is_up(l) ? peer_relay_slot(l->stream.peer, len) : NULL;
}

void link_client_flush(struct link_client *lc)
{
	for (unsigned i = 0; i < lc->count; i++)
		if (is_up(&lc->links[i]))
			link_stream_settle(&lc->links[i].stream);
}

bool link_client_takes(const struct link_client *lc, size_t bytes)
{
	for (unsigned i = 0; i < lc->count; i++) {
		const struct link *l = &lc->links[i];

		if (is_up(l) && !l->silent &&
		    peer_control_room(l->stream.peer) < bytes)
			return false;
	}
	return true;
}

bool link_client_pending(const struct link_client *lc)
{
	for (unsigned i = 0; i < lc->count; i++)
		if (is_up(&lc->links[i]) &&
		    link_stream_pending(&lc->links[i].stream))
			return true;
	return false;
}

/* ---- connecting ---- */

static void on_connected(uv_connect_t *req, int status)
{
	struct link *l = req->data;

	if (l->stream.closing)
		return;
	if (status < 0)
		link_stream_end(&l->stream, LINK_ENDED, uv_strerror(status));
	else
		link_stream_start(&l->stream);
}

static void link_connect(struct link *l, uint64_t now_us)
{
	struct link_client *lc = l->client;
	const struct peer_config cfg = {
		.role = PEER_CLIENT,
		.instance = lc->cfg.instance,
		.features = WIRE_FEATURE_LOCAL_ACK,
		.max_records = lc->cfg.max_records,
		.tx_bytes = TX_BYTES,
	};
	struct sockaddr_storage sa;
	int rc;

	if (!link_stream_open(&l->stream, lc->loop, &cfg, now_us)) {
		plan_retry(l, false);
		return;
	}
	l->opened_us = now_us;
	l->connect.data = l;
	sockaddr_from_endpoint(&sa,
			       &lc->servers[id_of(l) / lc->cfg.links_each]);
	rc = uv_tcp_connect(&l->connect, &l->stream.tcp,
			    (const struct sockaddr *)&sa, on_connected);
	if (rc < 0)
		link_stream_end(&l->stream, LINK_ENDED, uv_strerror(rc));
}

static void tick_link(struct link *l, uint64_t now_us)
{
	struct link_stream *s = &l->stream;

	if (!s->peer) {
		if (now_us >= l->retry_us)
			link_connect(l, now_us);
	} else if (!s->up && now_us - l->opened_us >= CONNECT_MAX_US) {
		link_stream_end(s, LINK_SILENT,
				s->started ? "no answer in time"
					   : "connection timed out");
	} else if (s->started) {
		link_stream_on_tick(s, now_us);
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct link_client *lc = timer->data;
	uint64_t now_us = clock_us();

	for (unsigned i = 0; i < lc->count; i++)
		tick_link(&lc->links[i], now_us);
	find_silent(lc, now_us);
}

/* ---- life ---- */

static void link_init(struct link *l, struct link_client *lc)
{
	l->client = lc;
	l->stream.events = &stream_events;
	l->stream.mem = lc->mem;
	l->stream.owner = l;
	l->stream.rx = lc->rx;
	l->stream.key = lc->cfg.key;
}

int link_client_open(struct link_client **out, uv_loop_t *loop,
		     const struct link_client_config *cfg,
		     const struct link_client_events *events,
		     const struct mem *mem)
{
	struct link_client *lc = calloc(1, sizeof(*lc));

	if (!lc)
		return -ENOMEM;
	lc->cfg = *cfg;
	lc->events = *events;
	lc->mem = mem;
	lc->loop = loop;
	lc->count = cfg->server_count * cfg->links_each;
	lc->servers = calloc(cfg->server_count, sizeof(*lc->servers));
	lc->links = calloc(lc->count, sizeof(*lc->links));
	if (!lc->servers || !lc->links) {
		link_client_free(lc);
		return -ENOMEM;
	}
	memcpy(lc->servers, cfg->servers,
	       cfg->server_count * sizeof(*lc->servers));
	for (unsigned i = 0; i < lc->count; i++)
		link_init(&lc->links[i], lc);
	uv_timer_init(loop, &lc->tick);
	lc->tick.data = lc;
	uv_timer_start(&lc->tick, on_tick, 0, TICK_MS);
	*out = lc;
	return 0;
}

void link_client_close(struct link_client *lc)
{
	lc->closed = true;
	uv_close((uv_handle_t *)&lc->tick, NULL);
	for (unsigned i = 0; i < lc->count; i++)
		if (lc->links[i].stream.peer)
			link_stream_end(&lc->links[i].stream, LINK_ENDED, "");
}

void link_client_free(struct link_client *lc)
{
	free(lc->servers);
	free(lc->links);
	free(lc);
}

unsigned link_client_count(const struct link_client *lc)
{
	return lc->count;
}

unsigned link_client_up(const struct link_client *lc)
{
	unsigned up = 0;

	for (unsigned i = 0; i < lc->count; i++)
		up += is_up(&lc->links[i]);
	return up;
}

void link_client_state(const struct link_client *lc, unsigned link_id,
		       struct link_state *out)
{
	const struct link *l = &lc->links[link_id];

	out->group = link_id / lc->cfg.links_each;
	out->number = link_id % lc->cfg.links_each;
	out->server = lc->servers[out->group];
	out->up = is_up(l);
	out->met = l->stream.started;
	out->features = out->up ? peer_remote(l->stream.peer)->features : 0;
	out->times_up = l->times_up;
	out->refused = l->refused;
	out->stats = l->past;
	if (l->stream.peer && !l->stream.closing)
		link_stats_add(&out->stats, peer_stats(l->stream.peer));
}
