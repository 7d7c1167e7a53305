/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose session a tuple is. A route belongs to an instance (one tcpcopy), not
 * to a link: it goes by the link that it was registered on, or by any other of
 * its instance's once that one is down.
 */
#ifndef CORE_ROUTER_H
#define CORE_ROUTER_H

#include "core/addr.h"
#include "core/pool.h"
#include "core/wire.h"

#define ROUTER_INSTANCES_MAX 1024u
#define ROUTER_LINKS_MAX     65535u
#define ROUTER_NO_LINK	     UINT32_MAX
#define ROUTER_LOCALS_MAX    65535u
/* Blocks that one router_expire() looks at. */
#define ROUTER_SWEEP 4096u

enum router_result {
	ROUTER_ADDED,
	ROUTER_REFUSED,
	ROUTER_FULL,
	ROUTER_LATE /* a later session of the instance has the tuple */
};

struct route;

struct router_hit {
	struct route *route; /* as long as it is there */
	uint64_t route_id;
	uint32_t iss;
	uint32_t link_id;   /* or ROUTER_NO_LINK */
	uint32_t local;	    /* see router_set_local() */
	uint16_t mss_bytes; /* see router_set_mss() */
};

/* An answer's route, still to be found. Only until the next call that may
 * change the table. */
struct router_look {
	struct four_tuple ends; /* client -> target */
	const uint32_t *bucket;
};

struct router;
struct locals;

/* NULL: no memory. Link ids are below links_max <= ROUTER_LINKS_MAX. */
struct router *router_new(uint32_t routes_max, uint32_t links_max,
			  const struct hash_key *key, const struct mem *mem);
void router_free(struct router *rt, const struct mem *mem);

/* A link that was down is up. false: too many instances; it can register
 * nothing. */
bool router_link_up(struct router *rt, uint32_t link_id, uint64_t instance);
void router_link_down(struct router *rt, uint32_t link_id, uint64_t now_us);

/* Registers, or replaces what the same instance has registered, unless the
 * upper half of its id is a later one. Full: all of the table, or three
 * quarters of it with the same instance's. */
enum router_result router_add(struct router *rt, uint32_t link_id,
			      const struct wire_route *route);
/* true: it was there, the link's instance owns it, and the id is the same. */
bool router_del(struct router *rt, uint32_t link_id,
		const struct wire_route *route);
/* Three steps to the route of target -> client; who looks for several takes
 * the first for all of them, then the second, then the last. */
struct router_look router_look(const struct router *rt,
			       const struct four_tuple *tuple);
void router_fetch(const struct router *rt, const struct router_look *look);
/* false: none. */
bool router_find(const struct router *rt, const struct router_look *look,
		 struct router_hit *hit);
/* The link's instance has registered the session that this packet, client ->
 * target, belongs to. */
bool router_owns(const struct router *rt, uint32_t link_id,
		 const struct four_tuple *tuple, struct router_hit *hit);
/* About one that is there; *ends: client -> target. */
void router_tell(const struct router *rt, struct route *route,
		 struct router_hit *hit, struct four_tuple *ends);
/* What of locals belongs to the route, or POOL_NONE; it ends with the route, or
 * with the SYN that the route is for. Of at most ROUTER_LOCALS_MAX. */
void router_use_locals(struct router *rt, struct locals *locals);
void router_set_local(struct route *route, uint32_t local);
/* What the client has said in its SYN; 0: not known. */
void router_set_mss(struct route *route, uint16_t mss_bytes);
/* The link's instance begins to tell all its routes again, or has told them.
 * true: all of them are told, and router_expire() is to be called soon. */
bool router_round(struct router *rt, uint32_t link_id,
		  const struct wire_round *round);

/* Routes dropped because their instance ... */
struct router_dropped {
	uint64_t ownerless; /* has had no link for too long */
	uint64_t untold;    /* has told all it has, and these were not among */
};

/* Drops routes of instances that have had no link since before_us, and those
 * left over by a round, a bounded number at a time; adds how many. true: there
 * may be more, call again soon. */
bool router_expire(struct router *rt, uint64_t before_us,
		   struct router_dropped *dropped);
/* Since when the first of the instances has had no link, UINT64_MAX: none. One
 * that router_expire() is about does not count. */
uint64_t router_ownerless_us(const struct router *rt);
uint32_t router_routes(const struct router *rt);

#endif
