// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * One entry for each tuple that is live or remembered, found by a chained
 * hash: an address's towards a target, and from there on its ports (addr.h).
 * Entries not live stand in a list in the order in which they were released, so
 * that the head has lingered longest; it is forgotten when its linger is over
 * or when an entry is needed. Those that may be taken again stand in a second
 * such list, of their address (tuple_addrs.c), so that the oldest of an address
 * is known at once.
 *
 * A search walks the ports of its own slice first and the others after that
 * (tuple_ports.c). An address counts its used ports: one that has none left is
 * passed over without a look. Another process that serves the same clients is
 * likely to have taken a run of ports where we search: after two refusals a
 * search leaves its slice and jumps, twice as far each time, so that 16 of them
 * get past any run.
 */
#include "core/tuples.h"

#include "core/check.h"
#include "core/tuple_addrs.h"

/* Addresses whose slice is looked at before all ports of one are. */
#define SLICE_ADDRS 256u

/* Lists that an entry stands in: of all that rest, of its address's. */
enum { ALL, OWN, LISTS };

struct entry {
	uint32_t addr; /* its record */
	uint16_t port;
	bool live : 1;
	bool barred : 1;   /* somebody else's; in no address's list */
	bool has_sent : 1; /* a SYN, with this iss: */
	uint32_t iss;
	uint32_t chain;
	struct {
		uint32_t older, newer;
	} in[LISTS];
	uint32_t snd_nxt;
	uint32_t released_ms;
};

_Static_assert(sizeof(struct entry) + sizeof(struct tuple_addr) +
			       4 * sizeof(uint32_t) / TUPLES_A_BUCKET <=
		       TUPLES_EACH_BYTES,
	       "what one may cost, with its part of both tables' buckets");

struct tuples {
	struct pool entries;
	struct tuple_addrs addrs;
	uint32_t *buckets; /* entry + 1, 0: none */
	uint32_t bucket_mask;
	struct tuple_list rested;
	struct tuple_ports ports;
	size_t range_cursor; /* the address that was found last */
	uint32_t addr_cursor;
};

static uint32_t pow2_above(uint32_t n)
{
	uint32_t p = 1;

	while (p < n && p < 1u << 31)
		p <<= 1;
	return p;
}

static size_t buckets_bytes(const struct tuples *t)
{
	return ((size_t)t->bucket_mask + 1) * sizeof(t->buckets[0]);
}

struct tuples *tuples_new(const struct tuples_config *cfg,
			  const struct mem *mem)
{
	struct tuples *t = mem->alloc(mem->ctx, sizeof(*t));

	if (!t)
		return NULL;
	t->bucket_mask = pow2_above(cfg->count / TUPLES_A_BUCKET) - 1;
	t->rested = (struct tuple_list){POOL_NONE, POOL_NONE};
	tuple_ports_init(&t->ports, cfg->port_slice, cfg->port_count,
			 cfg->barred_ports, cfg->barred_port_count,
			 &cfg->split);
	t->buckets = mem->alloc(mem->ctx, buckets_bytes(t));
	if (t->buckets &&
	    pool_init(&t->entries, mem, sizeof(struct entry), cfg->count) &&
	    tuple_addrs_init(&t->addrs, mem, cfg->count, &cfg->hash_key))
		return t;
	pool_fini(&t->entries, mem);
	if (t->buckets)
		mem->free(mem->ctx, t->buckets, buckets_bytes(t));
	mem->free(mem->ctx, t, sizeof(*t));
	return NULL;
}

void tuples_free(struct tuples *t, const struct mem *mem)
{
	tuple_addrs_fini(&t->addrs, mem);
	pool_fini(&t->entries, mem);
	mem->free(mem->ctx, t->buckets, buckets_bytes(t));
	mem->free(mem->ctx, t, sizeof(*t));
}

static struct entry *entry_at(const struct tuples *t, uint32_t id)
{
	return pool_at(&t->entries, id);
}

