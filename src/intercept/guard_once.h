/* SPDX-License-Identifier: BSD-2-Clause */
/* What intercept does about rules and fences without running as a service. */
#ifndef INTERCEPT_GUARD_ONCE_H
#define INTERCEPT_GUARD_ONCE_H

#include "intercept/options.h"

/* --unguard: the exit code, after one line on stderr unless it is 0. */
int guard_remove(const struct options *o);
/* --print-rules */
void guard_print(const struct options *o, FILE *out);

#endif
