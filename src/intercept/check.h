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

const char *doctor_family_text(bool v4);
/* Whether clients of that family can come to the port; 0: to any. */
bool doctor_has_family(bool v4, uint16_t port);
/* The way of a port's answers, by one flavour's rules. */
void doctor_walk_out(const struct intercept_doctor *d, const struct rules *r,
		     uint16_t port, struct rules_answer *out);

/* What is done about a rule that is missing, or in the wrong place. */
char *doctor_insert_text(const struct intercept_doctor *d, bool v4,
			 uint16_t port, char fix[CHECK_TEXT_MAX]);

/* A rule leads the port's answers to these queues, one of ours among them. */
void doctor_say_queues(struct check *c, const struct intercept_doctor *d,
		       bool v4, uint16_t port, unsigned first, unsigned last);

/* check_native.c: says what native nftables do with a port's answers. false:
 * nothing, and nothing was said. */
bool check_native(struct check *c, const struct intercept_doctor *d, bool v4,
		  uint16_t port);
/* check_rules.c: whether answers come to the queue; has all but that. */
void check_rules(struct check *c, void *ctx);
/* check_fence.c: whether they are held if it is gone. */
void check_fence(struct check *c, void *ctx);
/* check_input.c: whether requests come to the server. */
void check_input(struct check *c, void *ctx);

#endif
