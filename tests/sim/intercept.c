// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * One divert engine for each group. Answers that come within GATHER_US are one
 * batch to it. By port both are workers of one host; each says so in every
 * other of its lives only, and is to know all sessions in those between. The
 * host of the target has other traffic as well: packets to
 * addresses on the passlist and to strangers, and some that are no TCP. Another
 * tcpcopy, of which only its routes are here, owns some of the tuples.
 */
#include "tests/sim/intercept.h"

#include <stdlib.h>

#include "core/divert.h"
#include "tests/helpers/one_packet.h"
#include "tests/sim/check.h"
#include "tests/sim/client.h"
#include "tests/sim/copier.h"
#include "tests/sim/link.h"
#include "tests/sim/net.h"

#define GROUPS_MAX     2u
#define OTHER_INSTANCE 0x0dd0u
#define ROUTES_MAX     4096u
#define STATUS_US      250000u
#define PIECE_BYTES    1280u
#define GATHER_US      50u
#define LOCALS_MAX     12u /* few, so that some find no room */

struct one {
	struct divert *engine;
	uint64_t timer, timer_us;
	unsigned gathered; /* packets since the engine's messages were taken */
	unsigned group;
	unsigned others; /* permille of the tuples that another tcpcopy has */
	bool squatted;
	bool shy; /* does not say that it gets answers by port */
	uint64_t disarmed_until_us;
};

struct intercept {
	struct one one[GROUPS_MAX];
	struct mem mem;
	struct addr_prefix passlist[2];
};

static void settle(struct sim *sim, struct one *o);

static void on_timer(struct sim *sim, void *obj, uint64_t arg)
{
	struct one *o = obj;

	if (arg != o->timer)
		return;
	o->timer_us = UINT64_MAX;
	divert_on_timer(o->engine, sim->now_us);
	if (divert_deadline_us(o->engine) <= sim->now_us)
		sim_fail(sim, "deadline",
			 "intercept's deadline stays in the past");
	settle(sim, o);
}

static struct one *one_of(struct sim *sim, const struct endpoint *client,
			  const struct ip_addr *target);

/* What the guard would not let answer is not said. */
static void acknowledge(struct sim *sim, struct one *o)
{
	struct segment ack;

	while (divert_next_ack(o->engine, &ack)) {
		if (!sim->p.local_acks ||
		    one_of(sim, &ack.tuple.src, &ack.tuple.dst.addr) != o)
			sim_fail(sim, "local", "an ACK from the wrong host");
		sim_trace_segment(sim, "local", &ack);
		check_local_ack(sim, &ack);
		if (!sim->p.guarded || sim->now_us >= o->disarmed_until_us)
			net_to_target(sim, sim_packet_new(sim, &ack));
	}
}

static void settle(struct sim *sim, struct one *o)
{
	struct wire_msg msg;
	unsigned number;
	uint64_t at;

	o->gathered = 0;
	while (divert_next_msg(o->engine, &number, &msg)) {
		sim_digest(sim, &msg.type, sizeof(msg.type));
		if (number < sim->p.links_per_group)
			links_reply(sim, o->group, number, &msg);
	}
	links_pump(sim);
	acknowledge(sim, o);
	at = divert_deadline_us(o->engine);
	if (at == UINT64_MAX || at == o->timer_us)
		return;
	o->timer_us = at;
	sim_at(sim, at, on_timer, o, ++o->timer);
}

/* The tuples that another tcpcopy has. */
static void squat(struct sim *sim, struct one *o)
{
	const struct replay_config *cfg = copier_config(sim);
	const struct conversations *cs = sim->conversations;
	unsigned link_id = sim->p.links_per_group;

	if (o->squatted)
		return;
	o->squatted = true;
	divert_on_link_up(o->engine, link_id, OTHER_INSTANCE, sim->now_us);
	for (unsigned i = 0; i < cs->count; i++) {
		struct wire_msg msg = {.type = WIRE_ROUTE_ADD};

		if (i * 1000 >= o->others * cs->count)
			break;
		msg.route.client = cs->all[i].tuple.src;
		msg.route.route_id = i;
		for (size_t k = 0; k < cfg->target_count; k++) {
			msg.route.target = cfg->targets[k].at;
			divert_on_msg(o->engine, link_id, &msg, sim->now_us);
			settle(sim, o);
		}
	}
}

static void start(struct sim *sim, struct one *o)
{
	static const uint16_t ports[] = {SIM_TARGET_PORT, SIM_GREETING_PORT};
	struct divert_config cfg = {
		.passlist = sim->intercept->passlist,
		.passlist_count = 2,
		.relay_ports = ports,
		.relay_port_count = 2,
		.routes_max = ROUTES_MAX,
		.links_max = sim->p.links_per_group + 1,
		.locals_max = sim->p.local_acks ? LOCALS_MAX : 0,
	};

	for (int i = 0; i < 16; i++)
		cfg.hash_key.b[i] = (uint8_t)rng_next(&sim->link_dice);
	o->engine = divert_new(&cfg, &sim->intercept->mem, sim->now_us);
	if (!o->engine)
		abort();
	o->timer_us = UINT64_MAX;
	o->timer++;
}

