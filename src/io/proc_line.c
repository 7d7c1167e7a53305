// SPDX-License-Identifier: BSD-2-Clause
#include "io/proc_line.h"

#include <inttypes.h>
#include <stdio.h>

const char *proc_unix_name(const char *line)
{
	int at = 0;

	/* The name stands behind the seventh word, if it has one. */
	sscanf(line, "%*s %*s %*s %*s %*s %*s %*s%n", &at);
	return line + at;
}

bool proc_netlink_parse(struct proc_netlink *out, const char *line)
{
	return sscanf(line, "%*s %u %" SCNu32 " %*s %*s %*s %*s %*s %*s %lu",
		      &out->bus, &out->portid, &out->inode) == 3;
}
