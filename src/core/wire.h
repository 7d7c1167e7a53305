/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The link's messages and their bytes. docs/link-protocol.md has the layout.
 *
 * A frame is a header of 8 bytes (length of the whole frame u32, type u8,
 * reserved u8, record count u16) and that many records of one type, all in
 * network order. A frame of an unknown type is skipped by its length.
 */
#ifndef CORE_WIRE_H
#define CORE_WIRE_H

#include <sys/types.h>

#include "core/addr.h"
#include "core/split.h"
#include "core/tcp_opts.h"

#define WIRE_MAGIC	  0x74634e71u
#define WIRE_VERSION	  1u
#define WIRE_HEADER_BYTES 8u
#define WIRE_FRAME_MAX	  65536u
/* Largest single record of any type but RELAY. */
#define WIRE_RECORD_MAX 64u
/* Largest packet of a RELAY, and what stands before it in its record. */
#define WIRE_RELAY_HEAD_BYTES 2u
#define WIRE_RELAY_MAX	      (WIRE_FRAME_MAX - WIRE_HEADER_BYTES - 2u)

/* Ports that one intercept can guard. */
#define WIRE_GUARDED_MAX 16u

/* Bits of a HELLO. */
#define WIRE_FEATURE_RELAY 1u /* intercept takes packets for its host */
/* It acknowledges answers; tcpcopy knows WIRE_LOCAL. */
#define WIRE_FEATURE_LOCAL_ACK 2u
/* Each of its workers gets the answers of the clients' ports that are its own
 * (core/split.h), and need not know of the others' sessions. */
#define WIRE_FEATURE_BY_PORT 4u
/* Bits 16 to 23: workers of this intercept besides the one that speaks; each
 * has a port of its own. Bits 24 to 31: which one it is, from 0 on. */
#define WIRE_WORKERS_MAX 256u
static inline uint32_t wire_workers_feature(unsigned workers)
{
	return (workers - 1) << 16;
}

static inline unsigned wire_workers(uint32_t features)
{
	return (features >> 16 & 0xff) + 1;
}

static inline uint32_t wire_worker_feature(unsigned worker)
{
	return (uint32_t)worker << 24;
}

/* Of which ports it is to know the sessions. */
static inline struct split wire_split(uint32_t features)
{
	struct split s = {.count = wire_workers(features),
			  .index = features >> 24};

	if (!(features & WIRE_FEATURE_BY_PORT) || s.count > SPLIT_BY_PORT_MAX ||
	    s.index >= s.count)
		return (struct split){.count = 1};
	return s;
}

enum wire_type {
	WIRE_HELLO = 1,	    /* both ways, first on a link */
	WIRE_ROUTE_ADD,	    /* tcpcopy -> intercept, idempotent */
	WIRE_ROUTE_DEL,	    /* tcpcopy -> intercept */
	WIRE_ROUTE_REFUSED, /* intercept -> tcpcopy: the tuple has an owner */
	WIRE_RESPONSE,	    /* intercept -> tcpcopy: one header of an answer */
	WIRE_PING,	    /* either way */
	WIRE_PONG,
	WIRE_STATUS,	/* intercept -> tcpcopy, once a second or more often */
	WIRE_ROUND,	/* tcpcopy -> intercept: all routes are told again */
	WIRE_RELAY,	/* tcpcopy -> intercept: a packet for the target */
	WIRE_PROBE,	/* tcpcopy -> intercept: look out for a packet */
	WIRE_PROBE_SEEN /* intercept -> tcpcopy: how far it came */
};

struct wire_hello {
	uint16_t version;
	uint32_t features; /* WIRE_FEATURE_* */
	uint64_t instance; /* random, one a process */
};

/* The target's view of a session; also says which one to delete or refuse. */
struct wire_route {
	uint64_t route_id; /* the upper half counts tcpcopy's sessions */
	struct endpoint client, target;
	uint32_t iss; /* of our SYN as it goes to the target */
};

/* A flag of a RESPONSE: intercept acknowledges all but the last segment. */
#define WIRE_LOCAL 0x80u
/* What its ACKs have as window until one of tcpcopy's has passed. */
#define WIRE_LOCAL_WND 65535u

struct wire_response {
	uint64_t route_id;
	uint32_t seq, ack;
	uint32_t payload_len;
	uint16_t wnd;
	uint8_t flags; /* TCP_*, WIRE_LOCAL */
	struct tcp_opts opts;
};

struct wire_status {
	bool queue_bound;
	bool guarded;	    /* intercept keeps watch over rule and fence */
	bool armed;	    /* and they stand */
	uint8_t port_count; /* of these ports of its host, no others */
	uint16_t ports[WIRE_GUARDED_MAX];
	uint64_t queued;	/* packets that the queue has delivered */
	uint64_t queue_dropped; /* kernel: queue or receive buffer full */
};

/* Of a status: there is a guard, and that port is not one of its. */
static inline bool wire_guards_others(const struct wire_status *s,
				      uint16_t port)
{
	for (unsigned i = 0; i < s->port_count; i++)
		if (s->ports[i] == port)
			return false;
	return s->guarded;
}

/* Between the two of a round every route that there still is gets told. */
struct wire_round {
	uint32_t number; /* higher each time */
	bool ended;	 /* otherwise it begins */
};

/* One whole IP packet. The bytes are borrowed: by a message read from those of
 * its frame. */
struct wire_relay {
	const uint8_t *l3;
	uint16_t len; /* <= WIRE_RELAY_MAX */
};

/* About the packets from client to target, and their answers. */
struct wire_probe {
	bool tell; /* say what was seen; otherwise begin to look out */
	struct endpoint client, target;
};

struct wire_probe_seen {
	uint32_t error;	   /* an errno: it cannot look out; 0: it does */
	uint32_t arrived;  /* packets that came to the host */
	uint32_t accepted; /* of these, given to the server's socket */
	uint32_t answered; /* packets that the server sent back */
	uint32_t left;	   /* of these, not kept from leaving */
};

struct wire_msg {
	enum wire_type type;
	union {
		struct wire_hello hello;
		struct wire_route route; /* ADD, DEL, REFUSED */
		struct wire_response response;
		struct wire_status status;
		struct wire_round round;
		struct wire_relay relay;
		struct wire_probe probe;
		struct wire_probe_seen probe_seen;
		uint64_t token; /* PING, PONG */
	};
};

/*
 * Appends msg to the frame that starts at frame and is frame_len bytes long so
 * far (0: begin one). Returns the frame's new length, or 0 when the record
 * does not fit: other type, max_records reached, or cap (<= WIRE_FRAME_MAX)
 * too small; begin a new frame then.
 */
size_t wire_append(uint8_t *frame, size_t frame_len, size_t cap,
		   unsigned max_records, const struct wire_msg *msg);

/* Where in that frame the next RELAY has its packet, of at most len bytes. One
 * that is there already is not copied by wire_append(). 0: does not fit. */
size_t wire_relay_at(const uint8_t *frame, size_t frame_len, size_t cap,
		     unsigned max_records, size_t len);

/* Walks the records of one whole frame; borrows its bytes. */
struct wire_reader {
	const uint8_t *p;
	size_t left_bytes;
	uint8_t type;
	uint16_t left_records;
};

/* Looks for one whole frame in buf. Its length when it is all there, 0 when
 * more bytes are needed, -EPROTO when this can never become a frame. */
ssize_t wire_frame(struct wire_reader *r, const uint8_t *buf, size_t len);
/* 1: *msg is set; 0: no more records; -EPROTO. */
int wire_next(struct wire_reader *r, struct wire_msg *msg);

#endif