/* Where a target's answers to that client come out. */
static struct one *one_of(struct sim *sim, const struct endpoint *client,
			  const struct ip_addr *target)
{
	unsigned host = target->b[15] - 1u;

	if (sim->p.by_port)
		host = split_hash(client->port);
	return &sim->intercept->one[host % sim->p.groups];
}

static void judge(struct sim *sim, struct one *o, struct sim_packet *pkt,
		  uint32_t len, bool passes)
{
	enum verdict v = give_packet(o->engine, pkt->bytes, pkt->cap_len, len,
				     sim->now_us);

	sim_digest(sim, &v, sizeof(v));
	if ((v == VERDICT_ACCEPT) != passes)
		sim_fail(sim, "verdict", "a packet %s",
			 passes ? "to the passlist was dropped"
				: "of the target was let out");
	if (divert_routes(o->engine) > ROUTES_MAX)
		sim_fail(sim, "memory", "more routes than allowed");
	o->gathered++;
}

static void end_batch(struct sim *sim, void *obj, uint64_t arg)
{
	(void)arg;
	settle(sim, obj);
}

void intercept_on_packet(struct sim *sim, struct sim_packet *pkt)
{
	struct one *o =
		one_of(sim, &pkt->seg.tuple.dst, &pkt->seg.tuple.src.addr);

	judge(sim, o, pkt, pkt->len, false);
	if (o->gathered == 1)
		sim_at(sim, sim->now_us + GATHER_US, end_batch, o, 0);
	else if (o->gathered == DIVERT_BATCH)
		settle(sim, o);
}

/* The other tcpcopy asks to inject what nobody may: to a port that is not
 * served, or no whole packet. The dice of the world are left alone. */
static void relay_of_a_stranger(struct sim *sim)
{
	struct rng aside = {.state = ~sim->target_dice.state};
	bool v6 = rng_chance(&aside, 500), cut = rng_chance(&aside, 500);
	struct segment seg = {
		.tuple = {.src = {.addr = sim_addr(v6, 1, 1), .port = 5000},
			  .dst = {.addr = sim_addr(v6, 2, 1), .port = 22}},
		.flags = TCP_ACK,
	};
	const struct sim_packet *pkt = sim_packet_new(sim, &seg);
	struct wire_relay relay = {.l3 = pkt->bytes, .len = (uint16_t)pkt->len};
	struct four_tuple ends;
	struct one *o;

	if (cut)
		relay.len = (uint16_t)rng_below(&aside, pkt->len);
	o = one_of(sim, &seg.tuple.src, &seg.tuple.dst.addr);
	if (divert_on_relay(o->engine, sim->p.links_per_group, &relay,
			    sim->now_us, &ends))
		sim_fail(sim, "relay", "a stranger's packet was injected");
}

/* What else leaves the host of a target. */
static void other_traffic(struct sim *sim, void *obj, uint64_t arg)
{
	struct rng *dice = &sim->target_dice;
	struct segment seg = {
		.flags = TCP_ACK | (rng_chance(dice, 300) ? TCP_SYN : 0),
		.seq = (uint32_t)rng_next(dice),
		.ack = (uint32_t)rng_next(dice),
	};
	bool v6 = rng_chance(dice, 500), passes = rng_chance(dice, 500);
	struct sim_packet *pkt;
	struct one *o;

	if (!sim->faults_on)
		return;
	seg.tuple.src.addr = sim_addr(v6, 2, 1);
	seg.tuple.src.port = SIM_TARGET_PORT;
	seg.tuple.dst.addr = sim_addr(v6, 3, passes ? 5 : 77);
	seg.tuple.dst.port = (uint16_t)rng_below(dice, 65536);
	o = one_of(sim, &seg.tuple.dst, &seg.tuple.src.addr);
	pkt = sim_packet_new(sim, &seg);
	if (passes) {
		SIM_COVER(sim, passed_packets);
	} else {
		SIM_COVER(sim, stranger_packets);
		if (rng_chance(dice, 300))
			pkt->cap_len = rng_below(dice, pkt->cap_len);
		else if (rng_chance(dice, 300))
			pkt->bytes[rng_below(dice, 8)] ^= 0xff;
	}
	judge(sim, o, pkt, pkt->len, passes);
	settle(sim, o);
	if (sim->p.relay)
		relay_of_a_stranger(sim);
	sim_at(sim, sim->now_us + rng_below(dice, 300000), other_traffic, obj,
	       arg);
}

static void say_status_on(struct sim *sim, struct one *o, unsigned number)
{
	const struct wire_msg msg = {
		.type = WIRE_STATUS,
		.status = {.queue_bound = true,
			   .guarded = sim->p.guarded,
			   .armed = sim->p.guarded &&
				    sim->now_us >= o->disarmed_until_us,
			   .port_count = 2,
			   .ports = {SIM_TARGET_PORT, SIM_GREETING_PORT}},
	};

	links_reply(sim, o->group, number, &msg);
}

