// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A slot is free, or has a stream: open (a connection whose HELLO is still
 * out), up, or closing. Its index is the link's id.
 *
 * Strangers must cost little, and ours say HELLO at once: a few slots may be
 * open. Over that, the oldest of the address that has most of them makes room,
 * so that who connects in masses is his own victim; but everybody has GRACE_US,
 * as long as they are not very many, since ours come in bursts. When no slot is
 * free, connections wait in the listener's backlog.
 */
#include "io/link_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "io/link_stream.h"
#include "io/sockaddr.h"

#define PENDING_MAX   16
#define PENDING_BURST 64
#define GRACE_US      100000u
#define TX_BYTES      (1u << 20)
#define SEEN_MIN      32768u /* handshakes that are known again */
#define BACKLOG	      128
#define TICK_MS	      250

struct link {
	struct link_server *server;
	bool dirty; /* listed in server->dirty, even after the link's end */
	uint64_t since_us;
	struct endpoint remote;
	struct link_stream stream; /* not in use: the slot is free */
};

struct link_server {
	struct link_server_config cfg;
	struct link_server_events events;
	const struct mem *mem;
	uv_loop_t *loop;
	uv_tcp_t listener;
	uv_timer_t tick;
	struct link_seen *seen; /* NULL: no key */
	bool waiting;		/* a connection for which there was no slot */
	bool closed;
	uint64_t refused[LINK_CAUSES], ended, altered;
	struct peer_stats ended_stats;
	unsigned pending;
	unsigned *dirty; /* ids of links with something to write */
	unsigned dirty_count;
	struct link *links;
	uint8_t rx[LINK_RX_BYTES];
};

static unsigned id_of(const struct link *l)
{
	return (unsigned)(l - l->server->links);
}

static bool is_up(const struct link *l)
{
	return l->stream.peer && l->stream.up && !l->stream.closing;
}

/* Neither up nor at its end. */
static bool is_pending(const struct link *l)
{
	return l->stream.peer && !l->stream.up && !l->stream.closing;
}

/* ---- what becomes of a stream ---- */

static void accept_waiting(struct link_server *ls);

static void on_up(struct link_stream *s)
{
	struct link *l = s->owner;
	struct link_server *ls = l->server;

	ls->pending--;
	ls->events.up(ls->events.ctx, id_of(l));
}

static void on_msg(struct link_stream *s, const struct wire_msg *msg)
{
	struct link *l = s->owner;
	struct link_server *ls = l->server;

	ls->events.msg(ls->events.ctx, id_of(l), msg);
}

static void end_link(struct link *l, enum link_cause cause, const char *why)
{
	struct link_server *ls = l->server;

	ls->events.down(ls->events.ctx, id_of(l), why);
	ls->ended++;
	ls->altered += cause == LINK_ALTERED;
	link_stats_add(&ls->ended_stats, peer_stats(l->stream.peer));
}

static void end_stranger(struct link *l, enum link_cause cause, const char *why)
{
	struct link_server *ls = l->server;

	ls->pending--;
	ls->refused[cause]++;
	ls->events.stranger(ls->events.ctx, &l->remote, why);
}

static void on_end(struct link_stream *s, enum link_cause cause,
		   const char *why)
{
	struct link *l = s->owner;

	if (l->server->closed)
		return;
	if (s->up)
		end_link(l, cause, why);
	else
		end_stranger(l, cause, why);
}

static void on_closed(struct link_stream *s)
{
	struct link *l = s->owner;
	struct link_server *ls = l->server;

	if (ls->waiting && !ls->closed)
		accept_waiting(ls);
}

static void on_done(struct link_stream *s)
{
	struct link *l = s->owner;

	l->server->events.done(l->server->events.ctx);
}

static const struct link_stream_events stream_events = {
	.up = on_up,
	.msg = on_msg,
	.end = on_end,
	.closed = on_closed,
	.done = on_done,
	.eof_text = "closed by the other side",
	.eof_early_text = "closed by the other side",
};

/* ---- writing ---- */

static void mark_dirty(struct link *l)
{
	struct link_server *ls = l->server;

	if (l->dirty)
		return;
	l->dirty = true;
	ls->dirty[ls->dirty_count++] = id_of(l);
}

void link_server_flush(struct link_server *ls)
{
	for (unsigned i = 0; i < ls->dirty_count; i++) {
		struct link *l = &ls->links[ls->dirty[i]];

		l->dirty = false;
		if (l->stream.peer && !l->stream.closing)
			link_stream_settle(&l->stream);
	}
	ls->dirty_count = 0;
}

void link_server_send(struct link_server *ls, unsigned link_id,
		      const struct wire_msg *msg)
{
	struct link *l = &ls->links[link_id];

	if (!is_up(l))
		return;
	peer_send(l->stream.peer, msg);
	mark_dirty(l);
}

void link_server_broadcast(struct link_server *ls, const struct wire_msg *msg)
{
	for (unsigned i = 0; i < ls->cfg.links_max; i++)
		link_server_send(ls, i, msg);
}

void link_server_end(struct link_server *ls, unsigned link_id, const char *why)
{
	link_stream_end(&ls->links[link_id].stream, LINK_ENDED, why);
}

/* ---- arriving ---- */

static struct link *free_slot(struct link_server *ls)
{
	for (unsigned i = 0; i < ls->cfg.links_max; i++)
		if (!ls->links[i].stream.peer)
			return &ls->links[i];
	return NULL;
}

/* One and the same, as far as can be told: in IPv6 who has an address can give
 * himself any of its /64. */
static bool is_same_peer(const struct ip_addr *a, const struct ip_addr *b)
{
	const struct addr_prefix prefix = {*a, addr_is_v4(a) ? 128 : 64};

	return addr_in_prefix(b, &prefix);
}

