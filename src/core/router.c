// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Routes are blocks of a pool, found by a chained hash over (client, target).
 * Who looks for several takes each step for all of them, so that the waiting
 * for memory is shared.
 * An instance keeps the number of its links that are up and one of them; a
 * route whose own link is down, or belongs to somebody else by now, goes by
 * that one. So nothing needs to be done for each route when a link goes.
 *
 * One instance gets three quarters of the table at most, so that others find
 * room whatever it does.
 *
 * An instance without a link is kept as long as it has routes. Its end is a
 * sweep over all blocks, in steps, since packets wait meanwhile: it is marked
 * as ending, then its routes go, then its place in the table. A link that
 * comes up in between takes the mark away, and what is left of its routes
 * stays.
 *
 * A deregistration may be lost with its link. So an instance tells all its
 * routes again after each change of its links, in a numbered round that begins
 * and ends on each of them. A route remembers the last round in which it was
 * told. When a round has ended on every link, a sweep takes away what was told
 * in earlier ones only. A round during which a link has come or gone here says
 * nothing: some of it may have been lost, and the instance will begin another.
 */
#include "core/router.h"

#include <string.h>

#include "core/check.h"
#include "core/local_ack.h"
#include "core/seq.h"

#define NO_OWNER UINT16_MAX
#define NO_LOCAL UINT16_MAX
/* Each answer needs its route, but few tables are ever full: buckets for all
 * that fit would mostly be empty, and every page of them touched. */
#define ROUTES_A_BUCKET 4u

struct route {
	struct four_tuple ends; /* client -> target */
	uint32_t iss;
	uint64_t route_id;
	uint32_t chain; /* route + 1, 0: none */
	uint32_t round; /* the last in which it was told */
	uint16_t link_id;
	uint16_t owner; /* in the table of instances, NO_OWNER: free block */
	uint16_t local; /* NO_LOCAL: none */
	uint16_t mss_bytes;
};

_Static_assert(sizeof(struct route) <= 64, "there are very many of them");

struct instance {
	uint64_t id;
	uint64_t ownerless_us; /* since then no link; UINT64_MAX: has one */
	uint32_t links;	       /* that are up */
	uint32_t link_id;      /* one of them */
	uint32_t routes;
	uint32_t round;	  /* the last that has begun */
	uint32_t ended;	  /* links on which it has ended */
	uint32_t told_in; /* routes not told since then are to go */
	bool known, ending;
	bool disturbed;	     /* links have changed since the round began */
	bool told, sweeping; /* a sweep is due, is going on */
};

struct link {
	uint32_t round;
	uint16_t owner; /* NO_OWNER: down */
	bool ended;	/* the round has */
};

struct router {
	struct pool routes;
	uint32_t *buckets;
	uint32_t bucket_mask;
	struct hash_key key;
	struct instance instances[ROUTER_INSTANCES_MAX];
	struct link *links; /* by link id */
	uint32_t links_max;
	uint32_t each_max; /* routes of one instance */
	uint32_t sweep_at; /* next block; POOL_NONE: no sweep */
	struct locals *locals;
};

static size_t buckets_bytes(const struct router *rt)
{
	return ((size_t)rt->bucket_mask + 1) * sizeof(rt->buckets[0]);
}

static size_t links_bytes(const struct router *rt)
{
	return rt->links_max * sizeof(rt->links[0]);
}

