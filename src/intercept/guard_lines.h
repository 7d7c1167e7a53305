/* SPDX-License-Identifier: BSD-2-Clause */
/* The lines of defence that the options ask for. */
#ifndef INTERCEPT_GUARD_LINES_H
#define INTERCEPT_GUARD_LINES_H

#include "intercept/options.h"
#include "io/guard_line.h"

struct guard_lines {
	struct guard_line **lines;
	size_t count;
	/* Of -x, by family: [0] IPv4, [1] IPv6. */
	struct guard_prefix *passlist[2];
	size_t passlist_count[2];
};

/* Of each port rule and fence, in each family that the kernel has. 0 or
 * -errno; nothing is left open then. */
int guard_lines_open(struct guard_lines *l, const struct options *o);
void guard_lines_close(struct guard_lines *l);
/* Of several workers each gets the answers of its ports: all rules that were
 * set up see to that. */
bool guard_lines_by_port(const struct guard_lines *l);

/* "IPv6 rule of port 80". Returns buf. */
#define GUARD_LINE_TEXT_MAX 40
char *guard_line_text(const struct guard_line *line,
		      char buf[GUARD_LINE_TEXT_MAX]);
/* What to do about an error with a line. */
const char *guard_line_remedy(const struct guard_line *line, int error);

#endif
