/* SPDX-License-Identifier: BSD-2-Clause */
/* tcpcopy check: everything on the online server because of which nothing
 * arrives, and what the way to the target and back does to a packet. */
#ifndef TCPCOPY_CHECK_H
#define TCPCOPY_CHECK_H

#include "check/check.h"
#include "check/link.h"
#include "check/rules_read.h"
#include "tcpcopy/plan.h"

/* The exit code. */
int tcpcopy_check(const struct tcpcopy_options *o, bool json);

/* ---- between the files of the doctor ---- */

struct tcpcopy_doctor {
	const struct tcpcopy_options *o;
	struct plan plan;
	struct rules_host rules;
	bool up[REPLAY_GROUPS_MAX]; /* intercepts with which there is a link */
};

/* check_way.c: on the way to the targets. */
void check_way(struct check *c, void *ctx);
void check_output(struct check *c, void *ctx);
/* check_capture.c: what comes in. */
void check_devices(struct check *c, void *ctx);
void check_server(struct check *c, void *ctx);
void check_capture(struct check *c, void *ctx);

#endif
