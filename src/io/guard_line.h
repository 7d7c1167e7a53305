/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One line of defence against answers that get out: for one port and one
 * address family. guard_rule.c sends them to the queue, guard_fence.c lets them
 * out nowhere.
 */
#ifndef IO_GUARD_LINE_H
#define IO_GUARD_LINE_H

#include <stdbool.h>

#include "core/addr.h"

/* A prefix in its own family: 4 or 16 bytes, len bits, the rest zero. */
struct guard_prefix {
	uint8_t bytes[16];
	uint8_t len;
};

struct guard_line_config {
	int family; /* AF_INET or AF_INET6 */
	uint16_t port;
	uint16_t queue_num;
	uint16_t more_queues; /* behind that one: see guard_rule_by_port() */
	/* Destinations that are exempt; borrowed for the life of the line. */
	const struct guard_prefix *passlist;
	size_t passlist_count;
};

struct guard_line;

struct guard_line_ops {
	/* 1: it stands, as it was made and with nothing in front of it; 0: it
	 * does not; -errno: that could not be found out. Changes nothing. */
	int (*check)(struct guard_line *line);
	/* Makes it stand, whatever was there. At no moment in between there is
	 * less than before. 0 or -errno. */
	int (*install)(struct guard_line *line);
	/* Leaves nothing of it. 0 or -errno. */
	int (*remove)(struct guard_line *line);
	void (*close)(struct guard_line *line);
};

struct guard_line {
	const struct guard_line_ops *ops;
	struct guard_line_config cfg;
	const char *what; /* "rule", "fence" */
};

int guard_rule_open(struct guard_line **out,
		    const struct guard_line_config *cfg);
int guard_fence_open(struct guard_line **out,
		     const struct guard_line_config *cfg);

/* Whether an installed rule gives each answer to the queue of its port, as
 * core/split.h has it; if not, the kernel spreads them by addresses. */
bool guard_rule_by_port(const struct guard_line *rule);

/* Whether the kernel has this family at all. */
bool guard_has_family(int family);

/* Those of the family, each once; out has room for all. Returns how many. */
size_t guard_prefixes(int family, const struct addr_prefix *in, size_t count,
		      struct guard_prefix *out);

#endif
