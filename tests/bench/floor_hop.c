// SPDX-License-Identifier: BSD-2-Clause
/*
 * The floor under delay: a program that does nothing but to wake up for each
 * request of the lab's digest application and to send it on by UDP. It takes
 * requests from a plain packet socket, as they come to a TCP port, or from a
 * UDP port.
 *
 * Usage: floor_hop capture|datagrams PORT ADDR PORT, until SIGTERM.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "../lab/frame.h"
#include "floor.h"

static int open_udp(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0)
		floor_die("socket");
	return fd;
}

static int open_capture(void)
{
	struct sockaddr_ll any = {.sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_IP)};
	int fd = socket(AF_PACKET, SOCK_DGRAM, 0);
	int on = 1;

	if (fd < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on,
		       sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)))
		floor_die("packet socket");
	return fd;
}

static int open_datagrams(unsigned port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port)};
	int fd = open_udp();

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)))
		floor_die("bind");
	return fd;
}

static struct sockaddr_in address(const char *addr, unsigned port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port)};

	if (inet_pton(AF_INET, addr, &at.sin_addr) != 1)
		floor_die(addr);
	return at;
}

/* Where the request begins in a packet to that port; 0: there is none. */
static size_t payload_at(const uint8_t *l3, size_t len, unsigned port)
{
	const struct iphdr *ip = (const void *)l3;
	const struct tcphdr *tcp;
	size_t headers;

	if (len < sizeof(*ip) || ip->protocol != IPPROTO_TCP ||
	    len < ip->ihl * 4u + sizeof(*tcp))
		return 0;
	tcp = (const void *)(l3 + ip->ihl * 4u);
	headers = ip->ihl * 4u + tcp->doff * 4u;
	return ntohs(tcp->dest) == port && len >= headers + FRAME_HEADER_BYTES
		       ? headers
		       : 0;
}

int main(int argc, char **argv)
{
	_Alignas(8) static uint8_t packet[65536];
	const struct timeval tick = {.tv_usec = FLOOR_TICK_MS * 1000};
	bool captures = argc == 5 && strcmp(argv[1], "capture") == 0;
	struct sockaddr_in to;
	unsigned port;
	int in, out;

	if (argc != 5)
		return 2;
	floor_signals();
	port = floor_number(argv[2]);
	in = captures ? open_capture() : open_datagrams(port);
	out = open_udp();
	to = address(argv[3], floor_number(argv[4]));
	if (setsockopt(in, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick)))
		floor_die("SO_RCVTIMEO");
	floor_ready();
	while (!floor_ended) {
		ssize_t n = recv(in, packet, sizeof(packet), 0);
		size_t at = 0;

		if (n > 0 && captures)
			at = payload_at(packet, (size_t)n, port);
		if (n > 0 && (at > 0 || !captures))
			sendto(out, packet + at, (size_t)n - at, 0,
			       (struct sockaddr *)&to, sizeof(to));
	}
	return 0;
}
