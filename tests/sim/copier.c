// SPDX-License-Identifier: BSD-2-Clause
#include "tests/sim/copier.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/check.h"
#include "tests/sim/client.h"
#include "tests/sim/intercept.h"
#include "tests/sim/link.h"
#include "tests/sim/net.h"

#define MTU_BYTES   1500u
#define SLOT_BYTES  32000u
#define SHEDDING_US 100000u
#define TRIM_US	    4000u
#define PAGE_BYTES  64u /* small, so that few sessions fill some */
#define LINKS_MAX   8u
/* A link is full below the first, and takes packets again from the second: to
 * be full often, little of the 64 KiB that there are. */
#define ROOM_LEAST  55000u
#define ROOM_ENOUGH 60000u

struct copier {
	struct replay *engine;
	struct replay_config cfg;
	struct replay_mapping mappings[COPIER_TARGETS_MAX * 2];
	struct replay_target targets[COPIER_TARGETS_MAX];
	struct addr_range clients[2];
	struct ip_addr own[2];
	struct mem mem;
	size_t memory_bytes;
	bool made, asked_later;
	uint64_t *coverage;
	uint64_t timer; /* the one that is armed */
	uint64_t timer_us;
	bool full[LINKS_MAX]; /* with relay */
	bool looking;
	struct packet_bytes batch[REPLAY_PACKETS]; /* not given yet */
	size_t batch_count;
};

static void *count_alloc(void *ctx, size_t size_bytes)
{
	struct copier *c = ctx;

	c->memory_bytes += size_bytes;
	c->asked_later = c->asked_later || c->made;
	return calloc(1, size_bytes);
}

static void count_free(void *ctx, void *ptr, size_t size_bytes)
{
	(void)ctx;
	(void)size_bytes;
	free(ptr);
}

static void count_discard(void *ctx, void *at, size_t size_bytes)
{
	struct copier *c = ctx;

	c->coverage[COVER_memory_given_back]++;
	memset(at, 0, size_bytes);
}

static void add_target(struct sim *sim, struct copier *c, unsigned host,
		       bool v6, bool greets)
{
	uint32_t n = (uint32_t)c->cfg.target_count++;
	uint8_t lo[4] = {127, 0, 0, 1};
	struct replay_mapping *m;

	c->targets[n] = (struct replay_target){
		.at = {.addr = sim_addr(v6, 2, host + 1),
		       .port = greets ? SIM_GREETING_PORT : SIM_TARGET_PORT},
		.groups = sim->p.by_port ? 3 : 1u << host % sim->p.groups,
		.relay_group = host % sim->p.groups,
		.relay_groups = sim->p.by_port ? 3 : 0,
		.local_source = sim_addr(v6, 0, 1),
	};
	m = &c->mappings[c->cfg.mapping_count++];
	*m = (struct replay_mapping){
		.source = {.addr = sim_addr(v6, 0, 1),
			   .port = greets ? SIM_GREETING_PORT : SIM_HTTP_PORT},
		.target = n,
	};
	if (v6)
		return;
	c->mappings[c->cfg.mapping_count] = *m;
	c->mappings[c->cfg.mapping_count++].source.addr = addr_from_v4(lo);
}

static void configure(struct sim *sim, struct copier *c)
{
	const struct profile *p = &sim->p;

	c->cfg = (struct replay_config){
		.mappings = c->mappings,
		.targets = c->targets,
		.group_count = p->groups,
		.links_per_group = p->links_per_group,
		.clients = c->clients,
		.client_count = p->listed_clients ? 2 : 0,
		.own_addrs = c->own,
		.own_addr_count = 2,
		.copies = p->copies,
		.port_slice = rng_below(&sim->plan, 1024),
		.port_count = p->ports,
		.sample_percent = p->sample_percent,
		.memory_bytes = p->memory_bytes,
		.max_sessions = p->max_sessions,
		.max_packets = p->max_packets,
		.max_bits = p->max_bits,
		.live = true,
		.mtu_bytes = MTU_BYTES,
		.mss_bytes = rng_chance(&sim->plan, 200) ? 700 : 0,
		.timeout_us = p->timeout_us,
		.idle_us = p->idle_us,
		.max_hold_us = p->max_hold_us,
		.resend = p->resend,
		.relay = p->relay,
		.relay_bytes = (uint16_t)p->relay_bytes,
	};
	for (unsigned v6 = 0; v6 < 2; v6++) {
		c->own[v6] = sim_addr(v6, 0, 1);
		c->clients[v6].first = sim_addr(v6, 1, 200);
		c->clients[v6].count = 5;
		for (unsigned host = 0; host < p->targets; host++) {
			add_target(sim, c, host, v6, false);
			add_target(sim, c, host, v6, true);
		}
	}
}

static void start(struct sim *sim, struct copier *c)
{
	for (int i = 0; i < 16; i++)
		c->cfg.hash_key.b[i] = (uint8_t)rng_next(&sim->plan);
	c->made = false;
	c->memory_bytes = 0;
	c->engine = replay_new(&c->cfg, &c->mem, sim->now_us);
	c->made = true;
	if (!c->engine)
		abort();
	c->timer_us = UINT64_MAX;
	c->timer++;
	memset(c->full, 0, sizeof(c->full));
}

