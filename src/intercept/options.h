/* SPDX-License-Identifier: BSD-2-Clause */
/* intercept's command line. */
#ifndef INTERCEPT_OPTIONS_H
#define INTERCEPT_OPTIONS_H

#include "base/service.h"
#include "io/link_key.h"

#define INTERCEPT_PORT 36524

struct prefix_list {
	struct addr_prefix *items; /* owned */
	size_t count;
};

struct options {
	struct service_options service;
	struct prefix_list passlist;
	struct prefix_list allow; /* who may connect without a key */
	struct link_key *key;	  /* owned; NULL: none */
	const char *make_key;	  /* do that, and nothing else */
	uint16_t *guard_ports;	  /* of --guard or --unguard, owned */
	size_t guard_count;
	bool guard, unguard, print_rules;
	uint16_t *relay_ports; /* packets for these come by links; owned */
	size_t relay_count;
	struct ip_addr address; /* addr_is_none(): all */
	uint16_t port;
	unsigned queue_num;    /* fits in 16 bits */
	unsigned queue_length; /* packets */
	unsigned records;      /* in a frame, at most */
	unsigned workers;      /* with queues and ports from these on */
	/* Whoever starts them says which one this is, and where the first
	 * tells the others of the guard. */
	unsigned worker;
	struct guard_word *guard_word; /* NULL: a single process */
};

/* false: fault is one line for the user. */
bool options_parse(struct options *o, int argc, char **argv,
		   struct opts_fault *fault);
void options_help(FILE *out);
void options_free(struct options *o);

#endif
