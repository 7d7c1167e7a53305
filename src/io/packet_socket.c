// SPDX-License-Identifier: BSD-2-Clause
#include "io/packet_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include "io/split_filter.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif
#ifndef PACKET_FANOUT_FLAG_IGNORE_OUTGOING
#define PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000
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

static int set_option(int fd, int name, const void *value, socklen_t len)
{
	return setsockopt(fd, SOL_PACKET, name, value, len) ? -errno : 0;
}

int packet_socket_join(int fd, const struct split *split, uint16_t *group)
{
	struct sock_filter code[SPLIT_FILTER_MAX];
	struct sock_fprog prog = {.filter = code};
	bool first = split->index == 0;
	uint32_t flags = PACKET_FANOUT_FLAG_IGNORE_OUTGOING, word;
	socklen_t len = sizeof(word);
	int err;

	if (first)
		flags |= PACKET_FANOUT_FLAG_UNIQUEID;
	word = (first ? 0 : *group) | (PACKET_FANOUT_CBPF | flags) << 16;
	err = set_option(fd, PACKET_FANOUT, &word, sizeof(word));
	if (err || !first)
		return err;
	if (getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &word, &len))
		return -errno;
	*group = (uint16_t)word;
	prog.len = (unsigned short)split_filter_fanout(code);
	return set_option(fd, PACKET_FANOUT_DATA, &prog, sizeof(prog));
}
