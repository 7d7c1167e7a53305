/* SPDX-License-Identifier: BSD-2-Clause */
/* --max-cpu: whether this process uses more than its part of what it and the
 * other workers may. */
#ifndef TCPCOPY_CPU_LIMIT_H
#define TCPCOPY_CPU_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#define CPU_LIMIT_EACH_MS 100

struct cpu_limit {
	unsigned percent; /* of one core */
	unsigned workers; /* that have an equal part of it */
	uint64_t used_us, at_us;
};

/* What the process has used so far. */
uint64_t cpu_used_us(void);
/* workers: 0 is 1. */
void cpu_limit_init(struct cpu_limit *c, unsigned percent, unsigned workers,
		    uint64_t used_us, uint64_t now_us);
/* Whether it was over the limit since this, or init, was called last. */
bool cpu_limit_is_over(struct cpu_limit *c, uint64_t used_us, uint64_t now_us);

#endif
