/* SPDX-License-Identifier: BSD-2-Clause */
/* Another network namespace than that in which this process was started. */
#ifndef BASE_NETNS_H
#define BASE_NETNS_H

#include "base/opts.h"

/*
 * All sockets that this process opens from now on belong to it. name is one
 * that ip-netns(8) knows, or with a slash the path of a namespace. Call it
 * while there is one thread. 0, or the exit code, and fault says why.
 */
int netns_enter(const char *name, struct opts_fault *fault);

#endif
