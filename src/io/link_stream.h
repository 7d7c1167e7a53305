/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection of a link, whichever end: a socket, a peer, and the bytes that
 * go between the two. Who owns it says where it comes from and what it is for.
 */
#ifndef IO_LINK_STREAM_H
#define IO_LINK_STREAM_H

#include <uv.h>

#include "core/peer.h"
#include "io/link_crypto.h"

#define LINK_CHUNK_BYTES 65536u
#define LINK_RX_BYTES	 65536u

struct link_stream;

/* What a stream died of; key in JSON, text of the report. */
#define LINK_CAUSE_LIST(X)                                                     \
	X(ENDED, "ended", "  of these: left, before they had said enough")     \
	X(NOT_ALLOWED, "not_allowed",                                          \
	  "  of these: their address is not allowed (--allow)")                \
	X(TOO_MANY, "too_many",                                                \
	  "  of these: made room, or their address had too many")              \
	X(SILENT, "silent", "  of these: too little was heard in time")        \
	X(STRANGE, "strange", "  of these: spoke something else")              \
	X(OTHER_VERSION, "other_version", "  of these: spoke another version") \
	X(WRONG_KEY, "wrong_key", "  of these: had no key, or another one")    \
	X(REPLAYED, "replayed", "  of these: repeated a former handshake")     \
	X(ALTERED, "altered", "  of these: sent what was forged or altered")

enum link_cause {
#define X(name, key, text) LINK_##name,
	LINK_CAUSE_LIST(X)
#undef X
		LINK_CAUSES
};

/* Called from the loop only. */
struct link_stream_events {
	/* HELLOs have gone both ways: before the first msg(). */
	void (*up)(struct link_stream *s);
	void (*msg)(struct link_stream *s, const struct wire_msg *msg);
	/* Once, and the last one but closed(). */
	void (*end)(struct link_stream *s, enum link_cause cause,
		    const char *why);
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
	uint8_t *rx;		    /* LINK_RX_BYTES, may serve many streams */
	const struct link_key *key; /* NULL: everything is in the clear */
	struct link_seen *seen;	    /* of a server with a key */
	struct peer *peer;	    /* NULL: not in use */
	struct link_crypto *crypto; /* NULL: no key */
	bool started, up, closing;
	bool writing;		      /* libuv has bytes of ours */
	size_t sealed_at, sealed_end; /* in chunk, still to be written */
	uv_tcp_t tcp;
	uv_write_t write;
	uint8_t chunk[LINK_CHUNK_BYTES];
};

/* events, mem, owner, rx and key are set and kept. Makes peer and socket; the
 * caller connects or accepts, and starts it then. false: no memory, not in use.
 */
bool link_stream_open(struct link_stream *s, uv_loop_t *loop,
		      const struct peer_config *cfg, uint64_t now_us);
/* The socket is connected. */
void link_stream_start(struct link_stream *s);
/* Ends it, unless that has been done. */
void link_stream_end(struct link_stream *s, enum link_cause cause,
		     const char *why);

/* Writes what is there as far as the kernel takes it, the rest later by itself;
 * and ends the stream if its peer says so. */
void link_stream_settle(struct link_stream *s);
/* There is something that the kernel has not taken. */
bool link_stream_pending(const struct link_stream *s);
/* Keep-alive and time limits. */
void link_stream_on_tick(struct link_stream *s, uint64_t now_us);

void link_stats_add(struct peer_stats *sum, const struct peer_stats *s);

#endif
