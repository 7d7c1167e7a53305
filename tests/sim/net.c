// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Each way is a line of small nodes that a packet passes: it may be lost,
 * doubled, held up so that later ones overtake it, and takes its time. Without
 * a fault the order is kept.
 */
#include "tests/sim/net.h"

#include "tests/sim/intercept.h"
#include "tests/sim/target.h"

struct way {
	sim_fn *deliver;
	const struct fault_rates *rates;
	uint64_t last_us; /* arrival of the packet before */
	unsigned delay_us, jitter_us, late_us;
	enum cover lost, doubled, reordered;
};

struct net {
	struct way to_target, to_queue;
};

static void arrive_at_target(struct sim *sim, void *obj, uint64_t arg)
{
	(void)arg;
	target_on_packet(sim, obj);
}

static void arrive_at_queue(struct sim *sim, void *obj, uint64_t arg)
{
	(void)arg;
	intercept_on_packet(sim, obj);
}

void net_new(struct sim *sim)
{
	sim->net = sim_alloc(sim, sizeof(*sim->net));
	sim->net->to_target = (struct way){
		.deliver = arrive_at_target,
		.rates = &sim->p.net,
		.delay_us = sim->p.net_delay_us,
		.jitter_us = sim->p.net_delay_us / 4,
		.late_us = 20000,
		.lost = COVER_net_lost,
		.doubled = COVER_net_doubled,
		.reordered = COVER_net_reordered,
	};
	sim->net->to_queue = (struct way){
		.deliver = arrive_at_queue,
		.rates = &sim->p.queue,
		.delay_us = 5,
		.late_us = 2000,
		.lost = COVER_queue_lost,
		.doubled = COVER_queue_doubled,
		.reordered = COVER_queue_reordered,
	};
}

static void pass(struct sim *sim, struct way *w, struct sim_packet *pkt)
{
	uint64_t at = sim->now_us + w->delay_us +
		      rng_below(&sim->net_dice, w->jitter_us + 1);

	if (at < w->last_us)
		at = w->last_us;
	w->last_us = at;
	sim_at(sim, at, w->deliver, pkt, 0);
}

static void send(struct sim *sim, struct way *w, struct sim_packet *pkt)
{
	struct rng *dice = &sim->net_dice;

	if (!sim->faults_on) {
		pass(sim, w, pkt);
		return;
	}
	if (rng_chance(dice, w->rates->loss)) {
		sim->coverage[w->lost]++;
		sim_trace_segment(sim, "lost", &pkt->seg);
		return;
	}
	if (rng_chance(dice, w->rates->dup)) {
		sim->coverage[w->doubled]++;
		sim_at(sim,
		       sim->now_us + w->delay_us + rng_below(dice, w->late_us),
		       w->deliver, pkt, 0);
	}
	if (rng_chance(dice, w->rates->reorder)) {
		sim->coverage[w->reordered]++;
		sim_at(sim,
		       sim->now_us + w->delay_us +
			       rng_between(dice, 1, w->late_us),
		       w->deliver, pkt, 0);
		return;
	}
	pass(sim, w, pkt);
}

void net_to_target(struct sim *sim, struct sim_packet *pkt)
{
	send(sim, &sim->net->to_target, pkt);
}

void net_to_queue(struct sim *sim, struct sim_packet *pkt)
{
	send(sim, &sim->net->to_queue, pkt);
}
