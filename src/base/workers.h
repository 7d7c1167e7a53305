/* SPDX-License-Identifier: BSD-2-Clause */
/* Several workers: processes of one program that share next to nothing, and the
 * head that has started them. docs/workers.md says what is joined and how. */
#ifndef BASE_WORKERS_H
#define BASE_WORKERS_H

#include "base/service.h"

#define WORKERS_MAX 32
/* What the head needs for itself. */
#define WORKERS_HEAD_BYTES (4u << 20)

struct workers_spec {
	const char *program;
	const struct service_options *options;
	unsigned count; /* 2 or more */
	/* Of one worker's account, which is given by service_give_account(). */
	size_t account_bytes;
	/* In the process of a worker: serves until it is told to stop. The exit
	 * code, after one line on stderr unless it is 0. */
	int (*serve)(void *ctx, struct service *s, unsigned index);
	/* In the head: all accounts, count of them, as one report. What a
	 * worker has never written is zero. */
	void (*report)(void *ctx, struct service *s,
		       const void *const accounts[], bool final);
	void *ctx;
};

/* Returns in the head and in every worker, each time with the exit code of that
 * process. */
int workers_run(const struct workers_spec *spec);

#endif
