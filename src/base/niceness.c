// SPDX-License-Identifier: BSD-2-Clause
#include "base/niceness.h"

#include <linux/capability.h>
#include <sys/resource.h>

#include "base/privileges.h"

/* The kernel's way to write a niceness as a limit. */
static rlim_t limit_of(int niceness)
{
	return (rlim_t)(20 - niceness);
}

/* Now, or for good by who may set limits. */
static bool limit_allows(rlim_t needed)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NICE, &limit))
		return false;
	if (limit.rlim_cur >= needed)
		return true;
	limit.rlim_cur = needed;
	if (limit.rlim_max < needed)
		limit.rlim_max = needed;
	return setrlimit(RLIMIT_NICE, &limit) == 0;
}

/* A user namespace has the capability, and the kernel does not heed it. */
static bool may_go_down(int from)
{
	return from > -20 && setpriority(PRIO_PROCESS, 0, from - 1) == 0 &&
	       setpriority(PRIO_PROCESS, 0, from) == 0;
}

enum niceness_right niceness_begin(struct niceness *n)
{
	n->start = getpriority(PRIO_PROCESS, 0);
	if (limit_allows(limit_of(n->start)))
		return NICENESS_ALWAYS;
	return privileges_have(CAP_SYS_NICE) && may_go_down(n->start)
		       ? NICENESS_CAPABILITY
		       : NICENESS_NEVER;
}

bool niceness_set(const struct niceness *n, unsigned steps)
{
	return setpriority(PRIO_PROCESS, 0, n->start + (int)steps) == 0;
}
