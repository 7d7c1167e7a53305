/* SPDX-License-Identifier: BSD-2-Clause */
/* -c: the addresses under which clients appear at the targets. */
#ifndef TCPCOPY_CLIENTS_H
#define TCPCOPY_CLIENTS_H

#include "base/opts.h"

#define CLIENTS_MAX 256

struct clients {
	struct addr_range ranges[CLIENTS_MAX];
	size_t count;
};

/* Adds a list of addresses, networks, and 192.0.2.x to c. */
bool clients_parse(struct clients *c, const char *text,
		   struct opts_fault *fault);
/* Whether an address of this family is among them. */
bool clients_have_family(const struct clients *c, bool v4);

#endif