struct router *router_new(uint32_t routes_max, uint32_t links_max,
			  const struct hash_key *key, const struct mem *mem)
{
	struct router *rt = mem->alloc(mem->ctx, sizeof(*rt));
	uint32_t buckets = 1;

	ASSERT(links_max <= ROUTER_LINKS_MAX);
	if (!rt)
		return NULL;
	while (buckets < routes_max / ROUTES_A_BUCKET)
		buckets <<= 1;
	rt->bucket_mask = buckets - 1;
	rt->key = *key;
	rt->links_max = links_max;
	rt->each_max = routes_max - routes_max / 4;
	rt->sweep_at = POOL_NONE;
	rt->links = mem->alloc(mem->ctx, links_bytes(rt));
	rt->buckets = mem->alloc(mem->ctx, buckets_bytes(rt));
	if (!rt->links || !rt->buckets ||
	    !pool_init(&rt->routes, mem, sizeof(struct route), routes_max)) {
		router_free(rt, mem);
		return NULL;
	}
	for (uint32_t i = 0; i < links_max; i++)
		rt->links[i].owner = NO_OWNER;
	return rt;
}

void router_free(struct router *rt, const struct mem *mem)
{
	pool_fini(&rt->routes, mem);
	if (rt->buckets)
		mem->free(mem->ctx, rt->buckets, buckets_bytes(rt));
	if (rt->links)
		mem->free(mem->ctx, rt->links, links_bytes(rt));
	mem->free(mem->ctx, rt, sizeof(*rt));
}

static struct route *route_at(const struct router *rt, uint32_t index)
{
	return pool_at(&rt->routes, index);
}

/* The instance's place, or a free one; NULL: neither. */
static struct instance *place_of(struct router *rt, uint64_t id)
{
	struct instance *spare = NULL;

	for (uint32_t i = 0; i < ROUTER_INSTANCES_MAX; i++) {
		struct instance *in = &rt->instances[i];

		if (in->known && in->id == id)
			return in;
		if (!in->known && !spare)
			spare = in;
	}
	return spare;
}

bool router_link_up(struct router *rt, uint32_t link_id, uint64_t instance)
{
	struct instance *in = place_of(rt, instance);

	ASSERT(link_id < rt->links_max && rt->links[link_id].owner == NO_OWNER);
	if (!in)
		return false;
	if (!in->known)
		*in = (struct instance){.id = instance, .known = true};
	in->links++;
	in->link_id = link_id;
	in->ownerless_us = UINT64_MAX;
	in->ending = false;
	in->disturbed = true;
	rt->links[link_id] = (struct link){
		.round = in->round,
		.owner = (uint16_t)(in - rt->instances),
	};
	return true;
}

void router_link_down(struct router *rt, uint32_t link_id, uint64_t now_us)
{
	uint16_t owner = rt->links[link_id].owner;
	struct instance *in;

	if (owner == NO_OWNER)
		return;
	rt->links[link_id].owner = NO_OWNER;
	in = &rt->instances[owner];
	in->links--;
	in->disturbed = true;
	if (in->links == 0) {
		in->link_id = ROUTER_NO_LINK;
		in->ownerless_us = now_us;
		in->known = in->routes > 0;
		return;
	}
	for (uint32_t i = 0; i < rt->links_max; i++)
		if (rt->links[i].owner == owner)
			in->link_id = i;
}

static uint32_t *bucket_of(const struct router *rt,
			   const struct four_tuple *ends)
{
	return &rt->buckets[four_tuple_hash(&rt->key, ends) & rt->bucket_mask];
}

static struct route *lookup_in(const struct router *rt, const uint32_t *bucket,
			       const struct four_tuple *ends)
{
	uint32_t link = *bucket;

	while (link) {
		struct route *r = route_at(rt, link - 1);

		if (four_tuple_equal(&r->ends, ends))
			return r;
		link = r->chain;
	}
	return NULL;
}

static struct route *lookup(const struct router *rt,
			    const struct four_tuple *ends)
{
	return lookup_in(rt, bucket_of(rt, ends), ends);
}

static struct four_tuple ends_of(const struct wire_route *route)
{
	return (struct four_tuple){.src = route->client, .dst = route->target};
}