static struct tuple_addr *addr_of(const struct tuples *t, const struct entry *e)
{
	return tuple_addrs_at(&t->addrs, e->addr);
}

static uint32_t *bucket_of(const struct tuples *t, uint32_t addr, uint32_t port)
{
	uint32_t hash = tuple_addrs_at(&t->addrs, addr)->hash;

	return &t->buckets[(hash + port_step((uint16_t)port)) & t->bucket_mask];
}

static uint32_t lookup(const struct tuples *t, uint32_t addr, uint32_t port)
{
	uint32_t link = *bucket_of(t, addr, port);

	while (link) {
		const struct entry *e = entry_at(t, link - 1);

		if (e->addr == addr && e->port == port)
			return link - 1;
		link = e->chain;
	}
	return POOL_NONE;
}

static void list_remove(struct tuples *t, struct tuple_list *list, int which,
			const struct entry *e)
{
	uint32_t older = e->in[which].older, newer = e->in[which].newer;

	if (older == POOL_NONE)
		list->oldest = newer;
	else
		entry_at(t, older)->in[which].newer = newer;
	if (newer == POOL_NONE)
		list->newest = older;
	else
		entry_at(t, newer)->in[which].older = older;
}

static void list_append(struct tuples *t, struct tuple_list *list, int which,
			uint32_t id)
{
	struct entry *e = entry_at(t, id);

	e->in[which].older = list->newest;
	e->in[which].newer = POOL_NONE;
	if (list->newest == POOL_NONE)
		list->oldest = id;
	else
		entry_at(t, list->newest)->in[which].newer = id;
	list->newest = id;
}

static void leave_lists(struct tuples *t, const struct entry *e)
{
	list_remove(t, &t->rested, ALL, e);
	if (!e->barred)
		list_remove(t, &addr_of(t, e)->rested, OWN, e);
}

/* Counts an entry in (1) or out (-1) of its address's record. */
static void count_port(const struct tuples *t, const struct entry *e, int by)
{
	struct tuple_addr *a = addr_of(t, e);

	a->tuples += (uint32_t)by;
	if (!tuple_ports_usable(&t->ports, e->port))
		return;
	for (enum tuple_span i = 0; i < SPANS; i++)
		if (tuple_ports_has(&t->ports, i, e->port))
			a->used[i] = (uint16_t)(a->used[i] + by);
}

static void forget(struct tuples *t, uint32_t id)
{
	struct entry *e = entry_at(t, id);
	uint32_t *link = bucket_of(t, e->addr, e->port);

	while (*link != id + 1)
		link = &entry_at(t, *link - 1)->chain;
	*link = e->chain;
	leave_lists(t, e);
	count_port(t, e, -1);
	if (addr_of(t, e)->tuples == 0)
		tuple_addrs_remove(&t->addrs, e->addr);
	pool_give(&t->entries, id);
}

static bool lingers(const struct entry *e, uint64_t now_us)
{
	uint32_t age_ms = (uint32_t)(now_us / 1000) - e->released_ms;

	return age_ms < TUPLES_LINGER_US / 1000;
}

static void forget_expired(struct tuples *t, uint64_t now_us)
{
	while (t->rested.oldest != POOL_NONE &&
	       !lingers(entry_at(t, t->rested.oldest), now_us))
		forget(t, t->rested.oldest);
}

/* All are live. */
static bool is_full(const struct tuples *t)
{
	return t->entries.used == t->entries.count &&
	       t->rested.oldest == POOL_NONE;
}

