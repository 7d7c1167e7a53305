// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * One binary heap of events, ordered by time and, within one microsecond, by
 * the order in which they were planned. Parts of the world plan events for
 * themselves; nothing else makes anything happen. Memory comes from an arena
 * that goes with the world.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/check.h"
#include "tests/sim/client.h"
#include "tests/sim/copier.h"
#include "tests/sim/intercept.h"
#include "tests/sim/link.h"
#include "tests/sim/net.h"
#include "tests/sim/noise.h"
#include "tests/sim/target.h"

#define ARENA_CHUNK_BYTES (1u << 20)

struct event {
	uint64_t at_us, order;
	sim_fn *fn;
	void *obj;
	uint64_t arg;
};

struct sim_heap {
	struct event *events;
	size_t count, room;
	uint64_t next_order;
};

struct chunk {
	struct chunk *next;
	_Alignas(16) uint8_t bytes[];
};

struct sim_arena {
	struct chunk *chunks;
	uint8_t *at;
	size_t left_bytes;
};

uint64_t rng_next(struct rng *r)
{
	uint64_t x = r->state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)(rng_next(r) % n);
}

uint32_t rng_between(struct rng *r, uint32_t lo, uint32_t hi)
{
	return lo + rng_below(r, hi - lo + 1);
}

bool rng_chance(struct rng *r, unsigned permille)
{
	return permille > 0 && rng_below(r, 1000) < permille;
}

static void *must_have(void *p)
{
	if (!p) {
		fputs("tcpcopy-sim: out of memory\n", stderr);
		exit(3);
	}
	return p;
}

void *sim_alloc(struct sim *sim, size_t size_bytes)
{
	struct sim_arena *a = sim->arena;
	uint8_t *p;

	size_bytes = (size_bytes + 15) & ~(size_t)15;
	if (size_bytes > a->left_bytes) {
		size_t room = size_bytes > ARENA_CHUNK_BYTES
				      ? size_bytes
				      : ARENA_CHUNK_BYTES;
		struct chunk *c =
			must_have(calloc(1, sizeof(struct chunk) + room));

		c->next = a->chunks;
		a->chunks = c;
		a->at = c->bytes;
		a->left_bytes = room;
	}
	p = a->at;
	a->at += size_bytes;
	a->left_bytes -= size_bytes;
	return p;
}

static void *plain_alloc(void *ctx, size_t size_bytes)
{
	(void)ctx;
	return calloc(1, size_bytes);
}

static void plain_free(void *ctx, void *ptr, size_t size_bytes)
{
	(void)ctx;
	(void)size_bytes;
	free(ptr);
}

const struct mem sim_plain_mem = {.alloc = plain_alloc, .free = plain_free};

static void arena_free(struct sim_arena *a)
{
	while (a->chunks) {
		struct chunk *c = a->chunks;

		a->chunks = c->next;
		free(c);
	}
}