static void give_batch(struct sim *sim);

void copier_restart(struct sim *sim)
{
	struct copier *c = sim->copier;

	give_batch(sim);
	sim_trace(sim, "tcpcopy is killed and starts anew");
	coverage_add_ledger(sim->coverage, replay_ledger(c->engine));
	replay_free(c->engine, &c->mem);
	start(sim, c);
	check_restart(sim);
}

/* The processor is used up at times, until there are no more faults. */
static void on_shedding(struct sim *sim, void *obj, uint64_t arg)
{
	struct copier *c = obj;
	bool on = sim->faults_on &&
		  rng_chance(&sim->capture_dice, sim->p.shedding);

	(void)arg;
	replay_set_shedding(c->engine, on);
	if (sim->faults_on)
		sim_at(sim, sim->now_us + SHEDDING_US, on_shedding, c, 0);
}

/* No dice: a seed means the same world whether memory is given back or not. */
static void on_trim(struct sim *sim, void *obj, uint64_t arg)
{
	struct copier *c = obj;

	(void)arg;
	replay_trim(c->engine, &c->mem);
	sim_at(sim, sim->now_us + TRIM_US * (1 + sim->seed % 16), on_trim, c,
	       0);
}

void copier_new(struct sim *sim)
{
	struct copier *c = sim_alloc(sim, sizeof(*c));

	sim->copier = c;
	c->coverage = sim->coverage;
	c->mem = (struct mem){.alloc = count_alloc,
			      .free = count_free,
			      .discard = count_discard,
			      .page_bytes = PAGE_BYTES,
			      .ctx = c};
	configure(sim, c);
	start(sim, c);
	if (sim->p.shedding)
		sim_at(sim, sim->now_us, on_shedding, c, 0);
	sim_at(sim, sim->now_us, on_trim, c, 0);
	sim->coverage[COVER_two_targets] += sim->p.targets > 1;
	sim->coverage[COVER_by_port] += sim->p.by_port;
	sim->coverage[COVER_few_ports] += sim->p.ports > 0;
	sim->coverage[COVER_memory_short] += sim->p.short_of_memory;
	sim->coverage[COVER_several_copies] += sim->p.copies > 1;
	sim->coverage[COVER_sampled_worlds] += sim->p.sample_percent < 100;
	sim->coverage[COVER_listed_clients] += sim->p.listed_clients;
}

void copier_free(struct sim *sim)
{
	replay_free(sim->copier->engine, &sim->copier->mem);
}

const struct ledger *copier_ledger(const struct sim *sim)
{
	return replay_ledger(sim->copier->engine);
}

const struct replay *copier_engine(const struct sim *sim)
{
	return sim->copier->engine;
}

const struct replay_config *copier_config(const struct sim *sim)
{
	return &sim->copier->cfg;
}

size_t copier_memory(const struct sim *sim, bool *after_start)
{
	*after_start = sim->copier->asked_later;
	return sim->copier->memory_bytes;
}

/* It is under way as well when the link is reset meanwhile. */
static void relay(struct sim *sim, const uint8_t *slot, size_t len)
{
	struct copier *c = sim->copier;
	unsigned link_id = replay_packet_link(c->engine);
	const struct wire_msg msg = {
		.type = WIRE_RELAY,
		.relay = {.l3 = slot, .len = (uint16_t)len},
	};

	if (c->full[link_id])
		sim_fail(sim, "room", "a packet for a link that is full");
	links_send(sim, link_id, &msg);
	if (links_room(sim, link_id) >= ROOM_LEAST)
		return;
	SIM_COVER(sim, links_full);
	c->full[link_id] = true;
	replay_on_link_room(c->engine, link_id, false);
}

static void give_packet(struct sim *sim, const uint8_t *slot, size_t len)
{
	struct segment seg;
	struct sim_packet *pkt;

	sim_digest(sim, slot, len);
	if (packet_parse(&seg, slot, len, len) != PACKET_OK) {
		sim_fail(sim, "packets", "the engine built no packet");
		return;
	}
	sim_trace_segment(sim, "sent", &seg);
	pkt = sim_packet_new(sim, &seg);
	if (!check_packet_out(sim, pkt))
		return;
	if (sim->p.relay)
		relay(sim, slot, len);
	else
		net_to_target(sim, pkt);
}

/* In the link's output if that can be told, as the program does it. */
static uint8_t *slot_for_packet(struct sim *sim)
{
	static uint8_t own[SLOT_BYTES];
	int link_id = replay_packet_link_guess(sim->copier->engine);
	uint8_t *slot = NULL;

	if (sim->p.relay && link_id >= 0)
		slot = links_slot(sim, (unsigned)link_id, SLOT_BYTES);
	return slot ? slot : own;
}

