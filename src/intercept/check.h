/* SPDX-License-Identifier: BSD-2-Clause */
/* intercept check: everything on the target because of which nothing arrives,
 * or something gets out. */
#ifndef INTERCEPT_CHECK_H
#define INTERCEPT_CHECK_H

#include "check/check.h"
#include "check/link.h"
#include "check/queue_owner.h"
#include "check/rules_read.h"
#include "intercept/options.h"

/* The exit code. */
int intercept_check(const struct options *o, bool json);

/* ---- between the files of the doctor ---- */

#define CHECK_PORTS_MAX 64

struct intercept_doctor {
	const struct options *o;
	struct queue_owner queue;
	bool running; /* an intercept has our queue */
	struct link_said link;
	struct rules_host rules;
	uint16_t ports[CHECK_PORTS_MAX]; /* guarded, or those of the rules */
	size_t port_count;
};

/* check_rules.c */
void check_rules(struct check *c, void *ctx);
void check_fence(struct check *c, void *ctx);
void check_input(struct check *c, void *ctx);

#endif
