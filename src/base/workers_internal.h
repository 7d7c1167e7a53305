/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the start of the workers and the head's life. */
#ifndef BASE_WORKERS_INTERNAL_H
#define BASE_WORKERS_INTERNAL_H

#include <signal.h>
#include <sys/types.h>

#include "base/worker.h"
#include "base/workers.h"

struct member {
	struct workers *all;
	unsigned index;
	pid_t pid;
	int fd; /* the head's end */
	uv_poll_t poll;
	bool polled;
	bool ended;
	unsigned asked, answered; /* reports; never more than one apart */
	bool silent;		  /* it has not answered for long */
	bool alive;		  /* since it was asked for a sign */
};

struct workers {
	const struct workers_spec *spec;
	struct service service;
	struct member members[WORKERS_MAX];
	unsigned started, ended;
	bool told; /* to stop, while they were started */
	char *accounts;
	size_t each_bytes; /* of the accounts */
	uv_loop_t loop;
	uv_timer_t tick;
	bool asking;	/* for accounts; not all have answered */
	unsigned ticks; /* since then */
	bool wanted;	/* a report, as soon as they have */
	bool ask_again; /* that was wanted after they were asked */
	bool stopping;
	int exit_code;
	/* In a worker. */
	bool is_worker;
	struct worker worker;
};

/* workers_start.c: starts one after the other. In the head: 0 when all are
 * ready, or the exit code, after one line on stderr. When all are ready,
 * SIGTERM and SIGINT are blocked, and before is the mask without that. In a
 * worker (is_worker): the exit code of its life. */
int workers_start(struct workers *w, sigset_t *before);
/* A start that has come to nothing: ends those that run. */
void workers_give_up(struct workers *w);

/* What waitpid() says of it, once it has ended; */
int workers_wait(const struct member *m);
/* and that as an exit code. */
int workers_code(int status);

void *workers_account(const struct workers *w, unsigned index);
/* false: it hangs, with more to read than there is room for; nobody waits. */
bool workers_say(const struct member *m, char byte);
/* To stop: arrives in any case. */
void workers_say_stop(const struct member *m);

#endif
