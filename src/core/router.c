// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Routes are blocks of a pool, found by a chained hash over (client, target);
 * targets are few and stand in a small table, so that a route stays small.
 * An instance keeps the number of its links that are up and one of them; a
 * route whose own link is down, or belongs to somebody else by now, goes by
 * that one. So nothing needs to be done for each route when a link goes.
 */
#include "core/router.h"

#include <string.h>

#include "core/check.h"

#define TARGETS_MAX 4096u
#define NO_OWNER    UINT16_MAX

struct route {
	struct ip_addr client;
	uint64_t route_id;
	uint32_t chain; /* route + 1, 0: none */
	uint32_t link_id;
	uint16_t client_port;
	uint16_t target; /* in the table of targets */
	uint16_t owner;	 /* in the table of instances, NO_OWNER: free block */
};

struct instance {
	uint64_t id;
	uint32_t links;	  /* that are up */
	uint32_t link_id; /* one of them */
	uint32_t routes;
	uint64_t ownerless_us; /* since then no link; UINT64_MAX: has one */
	bool known;
};

struct router {
	struct pool routes;
	uint32_t *buckets;
	uint32_t bucket_mask;
	struct hash_key key;
	struct instance instances[ROUTER_INSTANCES_MAX];
	struct endpoint targets[TARGETS_MAX];
	uint32_t target_count;
	uint16_t *link_owner; /* by link id, NO_OWNER: down */
	uint32_t links_max;
};

static size_t buckets_bytes(const struct router *rt)
{
	return ((size_t)rt->bucket_mask + 1) * sizeof(rt->buckets[0]);
}

static size_t owners_bytes(const struct router *rt)
{
	return rt->links_max * sizeof(rt->link_owner[0]);
}

struct router *router_new(uint32_t routes_max, uint32_t links_max,
			  const struct hash_key *key, const struct mem *mem)
{
	struct router *rt = mem->alloc(mem->ctx, sizeof(*rt));
	uint32_t buckets = 1;

	if (!rt)
		return NULL;
	while (buckets < routes_max && buckets < 1u << 31)
		buckets <<= 1;
	rt->bucket_mask = buckets - 1;
	rt->key = *key;
	rt->links_max = links_max;
	rt->link_owner = mem->alloc(mem->ctx, owners_bytes(rt));
	rt->buckets = mem->alloc(mem->ctx, buckets_bytes(rt));
	if (!rt->link_owner || !rt->buckets ||
	    !pool_init(&rt->routes, mem, sizeof(struct route), routes_max)) {
		router_free(rt, mem);
		return NULL;
	}
	for (uint32_t i = 0; i < links_max; i++)
		rt->link_owner[i] = NO_OWNER;
	return rt;
}

void router_free(struct router *rt, const struct mem *mem)
{
	pool_fini(&rt->routes, mem);
	if (rt->buckets)
		mem->free(mem->ctx, rt->buckets, buckets_bytes(rt));
	if (rt->link_owner)
		mem->free(mem->ctx, rt->link_owner, owners_bytes(rt));
	mem->free(mem->ctx, rt, sizeof(*rt));
}

static struct route *route_at(const struct router *rt, uint32_t index)
{
	return pool_at(&rt->routes, index);
}

bool router_link_up(struct router *rt, uint32_t link_id, uint64_t instance)
{
	struct instance *spare = NULL;

	ASSERT(link_id < rt->links_max);
	for (uint16_t i = 0; i < ROUTER_INSTANCES_MAX; i++) {
		struct instance *in = &rt->instances[i];

		if (in->known && in->id == instance) {
			spare = in;
			break;
		}
		if (!spare && !in->known)
			spare = in;
	}
	if (!spare)
		return false;
	if (!spare->known)
		*spare = (struct instance){.id = instance, .known = true};
	spare->links++;
	spare->link_id = link_id;
	spare->ownerless_us = UINT64_MAX;
	rt->link_owner[link_id] = (uint16_t)(spare - rt->instances);
	return true;
}

void router_link_down(struct router *rt, uint32_t link_id, uint64_t now_us)
{
	uint16_t owner = rt->link_owner[link_id];
	struct instance *in;

	if (owner == NO_OWNER)
		return;
	rt->link_owner[link_id] = NO_OWNER;
	in = &rt->instances[owner];
	in->links--;
	if (in->links == 0) {
		in->link_id = ROUTER_NO_LINK;
		in->ownerless_us = now_us;
		return;
	}
	for (uint32_t i = 0; i < rt->links_max; i++)
		if (rt->link_owner[i] == owner)
			in->link_id = i;
}

/* The target's place in its table, TARGETS_MAX: not there. */
static uint32_t find_target(const struct router *rt, const struct endpoint *e)
{
	for (uint32_t i = 0; i < rt->target_count; i++)
		if (endpoint_equal(&rt->targets[i], e))
			return i;
	return TARGETS_MAX;
}

