// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A slot is free, open (a connection whose HELLO is still out), up, or closing
 * (until libuv has let go of its handles). Its index is the link's id.
 *
 * Strangers must cost little: at most PENDING_MAX slots are open, and the
 * oldest open one makes room for the next, since ours say HELLO at once. When
 * no slot is free, connections wait in the listener's backlog.
 *
 * Nothing waits for a slow link. Output is written directly as far as the
 * kernel takes it; when it does not, one chunk is handed to libuv, whose
 * completion tells when to go on. What does not fit meanwhile, the peer sheds.
 * A faulty link gets its last bytes (to another version: our HELLO) if the
 * kernel takes them at once, and is closed.
 */
#include "io/link_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "io/sockaddr.h"

#define PENDING_MAX 64
#define TX_BYTES    (1u << 20)
#define CHUNK_BYTES 65536u
#define RX_BYTES    65536u
#define BACKLOG	    128
#define TICK_MS	    250

struct link {
	struct link_server *server;
	struct peer *peer; /* NULL: the slot is free */
	bool up, closing, writing;
	bool dirty;	/* listed in server->dirty, even after the link's end */
	uint64_t order; /* of arrival */
	struct endpoint remote;
	uv_tcp_t tcp;
	uv_write_t write;
	char chunk[CHUNK_BYTES];
};

struct link_server {
	struct link_server_config cfg;
	struct link_server_events events;
	const struct mem *mem;
	uv_loop_t *loop;
	uv_tcp_t listener;
	uv_timer_t tick;
	bool waiting; /* a connection for which there was no slot */
	bool closed;
	uint64_t arrivals, strangers, ended;
	struct peer_stats ended_stats;
	unsigned pending;
	unsigned *dirty; /* ids of links with something to write */
	unsigned dirty_count;
	struct link *links;
	char rx[RX_BYTES];
};

static unsigned id_of(const struct link *l)
{
	return (unsigned)(l - l->server->links);
}

/* ---- closing ---- */

static void accept_waiting(struct link_server *ls);

static void on_link_closed(uv_handle_t *handle)
{
	struct link *l = handle->data;
	struct link_server *ls = l->server;

	peer_free(l->peer, ls->mem);
	l->peer = NULL;
	if (ls->waiting && !ls->closed)
		accept_waiting(ls);
}

static void add_stats(struct peer_stats *sum, const struct peer_stats *s)
{
	sum->records_in += s->records_in;
	sum->records_out += s->records_out;
	sum->records_shed += s->records_shed;
	sum->bytes_in += s->bytes_in;
	sum->bytes_out += s->bytes_out;
}

static void end_link(struct link *l, const char *why)
{
	struct link_server *ls = l->server;

	ls->events.down(ls->events.ctx, id_of(l), why);
	l->up = false;
	ls->ended++;
	add_stats(&ls->ended_stats, peer_stats(l->peer));
}

static void end_stranger(struct link *l, const char *why)
{
	struct link_server *ls = l->server;

	ls->pending--;
	ls->strangers++;
	ls->events.stranger(ls->events.ctx, &l->remote, why);
}

static void link_close(struct link *l, const char *why)
{
	if (l->closing)
		return;
	l->closing = true;
	uv_close((uv_handle_t *)&l->tcp, on_link_closed);
	if (l->server->closed)
		return;
	if (l->up)
		end_link(l, why);
	else
		end_stranger(l, why);
}

/* ---- writing ---- */

static void link_flush(struct link *l);

static void on_written(uv_write_t *req, int status)
{
	struct link *l = req->data;

	l->writing = false;
	if (l->closing)
		return;
	if (status < 0)
		link_close(l, uv_strerror(status));
	else
		link_flush(l);
	l->server->events.done(l->server->events.ctx);
}

/* The kernel's buffer is full: libuv waits for it with a copy of the next
 * bytes, for the peer's own may move. */
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

/* Bytes that the kernel took, or a negative error. */
static int write_now(struct link *l, const uint8_t *bytes, size_t len)
{
	uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)len);

	return uv_try_write((uv_stream_t *)&l->tcp, &buf, 1);
}

static void link_flush(struct link *l)
{
	const uint8_t *bytes;
	size_t len;
	int n;

	while (!l->writing && !l->closing &&
	       (len = peer_tx_peek(l->peer, &bytes)) > 0) {
		n = write_now(l, bytes, len);
		if (n >= 0)
			peer_tx_advance(l->peer, (size_t)n);
		else if (n == UV_EAGAIN)
			write_later(l, bytes, len);
		else
			link_close(l, uv_strerror(n));
	}
}

