/* SPDX-License-Identifier: BSD-2-Clause */
/* The clock of everything that is timed: monotonic microseconds. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* Less than a second; a signal ends it early. */
static inline void clock_sleep_us(uint32_t us)
{
	const struct timespec time = {.tv_nsec = (long)us * 1000};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

#endif
