// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A seed first picks a profile, then throws dice within it. "exact" worlds may
 * lose, double and delay whatever they like on the way: TCP mends that, so
 * everything must arrive. The others take away something that nobody can
 * mend, and only what must hold even then is asked of them.
 */
#include "tests/sim/profile.h"

#include <string.h>

#include "tests/sim/sim.h"

#define SECONDS 1000000ull

static bool coin(struct rng *r)
{
	return rng_chance(r, 500);
}

/* Off, or anything up to most. */
static unsigned maybe(struct rng *r, unsigned most)
{
	return coin(r) ? rng_below(r, most + 1) : 0;
}

static struct fault_rates faults(struct rng *r)
{
	return (struct fault_rates){
		.loss = maybe(r, 200),
		.dup = maybe(r, 200),
		.reorder = maybe(r, 200),
	};
}

static void make_load(struct profile *p, struct rng *r)
{
	p->conversations = rng_between(r, 20, 32);
	p->hosts = 20;
	p->spread_us = rng_between(r, 1000000, 12000000);
	p->targets = rng_chance(r, 150) ? 2 : 1;
	p->copies = rng_chance(r, 150) ? rng_between(r, 2, 3) : 1;
	p->sample_percent = rng_chance(r, 100) ? rng_between(r, 1, 99) : 100;
	p->listed_clients = rng_chance(r, 150);
	p->tls = maybe(r, 100);
	p->server_first = maybe(r, 300);
	p->ipv6 = coin(r) ? 300 : rng_chance(r, 300) ? 1000 : 0;
	p->uploads = maybe(r, 150);
	p->pipelined = maybe(r, 400);
	p->reuse = maybe(r, 200);
	p->local_clients = maybe(r, 100);
	p->captured_again = maybe(r, 150);
	p->late_join = maybe(r, 150);
	p->noise = coin(r);
}

static void make_rest(struct profile *p, struct rng *r)
{
	p->net_delay_us = rng_chance(r, 300) ? rng_between(r, 5000, 60000)
					     : rng_between(r, 20, 2000);
	p->link_delay_us = rng_chance(r, 300) ? rng_between(r, 5000, 60000)
					      : rng_between(r, 20, 2000);
	p->groups = p->targets > 1 && coin(r) ? 2 : 1;
	p->links_per_group = rng_between(r, 1, 3);
	p->memory_bytes = 64u << 20;
	p->timeout_us = 900 * SECONDS;
	p->max_hold_us = rng_chance(r, 300) ? rng_between(r, 300000, 3000000)
					    : 60 * SECONDS;
	p->idle_us = 60 * SECONDS;
	p->resend = true;
	p->capture_end = coin(r);
	p->capture.dup = maybe(r, 200);
	p->capture.reorder = maybe(r, 200);
	p->slow = maybe(r, 100);
	p->silent = maybe(r, 60);
	p->shorter = maybe(r, 200);
	p->longer = maybe(r, 200);
	p->small_windows = maybe(r, 400);
	p->zero_windows = maybe(r, 60);
	p->squatted = maybe(r, 100);
	p->guarded = rng_chance(r, 200);
}

static void make_clean(struct profile *p, struct rng *r)
{
	(void)r;
	p->exact = p->quiet_net = true;
	p->capture.dup = p->capture.reorder = 0;
}

static void make_network(struct profile *p, struct rng *r)
{
	p->exact = true;
	p->net = faults(r);
	p->queue = faults(r);
}

static void make_links(struct profile *p, struct rng *r)
{
	p->exact = true;
	p->link_resets = rng_below(r, 10);
	p->link_stalls = rng_below(r, 6);
	p->intercept_restarts = rng_below(r, 3);
	p->outages = rng_chance(r, 200);
}

static void make_swarm(struct profile *p, struct rng *r)
{
	make_network(p, r);
	p->link_resets = maybe(r, 8);
	p->link_stalls = maybe(r, 6);
	p->intercept_restarts = maybe(r, 2);
	p->old_connections = maybe(r, 150);
}

static void make_capture(struct profile *p, struct rng *r)
{
	make_network(p, r);
	p->exact = false;
	p->capture.loss = rng_between(r, 1, 200);
}

static void make_closing(struct profile *p, struct rng *r)
{
	make_network(p, r);
	p->exact = false;
	p->closing = rng_between(r, 100, 900);
	p->resetting = maybe(r, 300);
	p->resend = !rng_chance(r, 100);
}

static void make_failing(struct profile *p, struct rng *r)
{
	make_swarm(p, r);
	p->exact = false;
	p->timeout_us = rng_between(r, 1, 6) * SECONDS;
	p->idle_us = rng_between(r, 2, 6) * SECONDS;
	p->refusing = coin(r) ? 8000000 : 0;
	p->silent = maybe(r, 300);
	if (coin(r)) {
		p->stolen = rng_between(r, 50, 400);
		p->intercept_restarts = rng_between(r, 1, 2);
	}
}

static void make_memory(struct profile *p, struct rng *r)
{
	p->exact = false;
	p->short_of_memory = true;
	p->memory_bytes = rng_between(r, 20000, 400000);
	p->uploads = 600;
	p->small_windows = 600;
	p->net = faults(r);
}

static void make_limits(struct profile *p, struct rng *r)
{
	make_swarm(p, r);
	p->exact = false;
	p->limited = true;
	p->max_sessions = maybe(r, 20);
	p->max_packets = maybe(r, 100);
	p->max_bits = maybe(r, 200000);
	p->shedding = maybe(r, 500);
}

