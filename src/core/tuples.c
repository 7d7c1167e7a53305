// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * One entry for each tuple that is live or remembered, found by a chained
 * hash over (client, target). Entries not live stand in a list in the order in
 * which they were released, so that the head has lingered longest; it is
 * forgotten when its linger is over or when an entry is needed.
 *
 * A search walks the ports of its own slice first and the others after that.
 * It goes on where the last one ended, so that a port rests as long as
 * possible and a search seldom looks at more than a few.
 */
#include "core/tuples.h"

#include <string.h>

#include "core/check.h"

#define PORTS	    (65536u - TUPLES_PORT_MIN)
#define SLICE_PORTS (PORTS / TUPLES_SLICES)
#define OLD_SEARCH  4096u

struct entry {
	struct endpoint client;
	uint16_t target;
	uint32_t chain;
	uint32_t older, newer; /* released ones only */
	uint32_t snd_nxt;
	uint32_t released_ms;
	bool live;
	bool barred; /* somebody else's */
};

struct tuples {
	struct pool entries;
	uint32_t *buckets; /* entry + 1, 0: none */
	uint32_t bucket_mask;
	uint32_t oldest, newest;
	uint32_t slice_first, slice_cursor, cursor;
	const uint16_t *barred_ports;
	size_t barred_port_count;
	struct hash_key hash_key;
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
	t->bucket_mask = pow2_above(cfg->count) - 1;
	t->oldest = t->newest = POOL_NONE;
	t->slice_first = cfg->port_slice * SLICE_PORTS;
	t->cursor = t->slice_first;
	t->barred_ports = cfg->barred_ports;
	t->barred_port_count = cfg->barred_port_count;
	t->hash_key = cfg->hash_key;
	t->buckets = mem->alloc(mem->ctx, buckets_bytes(t));
	if (t->buckets &&
	    pool_init(&t->entries, mem, sizeof(struct entry), cfg->count))
		return t;
	if (t->buckets)
		mem->free(mem->ctx, t->buckets, buckets_bytes(t));
	mem->free(mem->ctx, t, sizeof(*t));
	return NULL;
}

void tuples_free(struct tuples *t, const struct mem *mem)
{
	pool_fini(&t->entries, mem);
	mem->free(mem->ctx, t->buckets, buckets_bytes(t));
	mem->free(mem->ctx, t, sizeof(*t));
}

static struct entry *entry_at(const struct tuples *t, uint32_t id)
{
	return pool_at(&t->entries, id);
}

static uint32_t *bucket_of(const struct tuples *t, uint32_t target,
			   const struct endpoint *client)
{
	uint8_t key[sizeof(*client) + sizeof(target)];

	memcpy(key, client, sizeof(*client));
	memcpy(key + sizeof(*client), &target, sizeof(target));
	return &t->buckets[keyed_hash(&t->hash_key, key, sizeof(key)) &
			   t->bucket_mask];
}

static uint32_t lookup(const struct tuples *t, uint32_t target,
		       const struct endpoint *client)
{
	uint32_t link = *bucket_of(t, target, client);

	while (link) {
		const struct entry *e = entry_at(t, link - 1);

		if (e->target == target && endpoint_equal(&e->client, client))
			return link - 1;
		link = e->chain;
	}
	return POOL_NONE;
}

static void released_unlink(struct tuples *t, const struct entry *e)
{
	if (e->older == POOL_NONE)
		t->oldest = e->newer;
	else
		entry_at(t, e->older)->newer = e->newer;
	if (e->newer == POOL_NONE)
		t->newest = e->older;
	else
		entry_at(t, e->newer)->older = e->older;
}

static void released_append(struct tuples *t, uint32_t id)
{
	struct entry *e = entry_at(t, id);

	e->older = t->newest;
	e->newer = POOL_NONE;
	if (t->newest == POOL_NONE)
		t->oldest = id;
	else
		entry_at(t, t->newest)->newer = id;
	t->newest = id;
}

static void forget(struct tuples *t, uint32_t id)
{
	struct entry *e = entry_at(t, id);
	uint32_t *link = bucket_of(t, e->target, &e->client);

	while (*link != id + 1)
		link = &entry_at(t, *link - 1)->chain;
	*link = e->chain;
	released_unlink(t, e);
	pool_give(&t->entries, id);
}

static bool lingers(const struct entry *e, uint64_t now_us)
{
	uint32_t age_ms = (uint32_t)(now_us / 1000) - e->released_ms;

	return age_ms < TUPLES_LINGER_US / 1000;
}

static void forget_expired(struct tuples *t, uint64_t now_us)
{
	while (t->oldest != POOL_NONE &&
	       !lingers(entry_at(t, t->oldest), now_us))
		forget(t, t->oldest);
}

