/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's news of changes to firewall and routing rules. */
#ifndef IO_GUARD_WATCH_H
#define IO_GUARD_WATCH_H

#include <stdbool.h>

#define GUARD_WATCH_FDS 2

struct guard_watch {
	int fds[GUARD_WATCH_FDS]; /* to be polled for reading */
};

/* 0 or -errno; then there is nothing to be closed. */
int guard_watch_open(struct guard_watch *w);
void guard_watch_close(struct guard_watch *w);
/* Whether anything has changed since the last call, by whomever. */
bool guard_watch_news(struct guard_watch *w);

#endif
