/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by replay*.c only. */
#ifndef CORE_REPLAY_INTERNAL_H
#define CORE_REPLAY_INTERNAL_H

#include "core/bucket.h"
#include "core/flow_table.h"
#include "core/replay.h"
#include "core/session_rest.h"
#include "core/tuples.h"

/* Tuples of a session that intercept refuses before it is given up. */
#define REPLAY_REFUSALS_MAX 16
/* And the time that its RST has before the next one is taken. */
#define REPLAY_REFUSED_US 1000u

/* Lists of copies: each stands in one of a kind at most. */
enum copy_lists {
	LIST_READY,   /* may have something to send, or is held */
	LIST_MSGS,    /* has something to tell intercept */
	LIST_WAITING, /* to be opened */
	COPY_LISTS
};

/* A captured segment to an address and port that is copied. */
struct arrival {
	struct segment seg;
	uint32_t share;	 /* copies that its connection should have */
	uint32_t bucket; /* of its flow */
};

/* What a copy needs only while something is under way. */
struct copy_work {
	struct session session;
	struct timer timer;
	struct copy *copy;
	struct copy *next[COPY_LISTS];
};

/* A session and what the engine needs to know of it. */
struct copy {
	struct flow *flow;
	struct copy *next;	/* of the same flow */
	struct copy_work *work; /* NULL: at rest, and on no list */
	struct session_rest rest;
	uint32_t tuple;	     /* POOL_NONE: none yet */
	uint32_t generation; /* of its route id */
	uint16_t number;     /* 0 for the first copy towards a target */
	uint16_t target;
	uint8_t link; /* number within a group that it prefers */
	uint8_t refusals;
	bool live : 1;
	bool in_ready : 1; /* or held */
	bool in_msgs : 1, in_waiting : 1;
	bool tuple_refused : 1; /* to be given up when the next is taken */
	bool registered : 1;	/* a ROUTE_ADD has been made for it */
	bool remapped : 1;	/* its tuple is not the client's own endpoint */
	bool traced : 1;	/* as its flow */
};

struct copy_list {
	struct copy *head, *tail;
};

/* What an intercept says of its guard, over any of its links. */
struct vouch {
	struct wire_status last; /* word: whether it has one, of which ports */
	bool heard;		 /* that was since it has a link */
	uint64_t until_us; /* and it stands until here, unless told again */
};

/* Whether the guards allow that something is sent to a target. */
enum guarded {
	GUARDED,     /* or there are none */
	NOT_HEARD,   /* whether some intercept has one: nothing is told */
	NOT_VOUCHED, /* some intercept's may have fallen */
	OTHER_PORTS  /* that on its host is not for its port */
};

struct target {
	struct replay_target cfg;
	struct session_params params;
	struct copy_list waiting;
	uint64_t next_open_us; /* until it has answered: one a second */
	uint64_t silent_at_us; /* when to complain that nothing came back */
	bool proven;	       /* an answer has come through intercept */
	bool silence_told;
	bool linked; /* some link to an intercept of it is up */
	bool up;     /* linked, and guarded */
	enum guarded guarded;
	uint16_t notices; /* bit: enum replay_notice_type */
};

#define REPLAY_LEASE_US 1000000u

struct replay {
	struct replay_config cfg; /* arrays are our own */
	struct replay_mapping *mappings;
	struct target *targets;
	struct addr_range *clients; /* IPv4 first */
	size_t v4_client_count;
	struct ip_addr *own_addrs;
	uint16_t *target_ports;
	/* By group: ports of which it is to know the sessions. */
	struct split splits[REPLAY_GROUPS_MAX];
	bool *link_up;	       /* by link id: it is, and answers */
	bool *link_full;       /* with relay: it takes no packets now */
	bool *link_unarmed;    /* last heard there: the guard has fallen */
	struct vouch *vouches; /* by group */
	uint64_t lease_us;     /* when the first of their leases ends */

	struct ledger ledger;
	struct trace *trace; /* NULL: nothing is traced */
	size_t trace_bytes;
	struct hold_store store;
	struct flow_table flows;
	struct pool copies, works; /* as many works as copies */
	struct tuples *tuples;
	struct timers *flow_timers, *copy_timers;
	struct copy_list ready, msgs;
	struct copy_list held; /* with relay: ready, but no link takes it */
	unsigned packet_link;  /* with relay: of the last packet */
	unsigned msg_group;    /* next group to tell about msgs.head */

