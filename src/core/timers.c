// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * LEVELS wheels of 64 slots. A slot of level n spans 64^n ticks; a timer is
 * filed in the lowest level whose turn still reaches its tick, and moved down
 * when its slot comes up. A bitmap a level says which slots hold anything, so
 * time that passes without timers costs nothing. Deadlines are rounded up to
 * whole ticks: a timer may fire late, never early.
 */
#include "core/timers.h"

#include <stddef.h>

#include "core/check.h"

#define TICK_US	  1024u
#define BITS	  6u
#define SLOTS	  64u
#define LEVELS	  6u
#define TICKS_MAX ((1ull << (BITS * LEVELS)) - 1)

struct timers {
	uint64_t tick; /* all timers of earlier ticks have been given out */
	uint64_t filled[LEVELS];
	struct timer *slots[LEVELS][SLOTS];
	struct timer *due;
};

struct timers *timers_new(const struct mem *mem, uint64_t now_us)
{
	struct timers *t = mem->alloc(mem->ctx, sizeof(*t));

	if (t)
		t->tick = now_us / TICK_US;
	return t;
}

void timers_free(struct timers *t, const struct mem *mem)
{
	mem->free(mem->ctx, t, sizeof(*t));
}

static void push(struct timer **head, struct timer *timer)
{
	timer->next = *head;
	timer->prev_next = head;
	if (*head)
		(*head)->prev_next = &timer->next;
	*head = timer;
}

static void unlink_timer(struct timer *timer)
{
	*timer->prev_next = timer->next;
	if (timer->next)
		timer->next->prev_next = timer->prev_next;
	timer->prev_next = NULL;
	timer->next = NULL;
}

static uint64_t tick_of(uint64_t deadline_us)
{
	return deadline_us / TICK_US + (deadline_us % TICK_US ? 1 : 0);
}

/* Files by the highest bit in which its tick differs from the present one. */
static void file(struct timers *t, struct timer *timer)
{
	uint64_t tick = tick_of(timer->deadline_us), differs;
	unsigned level = 0, slot;

	if (tick < t->tick) {
		push(&t->due, timer);
		return;
	}
	if (tick - t->tick > TICKS_MAX / 2)
		tick = t->tick + TICKS_MAX / 2;
	differs = tick ^ t->tick;
	if (differs)
		level = (63u - (unsigned)__builtin_clzll(differs)) / BITS;
	if (level >= LEVELS)
		level = LEVELS - 1;
	slot = (tick >> (BITS * level)) % SLOTS;
	t->filled[level] |= 1ull << slot;
	push(&t->slots[level][slot], timer);
}

void timers_set(struct timers *t, struct timer *timer, uint64_t deadline_us)
{
	ASSERT(deadline_us != TIME_NEVER);
	if (timer_armed(timer))
		timers_cancel(t, timer);
	timer->deadline_us = deadline_us;
	file(t, timer);
}

void timers_cancel(struct timers *t, struct timer *timer)
{
	struct timer **head = timer->prev_next;

	if (!head)
		return;
	unlink_timer(timer);
	/* the last of its slot: head points into slots */
	if (!*head && head >= &t->slots[0][0] &&
	    head <= &t->slots[LEVELS - 1][SLOTS - 1]) {
		size_t at = (size_t)(head - &t->slots[0][0]);

		t->filled[at / SLOTS] &= ~(1ull << at % SLOTS);
	}
}

static struct timer *take_slot(struct timers *t, unsigned level, unsigned slot)
{
	struct timer *list = t->slots[level][slot];

	t->slots[level][slot] = NULL;
	t->filled[level] &= ~(1ull << slot);
	return list;
}

/* The next tick at which some slot comes up, UINT64_MAX: none. */
static uint64_t next_tick(const struct timers *t)
{
	uint64_t best = UINT64_MAX;

	for (unsigned level = 0; level < LEVELS; level++) {
		unsigned shift = BITS * level;
		unsigned here = (t->tick >> shift) % SLOTS;
		uint64_t ahead, base;

		if (!t->filled[level])
			continue;
		/* rotate so that the present slot is bit 0 */
		ahead = t->filled[level] >> here |
			(here ? t->filled[level] << (SLOTS - here) : 0);
		base = (t->tick >> shift) + (unsigned)__builtin_ctzll(ahead);
		base <<= shift;
		if (base < t->tick)
			base = t->tick;
		if (base < best)
			best = base;
	}
	return best;
}

/* Moves to a tick and takes what its slots hold, higher levels first. */
static void enter_tick(struct timers *t, uint64_t tick)
{
	t->tick = tick;
	for (unsigned level = LEVELS; level-- > 0;) {
		unsigned slot = (tick >> (BITS * level)) % SLOTS;
		struct timer *list;

		if (level > 0 && tick & ((1ull << (BITS * level)) - 1))
			continue;
		list = take_slot(t, level, slot);
		while (list) {
			struct timer *timer = list;

			list = timer->next;
			if (level == 0 && tick_of(timer->deadline_us) <= tick)
				push(&t->due, timer);
			else
				file(t, timer);
		}
	}
}

struct timer *timers_expired(struct timers *t, uint64_t now_us)
{
	uint64_t now = now_us / TICK_US;
	struct timer *timer;

	while (!t->due && t->tick <= now) {
		uint64_t tick = next_tick(t);

		if (tick > now) {
			t->tick = now + 1;
			break;
		}
		enter_tick(t, tick);
		t->tick = tick + 1;
	}
	timer = t->due;
	if (timer)
		unlink_timer(timer);
	return timer;
}

uint64_t timers_next_us(const struct timers *t)
{
	uint64_t tick;

	if (t->due)
		return 0;
	tick = next_tick(t);
	return tick == UINT64_MAX ? TIME_NEVER : tick * TICK_US;
}
