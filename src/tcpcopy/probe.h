/* SPDX-License-Identifier: BSD-2-Clause */
/* A SYN in the name of a client that does not exist, there and back. */
#ifndef TCPCOPY_PROBE_H
#define TCPCOPY_PROBE_H

#include "tcpcopy/check.h"

struct probe_result {
	struct endpoint client, target;
	bool relayed; /* by the link, and not by a sender */
	bool answered, has_seen;
	uint8_t flags; /* of the answer */
	int error;     /* errno of the sender */
	/* If has_seen: what intercept says of how far it came. */
	struct wire_probe_seen seen;
};

/* One to a target, through that intercept, of so many bytes at least. false: it
 * could not be done at all. */
bool probe_run(struct probe_result *out, const struct tcpcopy_doctor *d,
	       size_t target, const struct endpoint *intercept, size_t bytes);

#endif
