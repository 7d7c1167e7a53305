/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker's end of what joins it with its head (base/workers.h): bytes over a
 * socket, and memory for its account. */
#ifndef BASE_WORKER_H
#define BASE_WORKER_H

#include <stdbool.h>
#include <uv.h>

/* The head's bytes, */
enum {
	WORKER_REPORT = 'r', /* write your account, and say so */
	WORKER_REOPEN = 'h', /* the log, by its name */
	WORKER_DETACH = 'd', /* the terminal is to be left */
	WORKER_SIGN = 'p',   /* answer */
	WORKER_STOP = 's'
};
/* and the worker's. */
enum { WORKER_READY = 'R', WORKER_REPORTED = 'r', WORKER_ALIVE = 'p' };

struct worker_calls {
	void (*report)(void *ctx);
	/* The head says so, or has gone; perhaps again. */
	void (*stop)(void *ctx);
	void *ctx;
};

struct worker {
	unsigned index;
	int fd;
	void *account; /* what the program's report writes to */
	bool told;     /* to stop */
	uv_poll_t poll;
	struct worker_calls calls;
};

/* 0 or -errno. The handle is closed with the loop's others: worker_leave(). */
int worker_run_on(struct worker *w, uv_loop_t *loop,
		  const struct worker_calls *calls);
void worker_say(const struct worker *w, char byte);
void worker_leave(struct worker *w);

#endif
