/* SPDX-License-Identifier: BSD-2-Clause */
/* An intercept, as a tcpcopy sees it: whether it can be reached, and what it
 * says once there is a link. */
#ifndef CHECK_LINK_H
#define CHECK_LINK_H

#include "check/check.h"
#include "core/wire.h"
#include "io/link_key.h"

enum link_reach {
	REACH_OPEN,	     /* a connection, and it waits to be spoken to */
	REACH_REFUSED,	     /* nobody listens */
	REACH_NOT_ALLOWED,   /* closed before a word was said */
	REACH_NO_WAY,	     /* no route, or nobody there */
	REACH_NO_CONNECTION, /* nothing came back in time */
	REACH_ERROR
};

/* Connects, says nothing, and looks what happens. error: -errno of the last
 * two. */
enum link_reach link_reach(const struct endpoint *at, int *error);

struct link_said {
	uint32_t features; /* WIRE_FEATURE_* of the intercept */
	bool up;	   /* HELLOs have gone both ways */
	bool has_status;
	struct wire_status status;
	char why[320]; /* it did not come up */
};

/* Has a link for a moment, until a STATUS has come. */
void link_ask(struct link_said *out, const struct endpoint *at,
	      const struct link_key *key);

/* Says what there is to say of it; whether it is up. */
bool check_link(struct check *c, const struct endpoint *at,
		const struct link_key *key, struct link_said *out);

#endif