static void mark_dirty(struct link *l)
{
	struct link_server *ls = l->server;

	if (l->dirty)
		return;
	l->dirty = true;
	ls->dirty[ls->dirty_count++] = id_of(l);
}

/* Writes what is there, and ends the link if its peer says so. */
static void link_settle(struct link *l)
{
	enum peer_fault fault = peer_fault(l->peer);

	link_flush(l);
	if (fault != PEER_FINE)
		link_close(l, peer_fault_text(fault));
}

void link_server_flush(struct link_server *ls)
{
	for (unsigned i = 0; i < ls->dirty_count; i++) {
		struct link *l = &ls->links[ls->dirty[i]];

		l->dirty = false;
		if (l->peer && !l->closing)
			link_settle(l);
	}
	ls->dirty_count = 0;
}

void link_server_send(struct link_server *ls, unsigned link_id,
		      const struct wire_msg *msg)
{
	struct link *l = &ls->links[link_id];

	if (!l->up || l->closing)
		return;
	peer_send(l->peer, msg);
	mark_dirty(l);
}

void link_server_broadcast(struct link_server *ls, const struct wire_msg *msg)
{
	for (unsigned i = 0; i < ls->cfg.links_max; i++)
		link_server_send(ls, i, msg);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct link *l = handle->data;

	(void)suggested;
	*buf = uv_buf_init(l->server->rx, RX_BYTES);
}

static void note_up(struct link *l)
{
	struct link_server *ls = l->server;

	if (l->up || !peer_is_up(l->peer))
		return;
	l->up = true;
	ls->pending--;
	ls->events.up(ls->events.ctx, id_of(l));
}

static void on_bytes(struct link *l, const uint8_t *bytes, size_t len)
{
	struct link_server *ls = l->server;
	struct wire_msg msg;
	bool more;

	peer_on_bytes(l->peer, bytes, len, clock_us());
	do {
		more = peer_next_msg(l->peer, &msg);
		note_up(l);
		if (more && l->up)
			ls->events.msg(ls->events.ctx, id_of(l), &msg);
	} while (more && !l->closing);
	link_settle(l);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct link *l = stream->data;

	if (n == 0 || l->closing)
		return;
	if (n < 0)
		link_close(l, n == UV_EOF ? "closed by the other side"
					  : uv_strerror((int)n));
	else
		on_bytes(l, (const uint8_t *)buf->base, (size_t)n);
	l->server->events.done(l->server->events.ctx);
}

/* ---- arriving ---- */

static struct link *free_slot(struct link_server *ls)
{
	for (unsigned i = 0; i < ls->cfg.links_max; i++)
		if (!ls->links[i].peer)
			return &ls->links[i];
	return NULL;
}

static void close_oldest_pending(struct link_server *ls)
{
	struct link *oldest = NULL;

	for (unsigned i = 0; i < ls->cfg.links_max; i++) {
		struct link *l = &ls->links[i];

		if (!l->peer || l->up || l->closing)
			continue;
		if (!oldest || l->order < oldest->order)
			oldest = l;
	}
	if (oldest)
		link_close(oldest, "too many that say nothing");
}

static struct endpoint remote_of(const uv_tcp_t *tcp)
{
	struct sockaddr_storage sa = {0};
	int len = sizeof(sa);

	uv_tcp_getpeername(tcp, (struct sockaddr *)&sa, &len);
	return sockaddr_to_endpoint(&sa);
}

static bool link_init(struct link *l, struct link_server *ls)
{
	struct peer_config cfg = {
		.role = PEER_SERVER,
		.instance = ls->cfg.instance,
		.max_records = ls->cfg.max_records,
		.tx_bytes = TX_BYTES,
	};
	struct peer *peer = peer_new(&cfg, ls->mem, clock_us());

	if (!peer)
		return false;
	l->server = ls;
	l->peer = peer;
	l->up = l->closing = l->writing = false;
	l->order = ls->arrivals++;
	l->tcp.data = l;
	return true;
}

