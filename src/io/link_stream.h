/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection of a link, whichever end: a socket, a peer, and the bytes that
 * go between the two. Who owns it says where it comes from and what it is for.
 */
#ifndef IO_LINK_STREAM_H
#define IO_LINK_STREAM_H

#include <uv.h>

#include "core/peer.h"

#define LINK_CHUNK_BYTES 65536u
#define LINK_RX_BYTES	 65536u

struct link_stream;

/* Called from the loop only. */
struct link_stream_events {
	/* HELLOs have gone both ways: before the first msg(). */
	void (*up)(struct link_stream *s);
	void (*msg)(struct link_stream *s, const struct wire_msg *msg);
	/* Once, and the last one but closed(). */
	void (*end)(struct link_stream *s, const char *why);
	/* It is not in use any more; or NULL. */
	void (*closed)(struct link_stream *s);
	/* After any of these that the loop itself has brought about; or NULL.
	 */
	void (*done)(struct link_stream *s);
	/* Why it ended, when the other side has closed it: up, or not yet. */
	const char *eof_text, *eof_early_text;
};

/* Not to be moved while it is in use. */
struct link_stream {
	const struct link_stream_events *events;
	const struct mem *mem;
	void *owner;
	uint8_t *rx;	   /* LINK_RX_BYTES, may serve many streams */
	struct peer *peer; /* NULL: not in use */
	bool started, up, closing;
	bool writing; /* libuv has bytes of ours */
	uv_tcp_t tcp;
	uv_write_t write;
	char chunk[LINK_CHUNK_BYTES];
};

/* events, mem, owner and rx are set and kept. Makes peer and socket; the caller
 * connects or accepts, and starts it then. false: no memory, not in use. */
bool link_stream_open(struct link_stream *s, uv_loop_t *loop,
		      const struct peer_config *cfg, uint64_t now_us);
/* The socket is connected. */
void link_stream_start(struct link_stream *s);
/* Ends it, unless that has been done. */
void link_stream_end(struct link_stream *s, const char *why);

/* Writes what is there as far as the kernel takes it, the rest later by itself;
 * and ends the stream if its peer says so. */
void link_stream_settle(struct link_stream *s);
/* There is something that the kernel has not taken. */
bool link_stream_pending(const struct link_stream *s);
/* Keep-alive and time limits. */
void link_stream_on_tick(struct link_stream *s, uint64_t now_us);

void link_stats_add(struct peer_stats *sum, const struct peer_stats *s);

#endif
