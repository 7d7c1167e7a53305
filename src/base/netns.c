// SPDX-License-Identifier: BSD-2-Clause
#include "base/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NAMED "/run/netns/"

static int none(struct opts_fault *fault)
{
	opts_fail(fault, "must be a network namespace: a name that `ip netns` "
			 "lists, or a path such as /proc/PID/ns/net");
	return OPTS_EXIT_BAD_INPUT;
}

static int open_namespace(const char *name)
{
	char path[PATH_MAX];
	int len = snprintf(path, sizeof(path), "%s%s",
			   strchr(name, '/') ? "" : NAMED, name);

	if (len >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	/* Not to wait for somebody at the other end of a pipe. */
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static int refuse(const char *what, int err, struct opts_fault *fault)
{
	opts_fail(fault,
		  "%s: %s: start it as root, or from within that "
		  "namespace (nsenter --net=FILE)",
		  what, strerror(err));
	return OPTS_EXIT_ENVIRONMENT;
}

int netns_enter(const char *name, struct opts_fault *fault)
{
	int fd = open_namespace(name), rc = 0;

	if (fd < 0)
		return errno == EPERM || errno == EACCES
			       ? refuse("cannot be opened", errno, fault)
			       : none(fault);
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		rc = none(fault);
	else if (setns(fd, CLONE_NEWNET))
		rc = refuse("cannot be entered without CAP_SYS_ADMIN", errno,
			    fault);
	close(fd);
	return rc;
}
