// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A link is idle (waiting for its next attempt), open (a socket that connects,
 * or is connected and still without HELLO), up, or closing (until libuv has let
 * go of the socket). It gets a peer with each connection. One tick serves all
 * timers: attempts, time limits of connecting, the peers' own.
 *
 * Output is written directly as far as the kernel takes it; when it does not,
 * one chunk is handed to libuv, whose completion tells when to go on.
 */
#include "io/link_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "io/sockaddr.h"

#define TX_BYTES       LINK_CLIENT_TX_BYTES
#define CHUNK_BYTES    65536u
#define RX_BYTES       65536u
#define TICK_MS	       50
#define BACKOFF_MIN_US 100000u
#define BACKOFF_MAX_US 1000000u
#define CONNECT_MAX_US 3000000u

enum link_phase { LINK_IDLE, LINK_OPEN, LINK_UP, LINK_CLOSING };

struct link {
	struct link_client *client;
	enum link_phase phase;
	struct peer *peer; /* NULL: idle */
	bool connected, writing;
	uint64_t opened_us, retry_us, backoff_us;
	uint64_t times_up;
	struct peer_stats past; /* of connections that are over */
	uv_tcp_t tcp;
	uv_connect_t connect;
	uv_write_t write;
	char chunk[CHUNK_BYTES];
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
	char rx[RX_BYTES];
};

static unsigned id_of(const struct link *l)
{
	return (unsigned)(l - l->client->links);
}

/* ---- closing ---- */

static void add_stats(struct peer_stats *sum, const struct peer_stats *s)
{
	sum->records_in += s->records_in;
	sum->records_out += s->records_out;
	sum->records_shed += s->records_shed;
	sum->bytes_in += s->bytes_in;
	sum->bytes_out += s->bytes_out;
}

static void drop_peer(struct link *l)
{
	add_stats(&l->past, peer_stats(l->peer));
	peer_free(l->peer, l->client->mem);
	l->peer = NULL;
}

static void on_closed(uv_handle_t *handle)
{
	struct link *l = handle->data;

	drop_peer(l);
	l->phase = LINK_IDLE;
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

static void link_close(struct link *l, const char *why)
{
	struct link_client *lc = l->client;
	bool was_up = l->phase == LINK_UP;

	if (l->phase == LINK_IDLE || l->phase == LINK_CLOSING)
		return;
	l->phase = LINK_CLOSING;
	plan_retry(l, was_up);
	uv_close((uv_handle_t *)&l->tcp, on_closed);
	if (lc->closed)
		return;
	if (was_up)
		lc->events.down(lc->events.ctx, id_of(l), why);
	else
		lc->events.failed(lc->events.ctx, id_of(l), why);
}

/* ---- writing ---- */

static void link_flush(struct link *l);

static void on_written(uv_write_t *req, int status)
{
	struct link *l = req->data;

	l->writing = false;
	if (l->phase == LINK_CLOSING)
		return;
	if (status < 0)
		link_close(l, uv_strerror(status));
	else
		link_flush(l);
}

/* With a copy of the next bytes, for the peer's own may move. */
static void write_later(struct link *l, const uint8_t *bytes, size_t len)
{
	uv_buf_t buf;
	int rc;

	if (len > CHUNK_BYTES)
		len = CHUNK_BYTES;
	memcpy(l->chunk, bytes, len);
	buf = uv_buf_init(l->chunk, (unsigned)len);
	l->write.data = l;
	rc = uv_write(&l->write, (uv_stream_t *)&l->tcp, &buf, 1, on_written);
	if (rc < 0) {
		link_close(l, uv_strerror(rc));
		return;
	}
	l->writing = true;
	peer_tx_advance(l->peer, len);
}

static void link_flush(struct link *l)
{
	const uint8_t *bytes;
	size_t len;

	while (l->connected && !l->writing && l->phase != LINK_CLOSING &&
	       (len = peer_tx_peek(l->peer, &bytes)) > 0) {
		uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)len);
		int n = uv_try_write((uv_stream_t *)&l->tcp, &buf, 1);

		if (n >= 0)
			peer_tx_advance(l->peer, (size_t)n);
		else if (n == UV_EAGAIN)
			write_later(l, bytes, len);
		else
			link_close(l, uv_strerror(n));
	}
}

/* Writes what is there, and ends the link if its peer says so. */
static void link_settle(struct link *l)
{
	enum peer_fault fault = peer_fault(l->peer);

	link_flush(l);
	if (fault != PEER_FINE)
		link_close(l, peer_fault_text(fault));
}

void link_client_send(struct link_client *lc, unsigned link_id,
		      const struct wire_msg *msg)
{
	struct link *l = &lc->links[link_id];

	if (l->phase == LINK_UP)
		peer_send(l->peer, msg);
}

void link_client_flush(struct link_client *lc)
{
	for (unsigned i = 0; i < lc->count; i++)
		if (lc->links[i].phase == LINK_UP)
			link_settle(&lc->links[i]);
}