static void link_accept(struct link *l)
{
	struct link_server *ls = l->server;
	int rc;

	ls->pending++;
	uv_tcp_init(ls->loop, &l->tcp);
	rc = uv_accept((uv_stream_t *)&ls->listener, (uv_stream_t *)&l->tcp);
	if (rc == 0) {
		l->remote = remote_of(&l->tcp);
		uv_tcp_nodelay(&l->tcp, 1);
		rc = uv_read_start((uv_stream_t *)&l->tcp, on_alloc, on_read);
	}
	if (rc < 0)
		link_close(l, uv_strerror(rc));
	else if (ls->pending > PENDING_MAX)
		close_oldest_pending(ls);
}

static void accept_waiting(struct link_server *ls)
{
	struct link *l = free_slot(ls);

	ls->waiting = !l || !link_init(l, ls);
	if (!ls->waiting)
		link_accept(l);
	else if (!l)
		close_oldest_pending(ls);
}

static void on_connection(uv_stream_t *stream, int status)
{
	if (status == 0)
		accept_waiting(stream->data);
}

/* ---- time ---- */

static void on_tick(uv_timer_t *timer)
{
	struct link_server *ls = timer->data;
	uint64_t now = clock_us();

	for (unsigned i = 0; i < ls->cfg.links_max; i++) {
		struct link *l = &ls->links[i];

		if (!l->peer || l->closing || peer_deadline_us(l->peer) > now)
			continue;
		peer_on_timer(l->peer, now);
		link_settle(l);
	}
	if (ls->waiting)
		accept_waiting(ls);
	ls->events.done(ls->events.ctx);
}

/* ---- life ---- */

static int bind_to(struct link_server *ls, const struct endpoint *at)
{
	struct sockaddr_storage sa;

	sockaddr_from_endpoint(&sa, at);
	return uv_tcp_bind(&ls->listener, (const struct sockaddr *)&sa, 0);
}

static int listen_on(struct link_server *ls)
{
	static const uint8_t any_v4[4];
	struct endpoint at = {.addr = ls->cfg.address, .port = ls->cfg.port};
	int rc = bind_to(ls, &at);

	/* All addresses on a machine without IPv6. */
	if (rc < 0 && addr_is_none(&at.addr)) {
		at.addr = addr_from_v4(any_v4);
		rc = bind_to(ls, &at);
	}
	if (rc < 0)
		return rc;
	return uv_listen((uv_stream_t *)&ls->listener, BACKLOG, on_connection);
}

int link_server_open(struct link_server **out, uv_loop_t *loop,
		     const struct link_server_config *cfg,
		     const struct link_server_events *events,
		     const struct mem *mem)
{
	struct link_server *ls = calloc(1, sizeof(*ls));

	*out = ls;
	if (!ls)
		return -ENOMEM;
	ls->cfg = *cfg;
	ls->events = *events;
	ls->mem = mem;
	ls->loop = loop;
	ls->links = calloc(cfg->links_max, sizeof(*ls->links));
	ls->dirty = calloc(cfg->links_max, sizeof(*ls->dirty));
	uv_tcp_init(loop, &ls->listener);
	uv_timer_init(loop, &ls->tick);
	ls->listener.data = ls;
	ls->tick.data = ls;
	if (!ls->links || !ls->dirty)
		return -ENOMEM;
	uv_timer_start(&ls->tick, on_tick, TICK_MS, TICK_MS);
	return listen_on(ls);
}

void link_server_close(struct link_server *ls)
{
	ls->closed = true;
	uv_close((uv_handle_t *)&ls->listener, NULL);
	uv_close((uv_handle_t *)&ls->tick, NULL);
	for (unsigned i = 0; ls->links && i < ls->cfg.links_max; i++)
		if (ls->links[i].peer)
			link_close(&ls->links[i], "");
}

void link_server_free(struct link_server *ls)
{
	free(ls->links);
	free(ls->dirty);
	free(ls);
}

bool link_server_info(const struct link_server *ls, unsigned link_id,
		      struct link_info *out)
{
	const struct link *l = &ls->links[link_id];

	if (!l->up)
		return false;
	*out = (struct link_info){
		.remote = l->remote,
		.instance = peer_remote(l->peer)->instance,
		.stats = *peer_stats(l->peer),
	};
	return true;
}

uint64_t link_server_strangers(const struct link_server *ls)
{
	return ls->strangers;
}

uint64_t link_server_ended(const struct link_server *ls, struct peer_stats *sum)
{
	*sum = ls->ended_stats;
	return ls->ended;
}
