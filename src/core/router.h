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

#define ROUTER_INSTANCES_MAX 256u
#define ROUTER_NO_LINK	     UINT32_MAX

enum router_result { ROUTER_ADDED, ROUTER_REFUSED, ROUTER_FULL };

struct router;

/* NULL: no memory. Link ids are below links_max. */
struct router *router_new(uint32_t routes_max, uint32_t links_max,
			  const struct hash_key *key, const struct mem *mem);
void router_free(struct router *rt, const struct mem *mem);

/* false: too many instances; the link can register nothing. */
bool router_link_up(struct router *rt, uint32_t link_id, uint64_t instance);
void router_link_down(struct router *rt, uint32_t link_id, uint64_t now_us);

/* Registers, or replaces what the same instance has registered. */
enum router_result router_add(struct router *rt, uint32_t link_id,
			      const struct wire_route *route);
/* true: it was there, the link's instance owns it, and the id is the same. */
bool router_del(struct router *rt, uint32_t link_id,
		const struct wire_route *route);
/* The route of target -> client. false: none. *link_id may be ROUTER_NO_LINK.
 */
bool router_find(const struct router *rt, const struct four_tuple *tuple,
		 uint64_t *route_id, uint32_t *link_id);
/* Drops the routes of instances that have had no link since before_us; returns
 * how many. */
uint32_t router_expire(struct router *rt, uint64_t before_us);
/* Since when the first of the instances has had no link, UINT64_MAX: none. */
uint64_t router_ownerless_us(const struct router *rt);
uint32_t router_routes(const struct router *rt);

#endif
