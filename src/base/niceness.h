/* SPDX-License-Identifier: BSD-2-Clause */
/* How much of a processor that others want as well this process asks for:
 * nice(1), in steps above the niceness with which it was started. */
#ifndef BASE_NICENESS_H
#define BASE_NICENESS_H

#include <stdbool.h>

struct niceness {
	int start;
};

/* What it takes to come back to fewer steps. */
enum niceness_right {
	NICENESS_NEVER,	     /* this process could not */
	NICENESS_ALWAYS,     /* nothing */
	NICENESS_CAPABILITY, /* CAP_SYS_NICE, to be kept */
};

/* Remembers the niceness there is; call it before privileges are dropped. */
enum niceness_right niceness_begin(struct niceness *n);
/* What would be more steps than there are is all of them. false: it was not
 * allowed, and nothing has changed. */
bool niceness_set(const struct niceness *n, unsigned steps);

#endif
