/* SPDX-License-Identifier: BSD-2-Clause */
/* --workers: several apps, each in a process. */
#ifndef TCPCOPY_SEVERAL_H
#define TCPCOPY_SEVERAL_H

#include "tcpcopy/options.h"

/* In the head and in each worker: the exit code. */
int several_run(const struct tcpcopy_options *o);

#endif