	uint32_t sample_owed;
	uint32_t next_generation;
	uint32_t round;		/* of telling all routes again */
	uint32_t round_begins;	/* next link to be told so */
	uint32_t round_ends;	/* and here; replay_link_count(): no more */
	uint32_t reregister_at; /* copies from here on, POOL_NONE: none */
	uint64_t reregister_us; /* next batch */
	uint64_t now_us;	/* of the last event */
	uint32_t trims;		/* calls */
	uint16_t ip_id;
	uint8_t used_link; /* of each group: new sessions take it */
	uint16_t told;	   /* notices that are given once: bit of type */
	bool shut;	   /* no packets are taken any more */
	bool shedding;	   /* no new connection is copied */
	struct bucket packets, bits; /* sent */
	uint64_t own_syns[REPLAY_SYNS];
	uint64_t *syns; /* these, or those of all workers */
};

static inline void copy_list_push(struct copy_list *l, enum copy_lists kind,
				  struct copy *c)
{
	c->work->next[kind] = NULL;
	if (l->tail)
		l->tail->work->next[kind] = c;
	else
		l->head = c;
	l->tail = c;
}

/* The first one, which must be there. */
static inline struct copy *copy_list_pop(struct copy_list *l,
					 enum copy_lists kind)
{
	struct copy *c = l->head;

	l->head = c->work->next[kind];
	if (!l->head)
		l->tail = NULL;
	return c;
}

/* What keeps a target's sessions from sending, when it is not up. */
static inline enum trace_hold replay_paused_for(const struct target *t)
{
	if (t->guarded == OTHER_PORTS)
		return TRACE_HOLD_PORT;
	return t->linked ? TRACE_HOLD_GUARD : TRACE_HOLD_LINK;
}

/* Where to tell about this copy, NULL: it is not traced. */
static inline struct trace *replay_trace(struct replay *r, const struct copy *c)
{
	if (!c->traced)
		return NULL;
	trace_about_copy(r->trace, &c->flow->tuple.src, c->number, c->target,
			 replay_paused_for(&r->targets[c->target]), r->now_us);
	return r->trace;
}

/* What the client appears as in its packets; it has a tuple. */
static inline struct endpoint replay_client(const struct replay *r,
					    const struct copy *c)
{
	return c->remapped ? tuples_client(r->tuples, c->tuple)
			   : c->flow->tuple.src;
}

static inline struct session_env replay_env(struct replay *r,
					    const struct copy *c)
{
	return (struct session_env){
		.params = &r->targets[c->target].params,
		.ledger = &r->ledger,
		.store = &r->store,
		.trace = replay_trace(r, c),
	};
}

static inline struct copy *replay_copy_at(const struct replay *r,
					  uint32_t index)
{
	return pool_at(&r->copies, index);
}

/* Link ids are below this. */
static inline unsigned replay_link_count(const struct replay_config *cfg)
{
	return cfg->group_count * cfg->links_per_group;
}

/* replay_rest.c */

/* For a copy that has none. */
void replay_take_work(struct replay *r, struct copy *c);
void replay_give_work(struct replay *r, struct copy *c);
/* Before anything happens to a copy's session. */
void replay_wake(struct replay *r, struct copy *c, uint64_t now_us);
/* The copies of a flow. */
void replay_wake_all(struct replay *r, const struct flow *f, uint64_t now_us);
/* If nothing is under way, and it is on no list. */
void replay_let_rest(struct replay *r, struct copy *c);
enum session_state replay_state(const struct copy *c);

/* replay_copies.c */

/* Makes the copies of a flow whose bytes from seq on are to be replayed. */
void replay_make_copies(struct replay *r, struct flow *f, uint32_t seq,
			uint64_t now_us);
/* After any event of a session: lists, timer, the hold it no longer needs. */
void replay_settle(struct replay *r, struct copy *c, uint64_t now_us);
/* Takes a tuple and a route id for a waiting session, and its SYN may go. */
void replay_open_copy(struct replay *r, struct copy *c, uint64_t now_us);
/* Tells of the tuple that it has been given, or refused. */
void replay_trace_tuple(struct replay *r, const struct copy *c,
			enum trace_what what);
