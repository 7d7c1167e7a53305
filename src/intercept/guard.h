/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What --guard does with its lines of defence, and when: no kernel, no clock.
 */
#ifndef INTERCEPT_GUARD_H
#define INTERCEPT_GUARD_H

#include "io/guard_line.h"

#define GUARD_PERIOD_US 1000000u /* looks without having heard anything */
#define GUARD_RETRY_US	100000u	 /* while something does not stand */
#define GUARD_PAUSE_US	5000u	 /* between looks when news come fast */

/* key in JSON, what it counts */
#define GUARD_COUNTERS(X)                                                      \
	X(looks, "guard: looks at rules and fences")                           \
	X(fallen, "guard: rules and fences found missing or altered")          \
	X(restored, "guard: of these, put back")

struct guard_counters {
#define X(name, text) uint64_t name;
	GUARD_COUNTERS(X)
#undef X
};

struct guard_events {
	/* Rules and fences stand, or do not: told before anything is done
	 * about it, so that nobody sends meanwhile. */
	void (*armed)(void *ctx, bool armed);
	/* A line does not stand; error: 0, or why that is not known. */
	void (*fallen)(void *ctx, const struct guard_line *line, int error);
	/* It was put back; error: -errno if not, told once until it is. */
	void (*restored)(void *ctx, const struct guard_line *line, int error);
	void *ctx;
};

struct guard {
	struct guard_line **lines; /* borrowed */
	bool *failed;		   /* by line: the last try, already told */
	size_t count;
	struct guard_events events;
	struct guard_counters counters;
	bool armed;
	uint64_t looked_us; /* last */
	uint64_t due_us;    /* next look */
};

/* false: no memory. */
bool guard_init(struct guard *g, struct guard_line **lines, size_t count,
		const struct guard_events *events);
void guard_fini(struct guard *g);

/* Makes all lines anew. 0, or -errno and *bad is the line that it is about. */
int guard_start(struct guard *g, const struct guard_line **bad,
		uint64_t now_us);
/* Looks at all, and puts back what does not stand. */
void guard_look(struct guard *g, uint64_t now_us);
/* Something has changed: look at guard_deadline_us(). */
void guard_on_news(struct guard *g, uint64_t now_us);
uint64_t guard_deadline_us(const struct guard *g);

#endif