/* addr: the client's record, or POOL_NONE. */
static struct tuple_claim claim_new(struct tuples *t, uint32_t target,
				    const struct endpoint *client,
				    uint32_t addr)
{
	struct tuple_claim claim = {.id = POOL_NONE};
	uint32_t *bucket;

	if (is_full(t))
		return claim;
	if (t->entries.used == t->entries.count) {
		forget(t, t->rested.oldest);
		addr = tuple_addrs_find(&t->addrs, target, &client->addr);
	}
	claim.id = pool_take(&t->entries);
	if (addr == POOL_NONE)
		addr = tuple_addrs_add(&t->addrs, target, &client->addr);
	ASSERT(addr != POOL_NONE); /* as many as entries */
	bucket = bucket_of(t, addr, client->port);
	*entry_at(t, claim.id) = (struct entry){
		.addr = addr,
		.port = client->port,
		.chain = *bucket,
		.live = true,
	};
	*bucket = claim.id + 1;
	count_port(t, entry_at(t, claim.id), 1);
	return claim;
}

static struct tuple_claim claim_again(struct tuples *t, uint32_t id)
{
	struct entry *e = entry_at(t, id);

	leave_lists(t, e);
	e->live = true;
	return (struct tuple_claim){
		.id = id,
		.used_before = true,
		.snd_nxt = e->snd_nxt,
	};
}

struct tuple_claim tuples_claim(struct tuples *t, uint32_t target,
				const struct endpoint *client, uint64_t now_us)
{
	struct tuple_claim none = {.id = POOL_NONE};
	uint32_t addr, id = POOL_NONE;

	forget_expired(t, now_us);
	if (!split_is_ours(&t->ports.split, client->port))
		return none;
	addr = tuple_addrs_find(&t->addrs, target, &client->addr);
	if (addr != POOL_NONE)
		id = lookup(t, addr, client->port);
	if (id == POOL_NONE)
		return claim_new(t, target, client, addr);
	if (entry_at(t, id)->live || entry_at(t, id)->barred)
		return none;
	return claim_again(t, id);
}

static bool port_taken(const struct tuples *t, uint32_t addr, uint32_t port)
{
	return !tuple_ports_usable(&t->ports, port) ||
	       (addr != POOL_NONE && lookup(t, addr, port) != POOL_NONE);
}

static struct tuple_claim find_port(struct tuples *t, uint32_t target,
				    struct ip_addr at, enum tuple_span span)
{
	uint32_t addr = tuple_addrs_find(&t->addrs, target, &at);
	struct endpoint client = {.addr = at};
	uint32_t used = 0;

	if (addr != POOL_NONE)
		used = tuple_addrs_at(&t->addrs, addr)->used[span];
	if (used == t->ports.spans[span].usable)
		return (struct tuple_claim){.id = POOL_NONE};
	do {
		client.port = tuple_ports_next(&t->ports, span);
	} while (port_taken(t, addr, client.port));
	return claim_new(t, target, &client, addr);
}

/* The addresses of a search, one after the other, for ever. */
struct walk {
	const struct addr_range *ranges;
	size_t count, range;
	uint32_t at;
};

static struct ip_addr walk_addr(const struct walk *w)
{
	return addr_range_at(&w->ranges[w->range], w->at);
}

static void walk_on(struct walk *w)
{
	if (++w->at < w->ranges[w->range].count)
		return;
	w->at = 0;
	w->range = (w->range + 1) % w->count;
}

/* From the address that was found last on. */
static struct tuple_claim find_new(struct tuples *t, uint32_t target,
				   struct walk *w, enum tuple_span span,
				   uint64_t addrs)
{
	struct tuple_claim claim = {.id = POOL_NONE};

	for (uint64_t n = 0; n < addrs; n++) {
		claim = find_port(t, target, walk_addr(w), span);
		if (claim.id != POOL_NONE)
			break;
		walk_on(w);
	}
	t->range_cursor = w->range;
	t->addr_cursor = w->at;
	return claim;
}