static struct route *insert(struct router *rt, const struct four_tuple *ends,
			    uint16_t owner, uint32_t round)
{
	uint32_t *bucket = bucket_of(rt, ends);
	uint32_t index;
	struct route *r;

	if (rt->instances[owner].routes == rt->each_max)
		return NULL;
	index = pool_take(&rt->routes);
	if (index == POOL_NONE)
		return NULL;
	r = route_at(rt, index);
	*r = (struct route){
		.ends = *ends,
		.chain = *bucket,
		.round = round,
		.owner = owner,
		.local = NO_LOCAL,
	};
	*bucket = index + 1;
	rt->instances[owner].routes++;
	return r;
}

static void end_local(struct router *rt, struct route *r)
{
	if (r->local != NO_LOCAL)
		locals_end(rt->locals, r->local);
	r->local = NO_LOCAL;
}

static void drop(struct router *rt, struct route *r)
{
	uint32_t index = pool_index(&rt->routes, r);
	uint32_t *link = bucket_of(rt, &r->ends);

	while (*link != index + 1)
		link = &route_at(rt, *link - 1)->chain;
	*link = r->chain;
	end_local(rt, r);
	rt->instances[r->owner].routes--;
	r->owner = NO_OWNER;
	pool_give(&rt->routes, index);
}

/* Words about two sessions that had the tuple one after the other may come by
 * links of different speed. */
static bool is_of_earlier(const struct wire_route *route, const struct route *r)
{
	return seq_lt((uint32_t)(route->route_id >> 32),
		      (uint32_t)(r->route_id >> 32));
}

enum router_result router_add(struct router *rt, uint32_t link_id,
			      const struct wire_route *route)
{
	const struct link *link = &rt->links[link_id];
	struct four_tuple ends = ends_of(route);
	struct route *r = lookup(rt, &ends);
	uint16_t owner = link->owner;

	if (owner == NO_OWNER)
		return ROUTER_FULL;
	if (r && r->owner != owner)
		return ROUTER_REFUSED;
	if (r && is_of_earlier(route, r))
		return ROUTER_LATE;
	if (!r)
		r = insert(rt, &ends, owner, link->round);
	if (!r)
		return ROUTER_FULL;
	if (r->iss != route->iss) { /* what is known is of another one */
		end_local(rt, r);
		r->mss_bytes = 0;
	}
	r->route_id = route->route_id;
	r->iss = route->iss;
	r->round = seq_max(r->round, link->round); /* links race */
	r->link_id = (uint16_t)link_id;
	return ROUTER_ADDED;
}

bool router_del(struct router *rt, uint32_t link_id,
		const struct wire_route *route)
{
	struct four_tuple ends = ends_of(route);
	struct route *r = lookup(rt, &ends);

	if (!r || r->owner != rt->links[link_id].owner ||
	    r->route_id != route->route_id)
		return false;
	drop(rt, r);
	return true;
}

struct router_look router_look(const struct router *rt,
			       const struct four_tuple *tuple)
{
	struct router_look look = {
		.ends = {.src = tuple->dst, .dst = tuple->src},
	};

	look.bucket = bucket_of(rt, &look.ends);
	__builtin_prefetch(look.bucket);
	return look;
}

void router_fetch(const struct router *rt, const struct router_look *look)
{
	if (*look->bucket)
		__builtin_prefetch(route_at(rt, *look->bucket - 1));
}

static inline void fill_hit(const struct router *rt, struct route *r,
			    struct router_hit *hit)
{
	*hit = (struct router_hit){
		.route_id = r->route_id,
		.iss = r->iss,
		.link_id = rt->links[r->link_id].owner == r->owner
				   ? r->link_id
				   : rt->instances[r->owner].link_id,
		.route = r,
		.local = r->local == NO_LOCAL ? POOL_NONE : r->local,
		.mss_bytes = r->mss_bytes,
	};
}

bool router_find(const struct router *rt, const struct router_look *look,
		 struct router_hit *hit)
{
	struct route *r = lookup_in(rt, look->bucket, &look->ends);

	if (!r)
		return false;
	fill_hit(rt, r, hit);
	return true;
}