static bool before(const struct event *a, const struct event *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void swap_events(struct event *a, struct event *b)
{
	struct event t = *a;

	*a = *b;
	*b = t;
}

void sim_at(struct sim *sim, uint64_t at_us, sim_fn *fn, void *obj,
	    uint64_t arg)
{
	struct sim_heap *h = sim->heap;
	size_t i = h->count++;

	if (h->count > h->room) {
		h->room = h->room ? h->room * 2 : 1024;
		h->events = must_have(
			realloc(h->events, h->room * sizeof(*h->events)));
	}
	h->events[i] = (struct event){
		.at_us = at_us < sim->now_us ? sim->now_us : at_us,
		.order = h->next_order++,
		.fn = fn,
		.obj = obj,
		.arg = arg,
	};
	for (; i > 0 && before(&h->events[i], &h->events[(i - 1) / 2]);
	     i = (i - 1) / 2)
		swap_events(&h->events[i], &h->events[(i - 1) / 2]);
}

static struct event heap_pop(struct sim_heap *h)
{
	struct event top = h->events[0];
	size_t i = 0;

	h->events[0] = h->events[--h->count];
	for (;;) {
		size_t least = i;

		for (size_t c = 2 * i + 1; c <= 2 * i + 2; c++)
			if (c < h->count &&
			    before(&h->events[c], &h->events[least]))
				least = c;
		if (least == i)
			return top;
		swap_events(&h->events[i], &h->events[least]);
		i = least;
	}
}

void sim_fail(struct sim *sim, const char *oracle, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (sim->failed)
		return;
	sim->failed = true;
	n = snprintf(sim->failure, sizeof(sim->failure),
		     "%s (%s, at %.6f s): ", oracle, sim->p.name,
		     (double)sim->now_us / 1e6);
	va_start(ap, fmt);
	vsnprintf(sim->failure + n, sizeof(sim->failure) - (size_t)n, fmt, ap);
	va_end(ap);
	sim_trace(sim, "FAILED %s", sim->failure);
}

void sim_trace(struct sim *sim, const char *fmt, ...)
{
	va_list ap;

	if (!sim->trace)
		return;
	printf("%12.6f ", (double)sim->now_us / 1e6);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void sim_trace_segment(struct sim *sim, const char *what,
		       const struct segment *seg)
{
	char src[ENDPOINT_TEXT_MAX], dst[ENDPOINT_TEXT_MAX];

	if (!sim->trace)
		return;
	sim_trace(sim, "%s %s > %s %s%s%s%s%s seq %u ack %u len %u win %u",
		  what, endpoint_text(&seg->tuple.src, src),
		  endpoint_text(&seg->tuple.dst, dst),
		  seg->flags & TCP_SYN ? "S" : "",
		  seg->flags & TCP_FIN ? "F" : "",
		  seg->flags & TCP_RST ? "R" : "",
		  seg->flags & TCP_PSH ? "P" : "",
		  seg->flags & TCP_ACK ? "." : "", seg->seq, seg->ack,
		  seg->payload_len, seg->wnd);
}

void sim_digest(struct sim *sim, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++)
		sim->digest = (sim->digest ^ p[i]) * 0x100000001b3u;
	sim->digest = (sim->digest ^ sim->now_us) * 0x100000001b3u;
}

struct sim_packet *sim_packet_new(struct sim *sim, const struct segment *seg)
{
	static const uint8_t zeroes[65536];
	struct sim_packet *pkt = sim_alloc(sim, sizeof(*pkt));
	struct segment full = *seg;
	size_t header = packet_header_len(seg);
	size_t room = header + seg->payload_len;
	static uint8_t scratch[65536 + PACKET_HEADER_MAX];

	full.payload = seg->payload ? seg->payload : zeroes;
	full.payload_cap = seg->payload_len;
	pkt->len = (uint32_t)packet_build(scratch, sizeof(scratch), &full, 0);
	pkt->cap_len = (uint32_t)(seg->payload ? room : header);
	pkt->bytes = sim_alloc(sim, pkt->cap_len);
	memcpy(pkt->bytes, scratch, pkt->cap_len);
	pkt->seg = *seg;
	pkt->seg.payload = seg->payload ? pkt->bytes + header : NULL;
	pkt->seg.payload_cap = seg->payload ? seg->payload_len : 0;
	return pkt;
}

static void run_until(struct sim *sim, uint64_t end_us)
{
	while (!sim->failed && sim->heap->count > 0 &&
	       sim->heap->events[0].at_us <= end_us) {
		struct event e = heap_pop(sim->heap);

		sim->now_us = e.at_us;
		e.fn(sim, e.obj, e.arg);
	}
	if (!sim->failed)
		sim->now_us = end_us;
}

/* Until every connection is over, in steps, for as long as they may take. */
static void run_out(struct sim *sim)
{
	uint64_t limit_us = sim->now_us + 2 * sim->p.timeout_us +
			    sim->p.idle_us + 300000000;

	while (!sim->failed && !check_is_settled(sim)) {
		if (sim->now_us >= limit_us) {
			check_not_settled(sim);
			return;
		}
		run_until(sim, sim->now_us + 1000000);
	}
}

/* When all is well again, what begins is copied as if nothing had been. The
 * least memory that a world has is enough for one connection, not for all. */
static void go_on(struct sim *sim)
{
	unsigned at_once = sim->p.short_of_memory ? 1 : CONVERSATIONS_FRESH;

	for (unsigned n = 0; n < CONVERSATIONS_FRESH; n += at_once) {
		sim_trace(sim, "fresh load");
		check_goes_on(sim);
		conversations_add_fresh(sim, at_once);
		run_until(sim,
			  conversations_end_us(sim->conversations) + 1000000);
		run_out(sim);
	}
}

static void live(struct sim *sim)
{
	uint64_t played_us = conversations_end_us(sim->conversations);

	sim->faults_on = true;
	sim_trace(sim, "profile %s", sim->p.name);
	run_until(sim, played_us + 1000000);
	sim->faults_on = false;
	sim_trace(sim, "no more faults");
	links_mend(sim);
	target_mend(sim);
	if (sim->p.capture_end)
		copier_capture_end(sim);
	if (sim->p.shutdown) {
		SIM_COVER(sim, shutdowns);
		copier_shutdown(sim);
		run_until(sim, sim->now_us + 1000000);
	}
	run_out(sim);
	if (!sim->p.shutdown && !sim->p.capture_end)
		go_on(sim);
	if (!sim->failed)
		check_end(sim);
}

struct sim_result sim_run(uint64_t seed, const char *profile, bool trace,
			  uint64_t coverage[COVER_COUNT])
{
	struct sim_heap heap = {0};
	struct sim_arena arena = {0};
	struct sim sim = {
		.seed = seed,
		.now_us = 1000000,
		.digest = 0xcbf29ce484222325u,
		.trace = trace,
		.coverage = coverage,
		.heap = &heap,
		.arena = &arena,
	};
	struct rng dice = {.state = seed * 0x9e3779b97f4a7c15u};
	struct rng *all[] = {&sim.plan, &sim.capture_dice, &sim.net_dice,
			     &sim.link_dice, &sim.target_dice};
	struct sim_result result;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		all[i]->state = rng_next(&dice);
	profile_make(&sim.p, profile, &dice);
	check_new(&sim);
	conversations_new(&sim);
	target_new(&sim);
	net_new(&sim);
	intercept_new(&sim);
	copier_new(&sim);
	links_new(&sim);
	conversations_play(&sim);
	noise_start(&sim);
	live(&sim);
	coverage_add_ledger(coverage, copier_ledger(&sim));
	intercept_add_coverage(&sim);
	result.ok = !sim.failed;
	result.digest = sim.digest;
	memcpy(result.failure, sim.failure, sizeof(result.failure));
	links_free(&sim);
	copier_free(&sim);
	intercept_free(&sim);
	free(heap.events);
	arena_free(&arena);
	return result;
}
