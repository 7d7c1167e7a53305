// SPDX-License-Identifier: BSD-2-Clause
#include "io/guard_lock.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "io/proc_line.h"

#define NAME "tcpcopy-nfq/guard/%u"

/* A name without a file: each network namespace has its own names, as it has
 * its own rules, and the kernel forgets them with the process. */
int guard_lock(uint16_t port)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), len, rc;

	if (fd < 0)
		return -errno;
	len = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, NAME,
		       port);
	if (bind(fd, (struct sockaddr *)&name,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			     (size_t)len)) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

bool guard_is_locked(uint16_t port)
{
	FILE *f = fopen("/proc/self/net/unix", "re");
	char line[256], wanted[64];
	bool found = false;

	snprintf(wanted, sizeof(wanted), " @" NAME "\n", port);
	while (f && !found && fgets(line, sizeof(line), f))
		found = !strcmp(proc_unix_name(line), wanted);
	if (f)
		fclose(f);
	return found;
}
