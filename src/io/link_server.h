/* SPDX-License-Identifier: BSD-2-Clause */
/* intercept's end of the links: a listener, and a peer for each connection. */
#ifndef IO_LINK_SERVER_H
#define IO_LINK_SERVER_H

#include <uv.h>

#include "io/link_stream.h"

/* Links from one address; from one /64 of IPv6. */
#define LINK_SERVER_EACH_MAX 64

struct link_server_config {
	struct ip_addr address; /* addr_is_none(): all, IPv4 and IPv6 */
	uint16_t port;
	uint64_t instance;
	uint32_t features;	    /* WIRE_FEATURE_* */
	unsigned max_records;	    /* in a frame */
	unsigned links_max;	    /* link ids are below this */
	const struct link_key *key; /* kept; NULL: links in the clear */
};

/* Called from the loop only. Only msg() and done() may send; a link's id is
 * free again after down(). Only up() may end a link. */
struct link_server_events {
	void (*up)(void *ctx, unsigned link_id);
	void (*msg)(void *ctx, unsigned link_id, const struct wire_msg *msg);
	void (*down)(void *ctx, unsigned link_id, const char *why);
	/* Whether a connection from there may stay; NULL: any. */
	bool (*may_connect)(void *ctx, const struct ip_addr *remote);
	/* Closed without ever having been up. */
	void (*stranger)(void *ctx, const struct endpoint *remote,
			 const char *why);
	/* After any of these, once: time to send answers. */
	void (*done)(void *ctx);
	void *ctx;
};

struct link_info {
	struct endpoint remote;
	uint64_t instance; /* of the tcpcopy at the other end */
	uint32_t features; /* WIRE_FEATURE_* of its HELLO */
	struct peer_stats stats;
};

struct link_server;

/* Listens. 0 or -errno; then too *out, unless NULL, is to be closed and freed.
 * mem serves the peers as they come and go. */
int link_server_open(struct link_server **out, uv_loop_t *loop,
		     const struct link_server_config *cfg,
		     const struct link_server_events *events,
		     const struct mem *mem);
/* Closes everything without further events; run the loop until it is empty,
 * then free. */
void link_server_close(struct link_server *ls);
void link_server_free(struct link_server *ls);

/* Queues a message for a link that is up; otherwise it is lost. */
void link_server_send(struct link_server *ls, unsigned link_id,
		      const struct wire_msg *msg);
/* The same for every link that is up. */
void link_server_broadcast(struct link_server *ls, const struct wire_msg *msg);
/* Writes what was queued, as far as the kernel takes it now; the rest follows
 * by itself. */
void link_server_flush(struct link_server *ls);

/* Ends a link that has just come up. The other side has heard nothing then, and
 * takes its time before it tries again. */
void link_server_end(struct link_server *ls, unsigned link_id, const char *why);

/* false: link_id is not up. */
bool link_server_info(const struct link_server *ls, unsigned link_id,
		      struct link_info *out);
/* Connections that were never up: all, and those that ended for a cause. */
uint64_t link_server_strangers(const struct link_server *ls);
uint64_t link_server_refused(const struct link_server *ls,
			     enum link_cause cause);
/* Links that were up and are no more: how many, and what they did. */
uint64_t link_server_ended(const struct link_server *ls,
			   struct peer_stats *sum);
/* Of these, for frames that were forged or altered on their way. */
uint64_t link_server_altered(const struct link_server *ls);

#endif