/* Pulls out of the engine what it has, in the order that it asks for. */
static unsigned pull(struct sim *sim)
{
	struct copier *c = sim->copier;
	struct replay_notice notice;
	struct wire_msg msg;
	unsigned link_id, n = 0;
	uint8_t *slot;
	size_t len;

	while (replay_next_msg(c->engine, &link_id, &msg)) {
		check_msg_out(sim, &msg);
		links_send(sim, link_id, &msg);
		n++;
	}
	while (!sim->failed && (slot = slot_for_packet(sim)) &&
	       (len = replay_next_packet(c->engine, slot, SLOT_BYTES,
					 sim->now_us)) > 0) {
		give_packet(sim, slot, len);
		n++;
	}
	while (replay_next_notice(c->engine, &notice))
		sim_trace(sim, "notice %d of target %u", (int)notice.type,
			  notice.target);
	links_pump(sim);
	check_ledger(sim);
	return n;
}

static void on_timer(struct sim *sim, void *obj, uint64_t arg);

static void settle(struct sim *sim)
{
	struct copier *c = sim->copier;
	uint64_t at;

	pull(sim);
	at = replay_deadline_us(c->engine);
	if (at == UINT64_MAX || at == c->timer_us)
		return;
	c->timer_us = at;
	sim_at(sim, at, on_timer, c, ++c->timer);
}

static void on_timer(struct sim *sim, void *obj, uint64_t arg)
{
	struct copier *c = obj;

	give_batch(sim);
	if (arg != c->timer)
		return;
	c->timer_us = UINT64_MAX;
	replay_on_timer(c->engine, sim->now_us);
	check_deadline(sim, pull(sim) > 0, replay_deadline_us(c->engine));
	settle(sim);
}

static void give_batch(struct sim *sim)
{
	struct copier *c = sim->copier;

	if (c->batch_count == 0)
		return;
	if (c->batch_count > 1)
		SIM_COVER(sim, capture_batches);
	replay_on_packets(c->engine, c->batch, c->batch_count, sim->now_us);
	c->batch_count = 0;
	settle(sim);
}

static void on_batch(struct sim *sim, void *obj, uint64_t arg)
{
	(void)obj;
	(void)arg;
	give_batch(sim);
}

void copier_on_capture(struct sim *sim, const struct sim_packet *pkt)
{
	struct copier *c = sim->copier;

	sim_trace_segment(sim, "captured", &pkt->seg);
	c->batch[c->batch_count++] =
		(struct packet_bytes){pkt->bytes, pkt->cap_len, pkt->len};
	if (!sim_gathers(sim) || c->batch_count == REPLAY_PACKETS)
		give_batch(sim);
	else if (c->batch_count == 1)
		sim_at(sim, sim->now_us, on_batch, c, 0);
}

void copier_on_msg(struct sim *sim, unsigned link_id,
		   const struct wire_msg *msg)
{
	give_batch(sim);
	check_msg_in(sim, link_id, msg);
	replay_on_msg(sim->copier->engine, link_id, msg, sim->now_us);
	settle(sim);
}

void copier_on_link(struct sim *sim, unsigned link_id, bool up)
{
	struct split ports;

	sim_trace(sim, "link %u %s", link_id, up ? "up" : "down");
	give_batch(sim);
	sim->copier->full[link_id] = false;
	if (up) {
		ports = intercept_ports(sim, link_id / sim->p.links_per_group);
		replay_set_ports(sim->copier->engine, link_id, &ports);
	}
	replay_on_link(sim->copier->engine, link_id, up, sim->now_us);
	settle(sim);
}

void copier_on_link_silence(struct sim *sim, unsigned link_id, bool silent)
{
	sim_trace(sim, "link %u %s", link_id,
		  silent ? "is silent" : "answers again");
	give_batch(sim);
	replay_on_link_silence(sim->copier->engine, link_id, silent,
			       sim->now_us);
	settle(sim);
}

static void on_room(struct sim *sim, void *obj, uint64_t arg)
{
	struct copier *c = obj;

	(void)arg;
	give_batch(sim);
	c->looking = false;
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		if (!c->full[i] || links_room(sim, i) < ROOM_ENOUGH)
			continue;
		c->full[i] = false;
		replay_on_link_room(c->engine, i, true);
	}
	settle(sim);
}

void copier_look_for_room(struct sim *sim)
{
	struct copier *c = sim->copier;
	bool any = false;

	for (unsigned i = 0; c && !c->looking && i < LINKS_MAX; i++)
		any |= c->full[i] && links_room(sim, i) >= ROOM_ENOUGH;
	if (!any)
		return;
	c->looking = true;
	sim_at(sim, sim->now_us, on_room, c, 0);
}

void copier_capture_end(struct sim *sim)
{
	sim_trace(sim, "capture ends");
	give_batch(sim);
	replay_on_capture_end(sim->copier->engine, sim->now_us);
	settle(sim);
}

void copier_shutdown(struct sim *sim)
{
	sim_trace(sim, "shutdown");
	give_batch(sim);
	check_shutdown(sim);
	replay_shutdown(sim->copier->engine, sim->now_us);
	settle(sim);
}