/* Links from that address: those that are up, or those that are not yet. */
static unsigned count_from(const struct link_server *ls,
			   const struct ip_addr *addr, bool up)
{
	unsigned count = 0;

	for (unsigned i = 0; i < ls->cfg.links_max; i++) {
		const struct link *l = &ls->links[i];

		count += (up ? is_up(l) : is_pending(l)) &&
			 is_same_peer(&l->remote.addr, addr);
	}
	return count;
}

/* Of those that are pending, the oldest of the address that has most. */
static struct link *first_to_go(struct link_server *ls)
{
	struct link *first = NULL;
	unsigned most = 0, count;

	for (unsigned i = 0; i < ls->cfg.links_max; i++) {
		struct link *l = &ls->links[i];

		if (!is_pending(l))
			continue;
		count = count_from(ls, &l->remote.addr, false);
		if (count < most ||
		    (count == most && l->since_us >= first->since_us))
			continue;
		first = l;
		most = count;
	}
	return first;
}

static bool must_go(const struct link_server *ls, const struct link *l)
{
	return ls->pending > PENDING_BURST ||
	       clock_us() - l->since_us >= GRACE_US;
}

/* At most that many stay pending. */
static void make_room(struct link_server *ls, unsigned max)
{
	while (ls->pending > max) {
		struct link *l = first_to_go(ls);

		if (!l || !must_go(ls, l))
			return;
		link_stream_end(&l->stream, LINK_TOO_MANY,
				"too many that say nothing");
	}
}

/* Fails for one that has gone already. */
static int note_remote(struct link *l)
{
	struct sockaddr_storage sa = {0};
	int len = sizeof(sa);
	int rc = uv_tcp_getpeername(&l->stream.tcp, (struct sockaddr *)&sa,
				    &len);

	l->remote = sockaddr_to_endpoint(&sa);
	return rc;
}

static bool link_open(struct link *l, struct link_server *ls)
{
	struct peer_config cfg = {
		.role = PEER_SERVER,
		.instance = ls->cfg.instance,
		.features = ls->cfg.features,
		.max_records = ls->cfg.max_records,
		.tx_bytes = TX_BYTES,
	};

	l->server = ls;
	l->stream.events = &stream_events;
	l->stream.mem = ls->mem;
	l->stream.owner = l;
	l->stream.rx = ls->rx;
	l->stream.key = ls->cfg.key;
	l->stream.seen = ls->seen;
	return link_stream_open(&l->stream, ls->loop, &cfg, clock_us());
}

/* NULL, or why the connection may not stay. */
static const char *objection(const struct link *l, enum link_cause *cause)
{
	const struct link_server *ls = l->server;
	const struct ip_addr *addr = &l->remote.addr;

	*cause = LINK_NOT_ALLOWED;
	if (ls->events.may_connect &&
	    !ls->events.may_connect(ls->events.ctx, addr))
		return "its address is not allowed, see --allow";
	*cause = LINK_TOO_MANY;
	if (count_from(ls, addr, true) >= LINK_SERVER_EACH_MAX)
		return "its address has too many links already";
	return NULL;
}

static void link_accept(struct link *l)
{
	struct link_server *ls = l->server;
	enum link_cause cause = LINK_ENDED;
	const char *why;
	int rc;

	ls->pending++;
	l->since_us = clock_us();
	l->remote = (struct endpoint){0};
	rc = uv_accept((uv_stream_t *)&ls->listener,
		       (uv_stream_t *)&l->stream.tcp);
	if (rc == 0)
		rc = note_remote(l);
	why = rc < 0 ? uv_strerror(rc) : objection(l, &cause);
	if (why) {
		link_stream_end(&l->stream, cause, why);
		return;
	}
	link_stream_start(&l->stream);
	make_room(ls, PENDING_MAX);
}

static void accept_waiting(struct link_server *ls)
{
	struct link *l = free_slot(ls);

	ls->waiting = !l || !link_open(l, ls);
	if (!ls->waiting)
		link_accept(l);
	else if (!l && ls->pending)
		make_room(ls, ls->pending - 1);
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

		if (l->stream.peer)
			link_stream_on_tick(&l->stream, now);
	}
	make_room(ls, PENDING_MAX);
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
	if (cfg->key)
		ls->seen = link_seen_new(SEEN_MIN);
	if (!ls->links || !ls->dirty || (cfg->key && !ls->seen))
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
		if (ls->links[i].stream.peer)
			link_stream_end(&ls->links[i].stream, LINK_ENDED, "");
}

void link_server_free(struct link_server *ls)
{
	if (ls->seen)
		link_seen_free(ls->seen);
	free(ls->links);
	free(ls->dirty);
	free(ls);
}

bool link_server_info(const struct link_server *ls, unsigned link_id,
		      struct link_info *out)
{
	const struct link *l = &ls->links[link_id];

	if (!is_up(l))
		return false;
	*out = (struct link_info){
		.remote = l->remote,
		.instance = peer_remote(l->stream.peer)->instance,
		.features = peer_remote(l->stream.peer)->features,
		.stats = *peer_stats(l->stream.peer),
	};
	return true;
}

uint64_t link_server_strangers(const struct link_server *ls)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < LINK_CAUSES; i++)
		sum += ls->refused[i];
	return sum;
}

uint64_t link_server_refused(const struct link_server *ls,
			     enum link_cause cause)
{
	return ls->refused[cause];
}

uint64_t link_server_ended(const struct link_server *ls, struct peer_stats *sum)
{
	*sum = ls->ended_stats;
	return ls->ended;
}

uint64_t link_server_altered(const struct link_server *ls)
{
	return ls->altered;
}
