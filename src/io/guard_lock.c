// SPDX-License-Identifier: BSD-2-Clause
#include "io/guard_lock.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A name without a file: each network namespace has its own names, as it has
 * its own rules, and the kernel forgets them with the process. */
int guard_lock(uint16_t port)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), len, rc;

	if (fd < 0)
		return -errno;
	len = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1,
		       "tcpcopy-nfq/guard/%u", port);
	if (bind(fd, (struct sockaddr *)&name,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			     (size_t)len)) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}
