// SPDX-License-Identifier: BSD-2-Clause
/* What an engine is made of, and how its memory is divided. */
#include "core/pool_trim.h"
#include "core/replay_internal.h"

#define COPIES_MAX (1u << 22)

static void *take(const struct mem *mem, size_t count, size_t size, bool *ok)
{
	void *p = mem->alloc(mem->ctx, count * size + 1);

	if (!p)
		*ok = false;
	return p;
}

static void give(const struct mem *mem, void *p, size_t count, size_t size)
{
	if (p)
		mem->free(mem->ctx, p, count * size + 1);
}

/* Those of IPv4 first: each target can have only its own family's. */
static void copy_clients(struct replay *r, const struct replay_config *cfg)
{
	size_t n = 0;

	for (int v4 = 1; v4 >= 0; v4--)
		for (size_t i = 0; i < cfg->client_count; i++)
			if (addr_is_v4(&cfg->clients[i].first) == v4) {
				r->clients[n++] = cfg->clients[i];
				r->v4_client_count += (size_t)v4;
			}
}

static bool copy_config(struct replay *r, const struct replay_config *cfg,
			const struct mem *mem)
{
	bool ok = true;

	r->cfg = *cfg;
#define TAKE(field, count) take(mem, count, sizeof(*r->field), &ok)
	r->mappings = TAKE(mappings, cfg->mapping_count);
	r->targets = TAKE(targets, cfg->target_count);
	r->target_ports = TAKE(target_ports, cfg->target_count);
	r->clients = TAKE(clients, cfg->client_count);
	r->own_addrs = TAKE(own_addrs, cfg->own_addr_count);
	r->link_up = TAKE(link_up, replay_link_count(cfg));
	r->link_full = TAKE(link_full, replay_link_count(cfg));
	r->link_unarmed = TAKE(link_unarmed, replay_link_count(cfg));
	r->vouches = TAKE(vouches, cfg->group_count);
#undef TAKE
	if (!ok)
		return false;
	for (size_t i = 0; i < cfg->mapping_count; i++)
		r->mappings[i] = cfg->mappings[i];
	copy_clients(r, cfg);
	for (size_t i = 0; i < cfg->own_addr_count; i++)
		r->own_addrs[i] = cfg->own_addrs[i];
	return true;
}

static void init_target(struct replay *r, uint32_t i,
			const struct replay_config *cfg)
{
	struct target *t = &r->targets[i];
	uint16_t headers = addr_is_v4(&cfg->targets[i].at.addr) ? 40 : 60;

	*t = (struct target){
		.cfg = cfg->targets[i],
		.silent_at_us = TIME_NEVER,
		.params =
			{
				.mss_bytes =
					(uint16_t)(cfg->mtu_bytes - headers),
				.timeout_us = cfg->timeout_us,
				.max_hold_us = cfg->max_hold_us,
				.resend = cfg->resend,
			},
	};
	if (cfg->mss_bytes && cfg->mss_bytes < t->params.mss_bytes)
		t->params.mss_bytes = cfg->mss_bytes;
	replay_set_most(r, t);
	r->target_ports[i] = t->cfg.at.port;
}

static bool make_trace(struct replay *r, const struct mem *mem)
{
	if (addr_is_none(&r->cfg.trace.addr))
		return true;
	r->trace = trace_new(&r->cfg.trace, mem);
	r->trace_bytes = trace_bytes();
	return r->trace != NULL;
}