static void say_status(struct sim *sim, struct one *o)
{
	for (unsigned n = 0; n < sim->p.links_per_group; n++)
		say_status_on(sim, o, n);
	links_pump(sim);
}

/* Something takes the rule away now and then. */
static void guard(struct sim *sim, void *obj, uint64_t arg)
{
	struct one *o = obj;
	struct rng *dice = &sim->link_dice;

	if (sim->faults_on && sim->now_us >= o->disarmed_until_us &&
	    rng_chance(dice, 60)) {
		SIM_COVER(sim, disarmed);
		o->disarmed_until_us =
			sim->now_us + rng_between(dice, 100000, 3000000);
	}
	say_status(sim, o);
	sim_at(sim, sim->now_us + STATUS_US, guard, obj, arg);
}

void intercept_new(struct sim *sim)
{
	struct intercept *in = sim_alloc(sim, sizeof(*in));

	sim->intercept = in;
	in->mem = sim_plain_mem;
	in->passlist[0] =
		(struct addr_prefix){.addr = sim_addr(false, 3, 5), .len = 128};
	in->passlist[1] =
		(struct addr_prefix){.addr = sim_addr(true, 3, 5), .len = 124};
	for (unsigned g = 0; g < sim->p.groups; g++) {
		in->one[g].group = g;
		in->one[g].others = sim->p.squatted;
		start(sim, &in->one[g]);
		if (sim->p.guarded)
			sim_at(sim, sim->now_us + STATUS_US, guard, &in->one[g],
			       0);
	}
	sim_at(sim, sim->now_us + 5000, other_traffic, in, 0);
}

static void count(struct sim *sim, struct one *o)
{
	coverage_add_divert(sim->coverage, divert_counters(o->engine));
}

void intercept_free(struct sim *sim)
{
	for (unsigned g = 0; g < sim->p.groups; g++)
		divert_free(sim->intercept->one[g].engine,
			    &sim->intercept->mem);
}

void intercept_add_coverage(struct sim *sim)
{
	for (unsigned g = 0; g < sim->p.groups; g++)
		count(sim, &sim->intercept->one[g]);
}

void intercept_restart(struct sim *sim, unsigned group)
{
	struct one *o = &sim->intercept->one[group];

	count(sim, o);
	divert_free(o->engine, &sim->intercept->mem);
	start(sim, o);
	/* whose routes are registered first now is anybody's guess */
	if (sim->p.stolen)
		o->others = sim->p.stolen;
	o->squatted = false;
	squat(sim, o);
	o->shy = !o->shy;
	sim->coverage[COVER_another_hello] += sim->p.by_port;
}

/* The host's own device takes no more than lo_bytes at once. */
static void put_out(struct sim *sim, struct segment *seg, size_t len)
{
	uint8_t piece[PIECE_BYTES];
	struct segment part;

	if (len <= sim->p.lo_bytes) {
		net_to_target(sim, sim_packet_new(sim, seg));
		return;
	}
	SIM_COVER(sim, cut_packets);
	while ((len = packet_cut(piece, sizeof(piece), seg, 0)) > 0) {
		packet_parse(&part, piece, len, len);
		net_to_target(sim, sim_packet_new(sim, &part));
	}
}

static void inject(struct sim *sim, struct one *o, unsigned number,
		   const struct wire_relay *relay)
{
	struct four_tuple ends;
	struct segment seg;

	if (!divert_on_relay(o->engine, number, relay, sim->now_us, &ends))
		return;
	packet_parse(&seg, relay->l3, relay->len, relay->len);
	if (!sim->p.by_port && one_of(sim, &ends.src, &ends.dst.addr) != o)
		sim_fail(sim, "relay", "a packet for another host");
	put_out(sim, &seg, relay->len);
}

void intercept_on_msg(struct sim *sim, unsigned group, unsigned number,
		      const struct wire_msg *msg)
{
	struct one *o = &sim->intercept->one[group];

	if (msg->type == WIRE_RELAY)
		inject(sim, o, number, &msg->relay);
	else
		divert_on_msg(o->engine, number, msg, sim->now_us);
	settle(sim, o);
}

struct split intercept_ports(const struct sim *sim, unsigned group)
{
	if (!sim->p.by_port || sim->intercept->one[group].shy)
		return (struct split){.count = 1};
	return (struct split){.count = sim->p.groups, .index = group};
}

void intercept_on_link(struct sim *sim, unsigned group, unsigned number,
		       bool up, uint64_t instance)
{
	struct one *o = &sim->intercept->one[group];

	squat(sim, o);
	if (up) {
		divert_on_link_up(o->engine, number, instance, sim->now_us);
		if (sim->p.local_acks)
			divert_allow_local_acks(o->engine, number);
		say_status_on(sim, o, number);
	} else {
		divert_on_link_down(o->engine, number, sim->now_us);
	}
	settle(sim, o);
}