/* Tells what holds it: NOT_OPENED or NOT_SENT. */
void replay_trace_hold(struct replay *r, const struct copy *c,
		       enum trace_what what, enum trace_hold why);
/* Sets its timer to the session's next deadline, if that is earlier. */
void replay_arm_timer(struct replay *r, struct copy *c);
/* It has left a list: frees it if it is done, lets it rest if nothing is under
 * way. */
void replay_put_down(struct replay *r, struct copy *c, uint64_t now_us);
/* Tells every copy of a flow that its hold has grown or closed. */
void replay_tell_copies(struct replay *r, struct flow *f,
			const struct hold_growth *growth, uint64_t now_us);

/* replay_notices.c */

/* Once for all, or once until it is pulled: it depends on the type. */
void replay_tell(struct replay *r, enum replay_notice_type type,
		 uint32_t target);

/* replay_packets.c */

/* How much may be in one packet to the target, by the way that they go now. */
void replay_set_most(const struct replay *r, struct target *t);
/* A copy may have something to send. */
void replay_push_ready(struct replay *r, struct copy *c);
/* With relay: those whose link took no packets may have another one now. */
void replay_release_held(struct replay *r);
/* false: with relay, and no link takes its packets now. */
bool replay_may_send(const struct replay *r, const struct copy *c);

/* replay_admit.c */

void replay_init_limits(struct replay *r, uint64_t now_us);
/* What leaves counts for the limits of new connections. */
void replay_note_sent(struct replay *r, size_t bytes, uint64_t now_us);
/* A SYN with this number goes to a target. */
void replay_note_syn(struct replay *r, uint32_t target, uint32_t iss,
		     uint64_t now_us);
/* Whether -r takes the next connection; to be asked once for each. */
bool replay_sample(struct replay *r);
/* LOSS_NONE: the connection that this segment shows first is to be copied so
 * many times. Otherwise why not; the connection is told of and counted. */
enum loss replay_admit(struct replay *r, const struct segment *seg,
		       uint32_t share, uint64_t now_us);
bool replay_is_copied_to(const struct replay_mapping *m,
			 const struct endpoint *online);

/* replay_flows.c */

void replay_on_arrival(struct replay *r, const struct arrival *a,
		       uint64_t now_us);

/* The client ends the connection as far as the copies are concerned. */
void replay_close_flow(struct replay *r, struct flow *f, uint64_t now_us);
void replay_on_flow_timer(struct replay *r, struct flow *f, uint64_t now_us);
void replay_free_flow_if_done(struct replay *r, struct flow *f,
			      uint64_t now_us);

/* replay_links.c */

/* Opens what may be opened of the sessions waiting for a target. */
void replay_pump_target(struct replay *r, struct target *t, uint64_t now_us);
void replay_on_first_response(struct replay *r, struct target *t,
			      uint64_t now_us);
void replay_push_msg(struct replay *r, struct copy *c);
/* The link of a group that serves who prefers this number, -1: none is up. */
int replay_pick_link(const struct replay *r, unsigned group, unsigned number);
/* The group that is to inject a copy's packets: one that has its route. */
unsigned replay_relay_group(const struct replay *r, const struct copy *c);
/* The number that a new session is to prefer. */
uint8_t replay_new_link(struct replay *r, const struct copy *c);
/* It has to answer (again) before it gets more than one session a second. */
void replay_forget_proof(struct target *t, uint64_t now_us);
/* After what a target is reached by, or who vouches for it, has changed. */
void replay_refresh_target(struct replay *r, struct target *t, uint64_t now_us);
void replay_on_links_timer(struct replay *r, uint64_t now_us);
uint64_t replay_links_deadline_us(const struct replay *r);

/* replay_vouch.c */

/* What the intercepts that see this target's answers say of their guards. */
enum guarded replay_guarded(const struct replay *r, const struct target *t,
			    uint64_t now_us);
void replay_on_status(struct replay *r, unsigned link_id,
		      const struct wire_status *status, uint64_t now_us);
/* A link has come or gone: what it said last is void, but for the lease that
 * it ended. */
void replay_link_vouches_no_more(struct replay *r, unsigned link_id);
/* A lease is over (r->lease_us has come), or a link has come or gone. */
void replay_on_leases(struct replay *r, uint64_t now_us);

#endif
