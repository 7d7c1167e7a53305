/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Long answers that intercept acknowledges itself, and tells of as a whole, for
 * sessions whose packets it injects.
 */
#ifndef CORE_LOCAL_ACK_H
#define CORE_LOCAL_ACK_H

#include "core/pool.h"
#include "core/segment.h"
#include "core/wire.h"

/* So long after its last packet an answer has paused: what is untold is told,
 * what is owed is acknowledged, or left to the next turn for a while. Less than
 * a tail loss probe takes. */
#define LOCAL_ACK_PAUSE_US 2000u
/* What is left to the next turn is acknowledged after this, whatever the
 * target is used to. */
#define LOCAL_ACK_LEAVE_MOST_US 8000u
/* The two ticks that a target's probe adds to twice its round trip time (2 ms
 * with HZ=1000), less what we may be late. */
#define LOCAL_ACK_TICKS_US 500u
/* Who was waiting for our ACK goes on so soon after it. */
#define LOCAL_ACK_GOES_US 1000u
/* Who has sent nothing for so long begins with a small window. */
#define LOCAL_ACK_RESTART_US 200000u
/* Nothing but the last packet waits longer. */
#define LOCAL_ACK_LATE_US    50000u
#define LOCAL_ACK_MOST_BYTES (384u << 10) /* that wait for more */

struct route;

/* One session; its name is its index in the pool. */
struct local {
	struct route *route;
	uint32_t told, acked, rcv_nxt; /* of the target's bytes */
	uint32_t ack, snd_nxt;	       /* of the client's: acknowledged, sent */
	uint32_t at_once_bytes;	       /* are acknowledged without waiting */
	uint32_t last_bytes;	       /* the packet that came last */
	uint32_t full_bytes;   /* the largest that others came behind, or 0 */
	uint32_t paused_bytes; /* acknowledged since it had paused, or 0 */
	uint64_t paused_us;    /* when that was */
	uint64_t heard_us;     /* the last packet */
	uint64_t owed_us;      /* the first that is not acknowledged */
	uint64_t untold_us;    /* the first untold byte */
	uint64_t due_us;       /* when it is looked at, if queued */
	uint32_t usual_us;     /* from a packet to its ACK, smoothed */
	uint32_t prev, next;   /* in the queue of those that may pause */
	uint32_t touched_next;
	uint16_t mss_bytes;
	uint16_t wnd, our_wnd; /* as on the wire */
	bool queued;
	bool touched; /* something came since it was settled */
	bool pushed;  /* the last packet had PSH */
	bool proven;  /* more at once only if it has sent more */
	bool waited;  /* told late, since more was expected */
};

struct locals {
	struct pool pool;
	uint32_t head, tail; /* those that may pause, by time */
	uint32_t touched;    /* the first, or POOL_NONE */
};

/* What is to be done about a session. */
struct local_word {
	bool tell, ack;
	struct wire_response resp; /* tell; without route id */
	struct segment seg;	   /* ack; without tuple */
};

/* At most count sessions. false: no memory. */
bool locals_init(struct locals *l, const struct mem *mem, uint32_t count);
void locals_fini(struct locals *l, const struct mem *mem);

/* This packet has several segments or says that more come, and it may begin. */
bool locals_begins(const struct segment *seg, uint16_t mss_bytes);
/* The segment is still to be taken. POOL_NONE: no room. */
uint32_t locals_begin(struct locals *l, struct route *route, uint16_t mss_bytes,
		      const struct segment *seg);
/* Forgets it and what is untold. */
void locals_end(struct locals *l, uint32_t id);
const struct local *locals_at(const struct locals *l, uint32_t id);

/* Takes what continues the stream. false: it is unusual, and is to be told as
 * it is, behind what *before tells; its ACK is tcpcopy's business. */
bool locals_take(struct locals *l, uint32_t id, const struct segment *seg,
		 uint64_t now_us, struct local_word *before);
/* A segment of tcpcopy's passes, without SYN and RST. */
void locals_pass(struct locals *l, uint32_t id, const struct segment *seg,
		 uint64_t now_us);

/* The next session that something came for, settled; POOL_NONE: none. may_ack:
 * there is room for an ACK. */
uint32_t locals_settle(struct locals *l, bool may_ack, struct local_word *word,
		       uint64_t now_us);
/* The next that has paused; POOL_NONE: none. */
uint32_t locals_due(struct locals *l, bool may_ack, struct local_word *word,
		    uint64_t now_us);
/* When locals_due() has one, TIME_NEVER: nobody waits. */
uint64_t locals_deadline_us(const struct locals *l);

#endif