static uint32_t *bucket_of(const struct router *rt,
			   const struct endpoint *client, uint32_t target)
{
	uint8_t bytes[sizeof(*client) + sizeof(target)];

	memcpy(bytes, client, sizeof(*client));
	memcpy(bytes + sizeof(*client), &target, sizeof(target));
	return &rt->buckets[keyed_hash(&rt->key, bytes, sizeof(bytes)) &
			    rt->bucket_mask];
}

static struct route *lookup(const struct router *rt,
			    const struct endpoint *client, uint32_t target)
{
	uint32_t link = *bucket_of(rt, client, target);

	while (link) {
		struct route *r = route_at(rt, link - 1);

		if (r->target == target && r->client_port == client->port &&
		    addr_equal(&r->client, &client->addr))
			return r;
		link = r->chain;
	}
	return NULL;
}

static struct route *insert(struct router *rt, const struct wire_route *route,
			    uint32_t target)
{
	uint32_t *bucket = bucket_of(rt, &route->client, target);
	uint32_t index = pool_take(&rt->routes);
	struct route *r;

	if (index == POOL_NONE)
		return NULL;
	r = route_at(rt, index);
	*r = (struct route){
		.client = route->client.addr,
		.client_port = route->client.port,
		.target = (uint16_t)target,
		.chain = *bucket,
		.owner = NO_OWNER,
	};
	*bucket = index + 1;
	return r;
}

static void drop(struct router *rt, struct route *r)
{
	struct endpoint client = {.addr = r->client, .port = r->client_port};
	uint32_t index = pool_index(&rt->routes, r);
	uint32_t *link = bucket_of(rt, &client, r->target);

	while (*link != index + 1)
		link = &route_at(rt, *link - 1)->chain;
	*link = r->chain;
	rt->instances[r->owner].routes--;
	r->owner = NO_OWNER;
	pool_give(&rt->routes, index);
}

enum router_result router_add(struct router *rt, uint32_t link_id,
			      const struct wire_route *route)
{
	uint16_t owner = rt->link_owner[link_id];
	uint32_t target = find_target(rt, &route->target);
	struct route *r;

	if (owner == NO_OWNER)
		return ROUTER_FULL;
	if (target == TARGETS_MAX) {
		if (rt->target_count == TARGETS_MAX)
			return ROUTER_FULL;
		target = rt->target_count++;
		rt->targets[target] = route->target;
	}
	r = lookup(rt, &route->client, target);
	if (r && r->owner != owner)
		return ROUTER_REFUSED;
	if (!r) {
		r = insert(rt, route, target);
		if (!r)
			return ROUTER_FULL;
		r->owner = owner;
		rt->instances[owner].routes++;
	}
	r->route_id = route->route_id;
	r->link_id = link_id;
	return ROUTER_ADDED;
}

bool router_del(struct router *rt, uint32_t link_id,
		const struct wire_route *route)
{
	uint32_t target = find_target(rt, &route->target);
	struct route *r;

	if (target == TARGETS_MAX)
		return false;
	r = lookup(rt, &route->client, target);
	if (!r || r->owner != rt->link_owner[link_id] ||
	    r->route_id != route->route_id)
		return false;
	drop(rt, r);
	return true;
}

bool router_find(const struct router *rt, const struct four_tuple *tuple,
		 uint64_t *route_id, uint32_t *link_id)
{
	uint32_t target = find_target(rt, &tuple->src);
	const struct route *r;

	if (target == TARGETS_MAX)
		return false;
	r = lookup(rt, &tuple->dst, target);
	if (!r)
		return false;
	*route_id = r->route_id;
	*link_id = rt->link_owner[r->link_id] == r->owner
			   ? r->link_id
			   : rt->instances[r->owner].link_id;
	return true;
}

static bool is_over(const struct instance *in, uint64_t before_us)
{
	return in->known && in->links == 0 && in->ownerless_us <= before_us;
}

uint32_t router_expire(struct router *rt, uint64_t before_us)
{
	uint32_t dropped = 0;
	bool any = false;

	for (uint32_t i = 0; i < ROUTER_INSTANCES_MAX; i++)
		any = any || is_over(&rt->instances[i], before_us);
	for (uint32_t i = 0; any && i < rt->routes.fresh; i++) {
		struct route *r = route_at(rt, i);

		if (r->owner == NO_OWNER ||
		    !is_over(&rt->instances[r->owner], before_us))
			continue;
		drop(rt, r);
		dropped++;
	}
	for (uint32_t i = 0; i < ROUTER_INSTANCES_MAX; i++)
		if (is_over(&rt->instances[i], before_us))
			rt->instances[i].known = false;
	return dropped;
}

uint64_t router_ownerless_us(const struct router *rt)
{
	uint64_t first = UINT64_MAX;

	for (uint32_t i = 0; i < ROUTER_INSTANCES_MAX; i++) {
		const struct instance *in = &rt->instances[i];

		if (in->known && in->ownerless_us < first)
			first = in->ownerless_us;
	}
	return first;
}

uint32_t router_routes(const struct router *rt)
{
	return rt->routes.used;
}
