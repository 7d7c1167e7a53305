/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether there is NAT in this network namespace, or anything else by which the
 * first packet of a connection fares otherwise when it only arrives here than
 * when it is sent from here as well. */
#ifndef IO_NAT_WATCH_H
#define IO_NAT_WATCH_H

#include <stdbool.h>

struct nat_watch;

/* 0 or -ENOMEM. Where the kernel does not say, there is taken to be some. */
int nat_watch_open(struct nat_watch **out);
void nat_watch_close(struct nat_watch *w);
/* Asks the kernel, if anything has changed. NULL: there is none; or else what
 * is known of it. To be called every second. */
const char *nat_watch_found(struct nat_watch *w);
/* If there was none: whether nothing has changed since. Cheap. */
bool nat_watch_is_quiet(struct nat_watch *w);

#endif
