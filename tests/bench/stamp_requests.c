// SPDX-License-Identifier: BSD-2-Clause
/*
 * Says when each request of the lab's digest application to a port came in by
 * a device: a line with connection, number and the kernel's time stamp in
 * microseconds, once for each, for requests that begin a packet. IPv4.
 *
 * Usage: stamp_requests DEVICE PORT, until SIGTERM.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "../lab/frame.h"
#include "floor.h"

#define BUFFER_BYTES (16 << 20)

static int open_tap(const char *device)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_IP),
				 .sll_ifindex = (int)if_nametoindex(device)};
	int fd = socket(AF_PACKET, SOCK_DGRAM, 0);
	int on = 1, bytes = BUFFER_BYTES;
	struct timeval tick = {.tv_usec = FLOOR_TICK_MS * 1000};

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick)) ||
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on,
		       sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)))
		floor_die(device);
	return fd;
}

static uint64_t stamp_us(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	struct timespec ts;

	if (!c || c->cmsg_type != SO_TIMESTAMPNS)
		return 0;
	memcpy(&ts, CMSG_DATA(c), sizeof(ts));
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void on_packet(const uint8_t *l3, size_t len, unsigned port,
		      uint64_t at_us)
{
	const struct iphdr *ip = (const void *)l3;
	const struct tcphdr *tcp;
	size_t headers;
	struct frame f;

	if (len < sizeof(*ip) || ip->protocol != IPPROTO_TCP ||
	    len < ip->ihl * 4u + sizeof(*tcp))
		return;
	tcp = (const void *)(l3 + ip->ihl * 4u);
	headers = ip->ihl * 4u + tcp->doff * 4u;
	if (ntohs(tcp->dest) != port || len < headers + FRAME_HEADER_BYTES ||
	    !frame_unpack(&f, l3 + headers))
		return;
	printf("%llu %u %llu\n", (unsigned long long)f.id, f.seq,
	       (unsigned long long)at_us);
}

int main(int argc, char **argv)
{
	_Alignas(8) static uint8_t packet[65536];
	_Alignas(8) char control[256];
	struct iovec iov = {packet, sizeof(packet)};
	int fd;

	if (argc != 3)
		return 2;
	floor_signals();
	fd = open_tap(argv[1]);
	floor_ready();
	while (!floor_ended) {
		struct msghdr msg = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control,
				     .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(fd, &msg, 0);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			floor_die("recvmsg");
		if (n > 0)
			on_packet(packet, (size_t)n, floor_number(argv[2]),
				  stamp_us(&msg));
	}
	return 0;
}
