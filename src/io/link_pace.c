// SPDX-License-Identifier: BSD-2-Clause
#include "io/link_pace.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#define SHORT_WAY_US 2000u
#define NAME_BYTES   16
#define PACED	     "bbr"
#define UNPACED	     "reno" /* which everyone may have */

static bool is_paced(int fd)
{
	char name[NAME_BYTES] = "";
	socklen_t len = sizeof(name);

	return !getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) &&
	       !strncmp(name, PACED, sizeof(PACED) - 1);
}

static bool is_short(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	return !getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) &&
	       len >= offsetof(struct tcp_info, tcpi_min_rtt) +
			       sizeof(info.tcpi_min_rtt) &&
	       info.tcpi_min_rtt < SHORT_WAY_US;
}

void link_pace_choose(int fd)
{
	if (is_paced(fd) && is_short(fd))
		setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, UNPACED,
			   sizeof(UNPACED) - 1);
}