bool link_client_pending(const struct link_client *lc)
{
	const uint8_t *bytes;

	for (unsigned i = 0; i < lc->count; i++) {
		const struct link *l = &lc->links[i];

		if (l->phase == LINK_UP &&
		    (l->writing || peer_tx_peek(l->peer, &bytes)))
			return true;
	}
	return false;
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct link *l = handle->data;

	(void)suggested;
	*buf = uv_buf_init(l->client->rx, RX_BYTES);
}

static void note_up(struct link *l)
{
	struct link_client *lc = l->client;

	if (l->phase != LINK_OPEN || !peer_is_up(l->peer))
		return;
	l->phase = LINK_UP;
	l->times_up++;
	lc->events.up(lc->events.ctx, id_of(l));
}

static void on_bytes(struct link *l, const uint8_t *bytes, size_t len)
{
	struct link_client *lc = l->client;
	struct wire_msg msg;
	bool more;

	peer_on_bytes(l->peer, bytes, len, clock_us());
	do {
		more = peer_next_msg(l->peer, &msg);
		note_up(l);
		if (more && l->phase == LINK_UP)
			lc->events.msg(lc->events.ctx, id_of(l), &msg);
	} while (more && l->phase != LINK_CLOSING);
	if (l->phase != LINK_CLOSING)
		link_settle(l);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct link *l = stream->data;

	if (l->phase == LINK_CLOSING || n == 0)
		return;
	if (n == UV_EOF)
		link_close(l, l->phase == LINK_UP
				      ? "closed by intercept"
				      : "closed without an answer: intercept "
					"of another kind, or too many links");
	else if (n < 0)
		link_close(l, uv_strerror((int)n));
	else
		on_bytes(l, (const uint8_t *)buf->base, (size_t)n);
}

/* ---- connecting ---- */

static void on_connected(uv_connect_t *req, int status)
{
	struct link *l = req->data;

	if (l->phase == LINK_CLOSING)
		return;
	if (status < 0) {
		link_close(l, uv_strerror(status));
		return;
	}
	l->connected = true;
	uv_tcp_nodelay(&l->tcp, 1);
	uv_read_start((uv_stream_t *)&l->tcp, on_alloc, on_read);
	link_settle(l);
}

static bool make_peer(struct link *l, uint64_t now_us)
{
	const struct link_client *lc = l->client;
	const struct peer_config cfg = {
		.role = PEER_CLIENT,
		.instance = lc->cfg.instance,
		.max_records = lc->cfg.max_records,
		.tx_bytes = TX_BYTES,
	};

	l->peer = peer_new(&cfg, lc->mem, now_us);
	return l->peer;
}

static void link_connect(struct link *l, uint64_t now_us)
{
	struct link_client *lc = l->client;
	struct sockaddr_storage sa;
	int rc;

	if (!make_peer(l, now_us)) {
		plan_retry(l, false);
		return;
	}
	l->phase = LINK_OPEN;
	l->opened_us = now_us;
	l->connected = false;
	l->writing = false;
	uv_tcp_init(lc->loop, &l->tcp);
	l->tcp.data = l;
	l->connect.data = l;
	sockaddr_from_endpoint(&sa,
			       &lc->servers[id_of(l) / lc->cfg.links_each]);
	rc = uv_tcp_connect(&l->connect, &l->tcp, (const struct sockaddr *)&sa,
			    on_connected);
	if (rc < 0)
		link_close(l, uv_strerror(rc));
}

static void tick_link(struct link *l, uint64_t now_us)
{
	switch (l->phase) {
	case LINK_IDLE:
		if (now_us >= l->retry_us)
			link_connect(l, now_us);
		break;
	case LINK_OPEN:
		if (now_us - l->opened_us >= CONNECT_MAX_US) {
			link_close(l, l->connected ? "no answer in time"
						   : "connection timed out");
			break;
		}
		if (!l->connected)
			break;
		__attribute__((fallthrough));
	case LINK_UP:
		if (now_us >= peer_deadline_us(l->peer)) {
			peer_on_timer(l->peer, now_us);
			link_settle(l);
		}
		break;
	case LINK_CLOSING:
		break;
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct link_client *lc = timer->data;
	uint64_t now_us = clock_us();

	for (unsigned i = 0; i < lc->count; i++)
		tick_link(&lc->links[i], now_us);
}

/* ---- life ---- */

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
		lc->links[i].client = lc;
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
		link_close(&lc->links[i], "");
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
		up += lc->links[i].phase == LINK_UP;
	return up;
}

void link_client_state(const struct link_client *lc, unsigned link_id,
		       struct link_state *out)
{
	const struct link *l = &lc->links[link_id];

	out->group = link_id / lc->cfg.links_each;
	out->number = link_id % lc->cfg.links_each;
	out->server = lc->servers[out->group];
	out->up = l->phase == LINK_UP;
	out->times_up = l->times_up;
	out->stats = l->past;
	if (l->peer)
		add_stats(&out->stats, peer_stats(l->peer));
}
