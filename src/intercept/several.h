/* SPDX-License-Identifier: BSD-2-Clause */
/* --workers: several apps, each in a process, with a queue and a port. */
#ifndef INTERCEPT_SEVERAL_H
#define INTERCEPT_SEVERAL_H

#include "base/service.h"
#include "intercept/options.h"

/* Serves until it is told to stop; the service has begun. The exit code. */
int several_serve_one(const struct options *o, struct service *s);
/* In the head and in each worker: the exit code. */
int several_run(const struct options *o);

#endif