/* No address has a port left. */
static struct tuple_claim find_oldest(struct tuples *t, uint32_t target,
				      struct walk *w, uint64_t addrs,
				      uint64_t now_us)
{
	uint32_t oldest = POOL_NONE, oldest_ms = 0;

	for (uint64_t n = 0; n < addrs; n++, walk_on(w)) {
		struct ip_addr at = walk_addr(w);
		uint32_t addr = tuple_addrs_find(&t->addrs, target, &at);
		uint32_t id, age_ms;

		if (addr == POOL_NONE)
			continue;
		id = tuple_addrs_at(&t->addrs, addr)->rested.oldest;
		if (id == POOL_NONE)
			continue;
		age_ms = (uint32_t)(now_us / 1000) -
			 entry_at(t, id)->released_ms;
		if (oldest == POOL_NONE || age_ms > oldest_ms) {
			oldest = id;
			oldest_ms = age_ms;
		}
	}
	if (oldest == POOL_NONE)
		return (struct tuple_claim){.id = POOL_NONE};
	return claim_again(t, oldest);
}

static struct walk begin_walk(const struct tuples *t,
			      const struct addr_range *ranges, size_t count)
{
	struct walk w = {.ranges = ranges, .count = count};

	if (t->range_cursor < count &&
	    t->addr_cursor < ranges[t->range_cursor].count) {
		w.range = t->range_cursor;
		w.at = t->addr_cursor;
	}
	return w;
}

struct tuple_claim tuples_find(struct tuples *t, uint32_t target,
			       const struct addr_range *addrs,
			       size_t addr_count, unsigned refusals,
			       uint64_t now_us)
{
	struct tuple_claim claim = {.id = POOL_NONE};
	struct walk w = begin_walk(t, addrs, addr_count);
	uint64_t all = 0;

	forget_expired(t, now_us);
	if (is_full(t))
		return claim;
	for (size_t i = 0; i < addr_count; i++)
		all += addrs[i].count;
	if (refusals > 1)
		tuple_ports_jump(&t->ports, SPAN_WHOLE, refusals);
	else
		claim = find_new(t, target, &w, SPAN_SLICE,
				 all < SLICE_ADDRS ? all : SLICE_ADDRS);
	if (claim.id == POOL_NONE)
		claim = find_new(t, target, &w, SPAN_WHOLE, all);
	if (claim.id == POOL_NONE)
		claim = find_oldest(t, target, &w, all, now_us);
	return claim;
}

void tuples_note_syn(struct tuples *t, uint32_t id, uint32_t iss)
{
	entry_at(t, id)->iss = iss;
	entry_at(t, id)->has_sent = true;
}

bool tuples_has_sent(const struct tuples *t, uint32_t target,
		     const struct endpoint *client, uint32_t iss)
{
	uint32_t addr = tuple_addrs_find(&t->addrs, target, &client->addr);
	uint32_t id = POOL_NONE;

	if (addr != POOL_NONE)
		id = lookup(t, addr, client->port);
	return id != POOL_NONE && entry_at(t, id)->has_sent &&
	       entry_at(t, id)->iss == iss;
}

/* From now on it is remembered only. */
static struct entry *rest(struct tuples *t, uint32_t id, uint32_t snd_nxt,
			  uint64_t now_us)
{
	struct entry *e = entry_at(t, id);

	ASSERT(e->live);
	e->live = false;
	e->snd_nxt = snd_nxt;
	e->released_ms = (uint32_t)(now_us / 1000);
	list_append(t, &t->rested, ALL, id);
	return e;
}

void tuples_release(struct tuples *t, uint32_t id, uint32_t snd_nxt,
		    uint64_t now_us)
{
	const struct entry *e = rest(t, id, snd_nxt, now_us);

	list_append(t, &addr_of(t, e)->rested, OWN, id);
}

void tuples_bar(struct tuples *t, uint32_t id, uint64_t now_us)
{
	rest(t, id, 0, now_us)->barred = true;
}

struct endpoint tuples_client(const struct tuples *t, uint32_t id)
{
	const struct entry *e = entry_at(t, id);

	return (struct endpoint){addr_of(t, e)->addr, e->port};
}
