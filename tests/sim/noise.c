// SPDX-License-Identifier: BSD-2-Clause
#include "tests/sim/noise.h"

#include "tests/sim/check.h"
#include "tests/sim/client.h"
#include "tests/sim/copier.h"

/* Bare ACKs: nothing that could begin a connection, whatever becomes of their
 * bytes. */
static struct sim_packet *make(struct sim *sim)
{
	struct rng *dice = &sim->capture_dice;
	bool v6 = rng_chance(dice, 500), ours = rng_chance(dice, 300);
	struct segment seg = {
		.tuple = {.src = {.addr = sim_addr(v6, 3, 9), .port = 4321},
			  .dst = {.addr = sim_addr(v6, 0, ours ? 1 : 2),
				  .port = ours ? SIM_HTTP_PORT : 22}},
		.flags = TCP_ACK,
		.seq = (uint32_t)rng_next(dice),
		.ack = (uint32_t)rng_next(dice),
	};
	struct sim_packet *pkt = sim_packet_new(sim, &seg);

	if (rng_chance(dice, 300))
		pkt->cap_len = rng_below(dice, pkt->cap_len);
	else if (rng_chance(dice, 300))
		pkt->bytes[rng_below(dice, 20)] ^=
			(uint8_t)rng_between(dice, 1, 255);
	return pkt;
}

/* The SYN of a copy, on its way as if to the online server: not to be copied
 * again. Where its tuple may be forgotten already it would be a client's. */
static void capture_loop(struct sim *sim)
{
	struct seen_connection *s = check_find_ours(sim);
	struct segment seg = {.flags = TCP_SYN};

	if (!s || sim->p.short_of_memory || sim->p.tcpcopy_restarts ||
	    sim->p.sample_percent < 100 || sim->p.targets > 1)
		return;
	s->looped = true;
	sim->check->loops++;
	seg.tuple.src = s->tuple.src;
	seg.tuple.dst.addr = sim_addr(!addr_is_v4(&s->tuple.src.addr), 0, 1);
	seg.tuple.dst.port = SIM_HTTP_PORT;
	seg.seq = s->iss;
	seg.opts.mss_bytes = 1460;
	copier_on_capture(sim, sim_packet_new(sim, &seg));
}

static void capture(struct sim *sim, void *obj, uint64_t arg)
{
	if (!sim->faults_on)
		return;
	capture_loop(sim);
	SIM_COVER(sim, capture_noise);
	copier_on_capture(sim, make(sim));
	sim_at(sim, sim->now_us + rng_below(&sim->capture_dice, 300000),
	       capture, obj, arg);
}

void noise_start(struct sim *sim)
{
	if (sim->p.noise)
		sim_at(sim, sim->now_us + 7000, capture, sim, 0);
}
