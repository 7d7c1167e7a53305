/* SPDX-License-Identifier: BSD-2-Clause */
/* A network namespace of the test's own, with its loopback up. */
#ifndef TESTS_OWN_NAMESPACE_H
#define TESTS_OWN_NAMESPACE_H

#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* false: there cannot be one here, and none was entered. Needs _GNU_SOURCE. */
static inline bool own_namespace_enter(void)
{
	struct ifreq lo = {.ifr_flags = IFF_UP};
	bool up;
	int fd;

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return false;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0)
		return false;
	strcpy(lo.ifr_name, "lo");
	up = !ioctl(fd, SIOCSIFFLAGS, &lo);
	close(fd);
	return up;
}

#endif
