/* SPDX-License-Identifier: BSD-2-Clause */
/* --max-rate: how much may be sent in a second. */
#ifndef TCPCOPY_RATE_H
#define TCPCOPY_RATE_H

#include "base/opts.h"

#define RATE_PACKETS_MAX  100000000u
#define RATE_MEGABITS_MAX 1000000u

/* "PACKETS", "MEGABITSM" or both; 0: not said. */
bool rate_parse(uint64_t *packets, uint64_t *megabits, const char *text,
		struct opts_fault *fault);

#endif
