// SPDX-License-Identifier: BSD-2-Clause
#include "tcpcopy/cpu_limit.h"

#include <sys/resource.h>

static uint64_t time_us(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec;
}

uint64_t cpu_used_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return time_us(&usage.ru_utime) + time_us(&usage.ru_stime);
}

void cpu_limit_init(struct cpu_limit *c, unsigned percent, unsigned workers,
		    uint64_t used_us, uint64_t now_us)
{
	c->percent = percent;
	c->workers = workers ? workers : 1;
	c->used_us = used_us;
	c->at_us = now_us;
}

bool cpu_limit_is_over(struct cpu_limit *c, uint64_t used_us, uint64_t now_us)
{
	uint64_t used = used_us - c->used_us, passed = now_us - c->at_us;

	c->used_us = used_us;
	c->at_us = now_us;
	return used * 100 * c->workers > passed * c->percent;
}