static void make_shutdown(struct profile *p, struct rng *r)
{
	make_swarm(p, r);
	p->exact = false;
	p->shutdown = true;
}

static void make_restarts(struct profile *p, struct rng *r)
{
	make_swarm(p, r);
	p->exact = false;
	p->tcpcopy_restarts = rng_between(r, 1, 3);
	p->timeout_us = 5 * SECONDS;
}

static void make_tuples(struct profile *p, struct rng *r)
{
	p->exact = true;
	p->old_connections = 400;
	p->reuse = 400;
	p->squatted = 300;
	p->copies = rng_between(r, 1, 3);
}

/* Many short connections from so few endpoints that each is used over and
 * over, by clients and by copies, long before the target has forgotten it. */
static void make_ports(struct profile *p, struct rng *r)
{
	p->exact = p->scarce = true;
	p->conversations = rng_between(r, 500, 2000);
	p->hosts = rng_between(r, 1, 3);
	p->ports = rng_between(r, 16, 64);
	p->short_ones = true;
	p->spread_us = p->conversations * rng_between(r, 3000, 30000);
	p->targets = 1;
	p->groups = 1;
	p->copies = coin(r) ? rng_between(r, 2, 4) : 1;
	p->sample_percent = 100;
	p->listed_clients = false;
	p->local_clients = p->late_join = p->uploads = 0;
	p->squatted = 0;
	p->net = faults(r);
	p->net.loss /= 4;
	p->queue = faults(r);
	p->queue.loss /= 4;
	p->link_resets = maybe(r, 3);
	p->intercept_restarts = maybe(r, 1);
}

/* Nothing takes as long as the timeout, or only just not, but clients may. One
 * answer that is lost again and again would: so there are few occasions. */
static void make_patience(struct profile *p, struct rng *r)
{
	p->exact = p->prompt = true;
	p->timeout_us = rng_between(r, 4, 6) * SECONDS;
	p->max_hold_us = coin(r) ? p->timeout_us : 60 * SECONDS;
	p->idle_us = 2 * p->timeout_us + rng_between(r, 0, 5) * SECONDS;
	p->pipelined = p->late_join = p->silent = p->shorter = p->longer = 0;
	p->slow = rng_between(r, 0, 600);
	p->uploads = maybe(r, 300);
	p->zero_windows = maybe(r, 200);
	p->guarded = false;
	p->net = faults(r);
	p->queue = faults(r);
	p->net.loss = p->queue.loss = 0;
	p->outages = coin(r);
	p->link_resets = p->outages ? 0 : rng_below(r, 3);
	p->link_stalls = maybe(r, 3);
}

static const struct {
	const char *name;
	void (*make)(struct profile *p, struct rng *r);
} kinds[] = {
	{"clean", make_clean},	     {"network", make_network},
	{"links", make_links},	     {"swarm", make_swarm},
	{"capture", make_capture},   {"closing", make_closing},
	{"failing", make_failing},   {"memory", make_memory},
	{"shutdown", make_shutdown}, {"restarts", make_restarts},
	{"tuples", make_tuples},     {"limits", make_limits},
	{"ports", make_ports},	     {"patience", make_patience},
};

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))
/* Chosen aside, since the others came first. Worlds of the one are as large as
 * fifty others: one in twenty. */
#define LARGE_KIND	  (KIND_COUNT - 2)
#define LARGE_PERMILLE	  50
#define PATIENCE_KIND	  (KIND_COUNT - 1)
#define PATIENCE_PERMILLE 80

const char *const *profile_names(void)
{
	static const char *names[KIND_COUNT + 1];

	for (size_t i = 0; i < KIND_COUNT; i++)
		names[i] = kinds[i].name;
	return names;
}

bool profile_make(struct profile *p, const char *name, struct rng *r)
{
	size_t kind = rng_below(r, LARGE_KIND);
	struct rng aside = {.state = ~r->state};

	if (rng_chance(&aside, LARGE_PERMILLE))
		kind = LARGE_KIND;
	else if (rng_chance(&aside, PATIENCE_PERMILLE))
		kind = PATIENCE_KIND;
	for (size_t i = 0; name && i <= KIND_COUNT; i++) {
		if (i == KIND_COUNT)
			return false;
		kind = i;
		if (strcmp(kinds[i].name, name) == 0)
			break;
	}
	*p = (struct profile){.name = kinds[kind].name};
	make_load(p, r);
	make_rest(p, r);
	kinds[kind].make(p, r);
	/* Of the other worlds nothing changes for that. */
	aside.state = ~r->state;
	p->relay = rng_chance(&aside, 200);
	p->relay_bytes = coin(&aside) ? 32000 : rng_between(&aside, 1500, 9000);
	p->lo_bytes = rng_chance(&aside, 300) ? rng_between(&aside, 1280, 16000)
					      : 65536;
	p->local_acks = p->relay && rng_chance(&aside, 800);
	p->by_port = rng_chance(&aside, 200);
	if (p->by_port)
		p->groups = 2;
	return true;
}

void profile_calm(struct profile *p)
{
	p->spread_us = 2000000;
	p->late_join = p->tls = p->reuse = p->captured_again = 0;
	p->uploads = 0;
	if (p->short_of_memory) /* what piles up is as large as an upload */
		p->pipelined = 0;
	p->capture = (struct fault_rates){0};
	p->closing = p->resetting = 0;
	p->slow = p->silent = p->shorter = p->longer = 0;
}
