// SPDX-License-Identifier: BSD-2-Clause
#include "io/packet_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

int packet_socket_open(void)
{
	/* SOCK_DGRAM: frames begin with their IP header, and the kernel has
	 * taken a VLAN tag off before. */
	int fd =
		socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

int packet_socket_filter(int fd, const struct sock_fprog *prog)
{
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, prog, sizeof(*prog))
		       ? -errno
		       : 0;
}

int packet_socket_start(int fd, const struct capture_live_config *cfg)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ALL)};
	struct packet_mreq mreq = {.mr_type = PACKET_MR_PROMISC};
	int on = 1;

	if (cfg->device) {
		mreq.mr_ifindex = (int)if_nametoindex(cfg->device);
		if (!mreq.mr_ifindex)
			return -ENODEV;
		at.sll_ifindex = mreq.mr_ifindex;
	}
	/* Kernels before 4.20 do not know it; the filter sees to it as well. */
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
	if (cfg->promiscuous && mreq.mr_ifindex &&
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mreq,
		       sizeof(mreq)))
		return -errno;
	return bind(fd, (struct sockaddr *)&at, sizeof(at)) ? -errno : 0;
}
