/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deadlines of many objects: a hierarchical wheel with ticks of 1,024 us. A
 * timer never fires before its deadline and at most two ticks after it. All
 * times are microseconds of one monotonic clock; TIME_NEVER is no deadline.
 */
#ifndef CORE_TIMERS_H
#define CORE_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/mem.h"

#define TIME_NEVER UINT64_MAX

/* Embedded in the object; zeroed means idle. */
struct timer {
	struct timer *next, **prev_next; /* prev_next NULL: idle */
	uint64_t deadline_us;
};

struct timers;

/* NULL: no memory. */
struct timers *timers_new(const struct mem *mem, uint64_t now_us);
void timers_free(struct timers *t, const struct mem *mem);
/* (Re)arms; a deadline in the past fires at the next timers_expired(). */
void timers_set(struct timers *t, struct timer *timer, uint64_t deadline_us);
void timers_cancel(struct timers *t, struct timer *timer);
static inline bool timer_armed(const struct timer *timer)
{
	return timer->prev_next;
}
/* Unlinks and returns one timer that is due at now_us, NULL when none is. Call
 * until NULL; now_us may not go back. */
struct timer *timers_expired(struct timers *t, uint64_t now_us);
/* When timers_expired() should be called again (a lower bound that is exact for
 * near deadlines), TIME_NEVER when nothing is armed. */
uint64_t timers_next_us(const struct timers *t);

#endif
