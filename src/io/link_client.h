/* SPDX-License-Identifier: BSD-2-Clause */
/* tcpcopy's end of the links: several connections to every intercept, opened
 * again for as long as we live. */
#ifndef IO_LINK_CLIENT_H
#define IO_LINK_CLIENT_H

#include <uv.h>

#include "core/peer.h"

/* Memory that a link may come to use for its output. */
#define LINK_CLIENT_TX_BYTES (2u << 20)

struct link_client_config {
	const struct endpoint *servers; /* one a group; copied */
	unsigned server_count;
	unsigned links_each; /* link id = group * links_each + number */
	uint64_t instance;
	unsigned max_records;	    /* in a frame */
	const struct link_key *key; /* kept; NULL: links in the clear */
};

/* Called from the loop only. */
struct link_client_events {
	void (*up)(void *ctx, unsigned link_id);
	void (*msg)(void *ctx, unsigned link_id, const struct wire_msg *msg);
	void (*down)(void *ctx, unsigned link_id, const char *why);
	/* A link that is up does not answer while another one to the same
	 * intercept does; or it answers again, or no other is left. May be
	 * NULL. */
	void (*silent)(void *ctx, unsigned link_id, bool silent);
	/* An attempt came to nothing; the next one follows. */
	void (*failed)(void *ctx, unsigned link_id, const char *why);
	void *ctx;
};

struct link_state {
	unsigned group, number;
	struct endpoint server;
	bool up;
	bool met;	   /* somebody took its last connection */
	uint32_t features; /* of the intercept, WIRE_FEATURE_*; 0: not up */
	uint64_t times_up;
	/* Ended since what came was forged, altered, or of no intercept with
	 * our version and key. */
	uint64_t refused;
	struct peer_stats stats; /* of all its connections */
};

struct link_client;

/* Begins to connect once the loop runs. 0 or -errno. */
int link_client_open(struct link_client **out, uv_loop_t *loop,
		     const struct link_client_config *cfg,
		     const struct link_client_events *events,
		     const struct mem *mem);
/* Closes everything without further events; run the loop until it is empty,
 * then free. */
void link_client_close(struct link_client *lc);
void link_client_free(struct link_client *lc);

/* Queues a message for a link; lost when that is not up. */
void link_client_send(struct link_client *lc, unsigned link_id,
		      const struct wire_msg *msg);
/* Bytes of RELAY records that the link is sure to take. */
size_t link_client_room(const struct link_client *lc, unsigned link_id);
/* Where the next thing that a link is sent may have its packet, if it is a
 * RELAY of at most len bytes; NULL: no room. */
uint8_t *link_client_slot(struct link_client *lc, unsigned link_id, size_t len);
/* Whether each link that is up and not silent is sure to take so many bytes of
 * messages other than these. */
bool link_client_takes(const struct link_client *lc, size_t bytes);
/* Writes what was queued, as far as the kernel takes it now; the rest follows
 * by itself. */
void link_client_flush(struct link_client *lc);
/* Something is queued that the kernel has not taken. */
bool link_client_pending(const struct link_client *lc);

unsigned link_client_count(const struct link_client *lc);
unsigned link_client_up(const struct link_client *lc);
void link_client_state(const struct link_client *lc, unsigned link_id,
		       struct link_state *out);

#endif