void router_tell(const struct router *rt, struct route *route,
		 struct router_hit *hit, struct four_tuple *ends)
{
	fill_hit(rt, route, hit);
	*ends = route->ends;
}

void router_use_locals(struct router *rt, struct locals *locals)
{
	rt->locals = locals;
}

void router_set_local(struct route *route, uint32_t local)
{
	route->local = local == POOL_NONE ? NO_LOCAL : (uint16_t)local;
}

void router_set_mss(struct route *route, uint16_t mss_bytes)
{
	route->mss_bytes = mss_bytes;
}

bool router_owns(const struct router *rt, uint32_t link_id,
		 const struct four_tuple *tuple, struct router_hit *hit)
{
	struct route *r = lookup(rt, tuple);

	if (!r || r->owner != rt->links[link_id].owner)
		return false;
	fill_hit(rt, r, hit);
	return true;
}

static void begin_round(struct instance *in, struct link *link, uint32_t number)
{
	link->round = number;
	link->ended = false;
	if (!seq_gt(number, in->round))
		return;
	in->round = number;
	in->ended = 0;
	in->disturbed = false;
}

bool router_round(struct router *rt, uint32_t link_id,
		  const struct wire_round *round)
{
	struct link *link = &rt->links[link_id];
	struct instance *in;

	if (link->owner == NO_OWNER)
		return false;
	in = &rt->instances[link->owner];
	if (!round->ended) {
		begin_round(in, link, round->number);
		return false;
	}
	if (round->number != link->round || round->number != in->round ||
	    link->ended)
		return false;
	link->ended = true;
	if (++in->ended < in->links || in->disturbed)
		return false;
	in->told_in = in->round;
	in->told = true;
	return true;
}

/* Marks those of which something has to go; true: there are some. */
static bool begin_sweep(struct router *rt, uint64_t before_us)
{
	bool any = false;

	for (uint32_t i = 0; i < ROUTER_INSTANCES_MAX; i++) {
		struct instance *in = &rt->instances[i];

		in->ending = in->known && in->ownerless_us <= before_us;
		in->sweeping = in->known && in->told;
		in->told = false;
		any = any || in->ending || in->sweeping;
	}
	return any;
}

static void sweep(struct router *rt, struct route *r,
		  struct router_dropped *dropped)
{
	const struct instance *in;

	if (r->owner == NO_OWNER)
		return;
	in = &rt->instances[r->owner];
	if (in->ending) {
		drop(rt, r);
		dropped->ownerless++;
	} else if (in->sweeping && seq_lt(r->round, in->told_in)) {
		drop(rt, r);
		dropped->untold++;
	}
}

static void end_sweep(struct router *rt)
{
	rt->sweep_at = POOL_NONE;
	for (uint32_t i = 0; i < ROUTER_INSTANCES_MAX; i++) {
		struct instance *in = &rt->instances[i];

		in->sweeping = false;
		if (in->ending)
			in->known = in->ending = false;
	}
}

bool router_expire(struct router *rt, uint64_t before_us,
		   struct router_dropped *dropped)
{
	if (rt->sweep_at == POOL_NONE) {
		if (!begin_sweep(rt, before_us))
			return false;
		rt->sweep_at = 0;
	}
	for (uint32_t n = 0; n < ROUTER_SWEEP; n++) {
		if (rt->sweep_at >= rt->routes.fresh) {
			end_sweep(rt);
			return true;
		}
		sweep(rt, route_at(rt, rt->sweep_at++), dropped);
	}
	return true;
}

uint64_t router_ownerless_us(const struct router *rt)
{
	uint64_t first = UINT64_MAX;

	for (uint32_t i = 0; i < ROUTER_INSTANCES_MAX; i++) {
		const struct instance *in = &rt->instances[i];

		if (in->known && !in->ending && in->ownerless_us < first)
			first = in->ownerless_us;
	}
	return first;
}

uint32_t router_routes(const struct router *rt)
{
	return rt->routes.used;
}