/* Half of the memory for connections, the rest for what they hold. */
static bool make_tables(struct replay *r, const struct replay_config *cfg,
			const struct mem *mem, uint64_t now_us)
{
	size_t each = sizeof(struct copy) + sizeof(struct copy_work) +
		      sizeof(struct flow) + FLOW_BUCKET_BYTES +
		      TUPLES_EACH_BYTES * 3 / 2;
	size_t memory_bytes = cfg->memory_bytes - r->trace_bytes;
	size_t connections = memory_bytes / 2 / each;
	uint32_t n =
		connections > COPIES_MAX ? COPIES_MAX : (uint32_t)connections;
	size_t left = memory_bytes - n * each;
	struct tuples_config tuples = {
		.count = n + n / 2,
		.port_slice = cfg->port_slice,
		.port_count = cfg->port_count,
		.barred_ports = r->target_ports,
		.barred_port_count = cfg->target_count,
		.split = cfg->split,
		.hash_key = cfg->hash_key,
	};

	if (cfg->memory_bytes < r->trace_bytes || n == 0)
		return false;
	r->flow_timers = timers_new(mem, now_us);
	r->copy_timers = timers_new(mem, now_us);
	r->tuples = tuples_new(&tuples, mem);
	return r->flow_timers && r->copy_timers && r->tuples &&
	       pool_init(&r->copies, mem, sizeof(struct copy), n) &&
	       pool_init(&r->works, mem, sizeof(struct copy_work), n) &&
	       pool_make_elastic(&r->copies, mem) &&
	       pool_make_elastic(&r->works, mem) &&
	       flow_table_init(&r->flows, mem, n, cfg->hash_key) &&
	       hold_store_init(&r->store, mem,
			       (uint32_t)(left * 7 / 8 / HOLD_EACH_BYTES),
			       (uint32_t)(left / 8 / sizeof(struct hold_turn)));
}

struct replay *replay_new(const struct replay_config *cfg,
			  const struct mem *mem, uint64_t now_us)
{
	struct replay *r = mem->alloc(mem->ctx, sizeof(*r));

	if (!r)
		return NULL;
	if (!copy_config(r, cfg, mem)) {
		replay_free(r, mem);
		return NULL;
	}
	for (uint32_t i = 0; i < cfg->target_count; i++)
		init_target(r, i, cfg);
	if (!make_trace(r, mem) || !make_tables(r, cfg, mem, now_us)) {
		replay_free(r, mem);
		return NULL;
	}
	replay_init_limits(r, now_us);
	r->syns = cfg->syns ? cfg->syns : r->own_syns;
	r->sample_owed = 100 - cfg->sample_percent;
	r->reregister_at = POOL_NONE;
	r->round_begins = r->round_ends = replay_link_count(cfg);
	r->lease_us = TIME_NEVER;
	r->next_generation = 1;
	r->now_us = now_us;
	return r;
}

void replay_trim(struct replay *r, const struct mem *mem)
{
	struct pool *pools[REPLAY_TRIMS] = {
		&r->flows.flows,
		&r->copies,
		&r->works,
		&r->store.stocks,
		&r->store.blocks.links,
		&r->store.marks,
	};

	pool_trim(pools[r->trims++ % REPLAY_TRIMS], mem);
}

void replay_free(struct replay *r, const struct mem *mem)
{
	hold_store_fini(&r->store, mem);
	if (r->trace)
		trace_free(r->trace, mem);
	if (r->flows.buckets)
		flow_table_fini(&r->flows, mem);
	pool_fini(&r->copies, mem);
	pool_fini(&r->works, mem);
	if (r->tuples)
		tuples_free(r->tuples, mem);
	if (r->copy_timers)
		timers_free(r->copy_timers, mem);
	if (r->flow_timers)
		timers_free(r->flow_timers, mem);
#define GIVE(field, count) give(mem, r->field, count, sizeof(*r->field))
	GIVE(mappings, r->cfg.mapping_count);
	GIVE(targets, r->cfg.target_count);
	GIVE(target_ports, r->cfg.target_count);
	GIVE(clients, r->cfg.client_count);
	GIVE(own_addrs, r->cfg.own_addr_count);
	GIVE(link_up, replay_link_count(&r->cfg));
	GIVE(link_full, replay_link_count(&r->cfg));
	GIVE(link_unarmed, replay_link_count(&r->cfg));
	GIVE(vouches, r->cfg.group_count);
#undef GIVE
	mem->free(mem->ctx, r, sizeof(*r));
}
