/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What became of the connections of one client, decision by decision: a ring of
 * events that the engine fills and the program empties. Connections that are
 * not traced cost one test of a bit.
 */
#ifndef CORE_TRACE_H
#define CORE_TRACE_H

#include "core/gate.h"
#include "core/mem.h"
#include "core/segment.h"

enum trace_what {
	TRACE_CAPTURED,	  /* seq, len, ack, flags: as on the wire */
	TRACE_NOT_COPIED, /* the same, of a connection left out by -r */
	TRACE_LEFT_OUT,	  /* the same, over a limit or of our own packets */
	TRACE_NO_MEMORY,  /* the same, which nothing could be kept of */
	TRACE_NEVER_SENT, /* len turns of need copies; why: enum loss */
	TRACE_NOT_OPENED, /* the session, yet; why: enum trace_hold */
	TRACE_OPENED,	  /* at: the address that it has; seq: its iss */
	TRACE_REFUSED,	  /* at: intercept says that another owns it */
	TRACE_HELD,	  /* why: enum trace_hold; len of need bytes are in */
	TRACE_NOT_SENT,	  /* whatever is due; why: enum trace_hold */
	TRACE_RELEASED,	  /* why: enum trace_release */
	TRACE_SENT,	  /* seq, len, ack, flags */
	TRACE_RESENT,	  /* the same */
	TRACE_RESPONSE,	  /* the same, and window: need */
	TRACE_ANSWERED,	  /* the turn */
	TRACE_UNANSWERED, /* the turn: delivered, and nothing came */
	TRACE_LOST,	  /* the turn; why: enum loss */
	TRACE_REOPENED,	  /* the target has closed; a turn needs another */
	TRACE_ENDED	  /* the session; why: enum loss, or LOSS_NONE */
};

enum trace_hold {
	TRACE_HOLD_ACK,	   /* the target has not acknowledged the turn before */
	TRACE_HOLD_ANSWER, /* nor answered as much as the client had seen */
	TRACE_HOLD_LINK,   /* no link to its intercept */
	TRACE_HOLD_GUARD,  /* the intercept's guard may have fallen */
	TRACE_HOLD_PORT,   /* is not for the target's port */
	TRACE_HOLD_FULL,   /* the link, which is to take the packets */
	TRACE_HOLD_FIRST,  /* the target's first answer has not come back */
	TRACE_HOLD_SPREAD  /* copies of a connection follow each other */
};

enum trace_release {
	TRACE_RELEASE_ANSWERED, /* what the client had seen is there */
	TRACE_RELEASE_CLOSED,	/* the target has closed: no more will come */
	TRACE_RELEASE_QUIET,	/* less is there, and the target is quiet */
	TRACE_RELEASE_HOLD	/* --max-hold */
};

struct trace_event {
	uint64_t at_us;
	struct endpoint client, at;
	uint32_t seq, ack, len, need;
	uint16_t copy, target; /* the session: copy's number, index of target */
	uint8_t what, why, flags;
};

struct trace;

/* Of this client; port 0: any of its ports. NULL: no memory. */
struct trace *trace_new(const struct endpoint *client, const struct mem *mem);
size_t trace_bytes(void);
void trace_free(struct trace *t, const struct mem *mem);
bool trace_wants(const struct trace *t, const struct endpoint *client);
/* What comes next is about this connection. */
void trace_about(struct trace *t, const struct endpoint *client,
		 uint64_t now_us);
/* What comes next is about a copy of it. paused: why, if its session is. */
void trace_about_copy(struct trace *t, const struct endpoint *client,
		      unsigned copy, unsigned target, enum trace_hold paused,
		      uint64_t now_us);
/* Adds an event of which only what the type needs is set. A copy that is HELD,
 * NOT_OPENED or NOT_SENT for the same reason as before is left out. */
void trace_add(struct trace *t, struct trace_event event);
/* A packet, as on the wire: CAPTURED and the like, SENT or RESENT. */
void trace_segment(struct trace *t, enum trace_what what,
		   const struct segment *seg);
/* What the gate said of the turn that begins at seq. */
void trace_gate(struct trace *t, const struct gate_view *view,
		enum gate_verdict verdict, uint32_t seq);
/* The oldest; false: none. *missed: events that found the ring full. */
bool trace_next(struct trace *t, struct trace_event *event, uint64_t *missed);

#endif
