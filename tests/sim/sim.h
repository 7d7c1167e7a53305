/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One simulated world: time, chance, memory, and what its parts share. All
 * of it follows from the seed; nothing looks at the host's clock.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/mem.h"
#include "core/packet.h"
#include "tests/sim/coverage.h"
#include "tests/sim/profile.h"

/* Numbers that look random and are the same each time (splitmix64). */
struct rng {
	uint64_t state;
};

uint64_t rng_next(struct rng *r);
/* 0 .. n - 1 */
uint32_t rng_below(struct rng *r, uint32_t n);
/* lo .. hi, both included */
uint32_t rng_between(struct rng *r, uint32_t lo, uint32_t hi);
bool rng_chance(struct rng *r, unsigned permille);

struct sim;

/* What the heap holds: fn(sim, obj, arg) at a time. */
typedef void sim_fn(struct sim *sim, void *obj, uint64_t arg);

/* A packet under way, L3 header first. */
struct sim_packet {
	struct segment seg; /* payload points into bytes */
	uint32_t len, cap_len;
	uint8_t *bytes;
};

struct sim {
	uint64_t seed;
	uint64_t now_us;
	uint64_t digest; /* of everything that came out of the engines */
	bool faults_on;	 /* until the liveness phase */
	bool trace;
	bool failed;
	char failure[512];
	struct profile p;
	uint64_t *coverage; /* [COVER_COUNT], of the whole run */

	struct sim_heap *heap;
	struct sim_arena *arena;

	struct rng plan, capture_dice, net_dice, link_dice, target_dice;

	struct conversations *conversations;
	struct target *target;
	struct net *net;
	struct intercept *intercept;
	struct links *links;
	struct copier *copier;
	struct check *check;
};

/* In some worlds packets are captured in batches. No seed in seeds.txt is one
 * of these. */
static inline bool sim_gathers(const struct sim *sim)
{
	return sim->seed % 8 == 5;
}

struct sim_result {
	bool ok;
	uint64_t digest;
	char failure[512];
};

/* Runs the world of one seed; profile NULL: the seed chooses. */
struct sim_result sim_run(uint64_t seed, const char *profile, bool trace,
			  uint64_t coverage[COVER_COUNT]);

void sim_at(struct sim *sim, uint64_t at_us, sim_fn *fn, void *obj,
	    uint64_t arg);
/* Zeroed memory that lives as long as the world. */
void *sim_alloc(struct sim *sim, size_t size_bytes);
/* The heap, for what is freed before the world ends. */
extern const struct mem sim_plain_mem;
/* An oracle has spoken; the first one counts. */
void sim_fail(struct sim *sim, const char *oracle, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void sim_trace(struct sim *sim, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void sim_trace_segment(struct sim *sim, const char *what,
		       const struct segment *seg);
void sim_digest(struct sim *sim, const void *bytes, size_t len);

/* Builds the L3 packet of a segment; readable to its end, or only as far as
 * the headers when its payload is NULL. */
struct sim_packet *sim_packet_new(struct sim *sim, const struct segment *seg);

#endif