static uint32_t new_entry(struct tuples *t)
{
	uint32_t id = pool_take(&t->entries);

	if (id == POOL_NONE && t->oldest != POOL_NONE) {
		forget(t, t->oldest);
		id = pool_take(&t->entries);
	}
	return id;
}

static struct tuple_claim claim_new(struct tuples *t, uint32_t target,
				    const struct endpoint *client)
{
	struct tuple_claim claim = {.id = new_entry(t)};
	uint32_t *bucket = bucket_of(t, target, client);

	if (claim.id == POOL_NONE)
		return claim;
	*entry_at(t, claim.id) = (struct entry){
		.client = *client,
		.target = (uint16_t)target,
		.chain = *bucket,
		.live = true,
	};
	*bucket = claim.id + 1;
	return claim;
}

static struct tuple_claim claim_again(struct tuples *t, uint32_t id)
{
	struct entry *e = entry_at(t, id);

	released_unlink(t, e);
	e->live = true;
	e->barred = false;
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
	uint32_t id;

	forget_expired(t, now_us);
	id = lookup(t, target, client);
	if (id == POOL_NONE)
		return claim_new(t, target, client);
	if (entry_at(t, id)->live || entry_at(t, id)->barred)
		return none;
	return claim_again(t, id);
}

static bool port_barred(const struct tuples *t, uint32_t port)
{
	for (size_t i = 0; i < t->barred_port_count; i++)
		if (t->barred_ports[i] == port)
			return true;
	return false;
}

/* Tries `span` ports from `first` on (numbers from TUPLES_PORT_MIN up, modulo
 * PORTS), beginning at *cursor within them. */
static struct tuple_claim find_port(struct tuples *t, uint32_t target,
				    struct ip_addr addr, uint32_t first,
				    uint32_t span, uint32_t *cursor)
{
	struct endpoint client = {.addr = addr};

	for (uint32_t i = 0; i < span; i++) {
		uint32_t at = (*cursor + i) % span;
		uint32_t port = TUPLES_PORT_MIN + (first + at) % PORTS;

		client.port = (uint16_t)port;
		if (port_barred(t, port) ||
		    lookup(t, target, &client) != POOL_NONE)
			continue;
		*cursor = (at + 1) % span;
		return claim_new(t, target, &client);
	}
	return (struct tuple_claim){.id = POOL_NONE};
}

static bool among(const struct ip_addr *addr, const struct addr_range *addrs,
		  size_t addr_count)
{
	for (size_t i = 0; i < addr_count; i++) {
		struct ip_addr last =
			addr_range_at(&addrs[i], addrs[i].count - 1);

		if (memcmp(addr, &addrs[i].first, sizeof(*addr)) >= 0 &&
		    memcmp(addr, &last, sizeof(*addr)) <= 0)
			return true;
	}
	return false;
}

static struct tuple_claim find_oldest(struct tuples *t, uint32_t target,
				      const struct addr_range *addrs,
				      size_t addr_count)
{
	uint32_t id = t->oldest;

	for (uint32_t n = 0; id != POOL_NONE && n < OLD_SEARCH; n++) {
		const struct entry *e = entry_at(t, id);

		if (e->target == target && !e->barred &&
		    among(&e->client.addr, addrs, addr_count))
			return claim_again(t, id);
		id = e->newer;
	}
	return (struct tuple_claim){.id = POOL_NONE};
}

struct tuple_claim tuples_find(struct tuples *t, uint32_t target,
			       const struct addr_range *addrs,
			       size_t addr_count, uint64_t now_us)
{
	struct tuple_claim claim = {.id = POOL_NONE};

	forget_expired(t, now_us);
	for (int whole = 0; whole < 2; whole++) {
		for (size_t i = 0; i < addr_count; i++) {
			for (uint32_t j = 0; j < addrs[i].count; j++) {
				claim = find_port(
					t, target, addr_range_at(&addrs[i], j),
					whole ? 0 : t->slice_first,
					whole ? PORTS : SLICE_PORTS,
					whole ? &t->cursor : &t->slice_cursor);
				if (claim.id != POOL_NONE)
					return claim;
			}
		}
	}
	return find_oldest(t, target, addrs, addr_count);
}

void tuples_release(struct tuples *t, uint32_t id, uint32_t snd_nxt,
		    uint64_t now_us)
{
	struct entry *e = entry_at(t, id);

	ASSERT(e->live);
	e->live = false;
	e->snd_nxt = snd_nxt;
	e->released_ms = (uint32_t)(now_us / 1000);
	released_append(t, id);
}

void tuples_bar(struct tuples *t, uint32_t id, uint64_t now_us)
{
	tuples_release(t, id, 0, now_us);
	entry_at(t, id)->barred = true;
}

struct endpoint tuples_client(const struct tuples *t, uint32_t id)
{
	return entry_at(t, id)->client;
}
