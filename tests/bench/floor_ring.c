// SPDX-License-Identifier: BSD-2-Clause
/*
 * The floor under capturing: a packet ring that gets what tcpcopy must have,
 * payload, SYN, FIN and RST over IPv4 to one port, and a loop that looks at
 * each packet's header and forgets it.
 *
 * Usage: floor_ring PORT [RETIRE-MS], until SIGTERM.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <pcap/pcap.h>

#include "floor.h"

#define BLOCK_BYTES (1u << 20)
#define BLOCKS	    32u
#define RETIRE_MS   10u

static unsigned long packets, payload_bytes, blocks;

static void set_filter(int fd, unsigned port)
{
	pcap_t *dead = pcap_open_dead(DLT_RAW, 65535);
	char text[256];
	struct bpf_program code;
	struct sock_fprog prog;
	int on = 1;

	snprintf(text, sizeof(text),
		 "tcp dst port %u and (tcp[tcpflags] & 7 != 0 or "
		 "ip[2:2] > ((ip[0] & 15) << 2) + ((tcp[12] & 240) >> 2))",
		 port);
	if (pcap_compile(dead, &code, text, 1, PCAP_NETMASK_UNKNOWN)) {
		pcap_perror(dead, "filter");
		exit(1);
	}
	prog = (struct sock_fprog){(unsigned short)code.bf_len,
				   (void *)code.bf_insns};
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)))
		floor_die("SO_ATTACH_FILTER");
	pcap_freecode(&code);
	pcap_close(dead);
}

static uint8_t *make_ring(int fd, unsigned retire_ms)
{
	struct tpacket_req3 req = {
		.tp_block_size = BLOCK_BYTES,
		.tp_block_nr = BLOCKS,
		.tp_frame_size = 2048,
		.tp_frame_nr = BLOCKS * (BLOCK_BYTES / 2048),
		.tp_retire_blk_tov = retire_ms,
	};
	int version = TPACKET_V3;
	void *ring;

	if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version,
		       sizeof(version)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)))
		floor_die("PACKET_RX_RING");
	ring = mmap(NULL, (size_t)BLOCK_BYTES * BLOCKS, PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		floor_die("mmap");
	return ring;
}

static int open_ring(unsigned port, unsigned retire_ms, uint8_t **ring)
{
	struct sockaddr_ll any = {.sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_IP)};
	int fd = socket(AF_PACKET, SOCK_DGRAM, 0);

	if (fd < 0)
		floor_die("socket");
	set_filter(fd, port);
	*ring = make_ring(fd, retire_ms);
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)))
		floor_die("bind");
	return fd;
}

static void look_at(const struct tpacket3_hdr *frame)
{
	const uint8_t *l3 = (const uint8_t *)frame + frame->tp_net;
	const struct iphdr *ip = (const void *)l3;
	const struct tcphdr *tcp = (const void *)(l3 + ip->ihl * 4);

	packets++;
	payload_bytes += frame->tp_len - ip->ihl * 4u - tcp->doff * 4u;
}

static void walk(struct tpacket_block_desc *block)
{
	struct tpacket_hdr_v1 *head = &block->hdr.bh1;
	const uint8_t *at = (uint8_t *)block + head->offset_to_first_pkt;

	blocks++;
	for (unsigned i = 0; i < head->num_pkts; i++) {
		const struct tpacket3_hdr *frame = (const void *)at;

		look_at(frame);
		at += frame->tp_next_offset;
	}
	__atomic_store_n(&head->block_status, TP_STATUS_KERNEL,
			 __ATOMIC_RELEASE);
}

static bool is_ours(struct tpacket_block_desc *block)
{
	return __atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) &
	       TP_STATUS_USER;
}

static void capture(int fd, uint8_t *ring)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	unsigned at = 0;

	while (!floor_ended) {
		struct tpacket_block_desc *block =
			(void *)(ring + (size_t)at * BLOCK_BYTES);

		if (is_ours(block)) {
			walk(block);
			at = (at + 1) % BLOCKS;
		} else if (poll(&p, 1, FLOOR_TICK_MS) < 0 && errno != EINTR) {
			floor_die("poll");
		}
	}
}

int main(int argc, char **argv)
{
	struct tpacket_stats_v3 stats;
	socklen_t len = sizeof(stats);
	double begin_us;
	uint8_t *ring;
	int fd;

	if (argc < 2)
		return 2;
	floor_signals();
	fd = open_ring(floor_number(argv[1]),
		       argc > 2 ? floor_number(argv[2]) : RETIRE_MS, &ring);
	floor_ready();
	begin_us = floor_cpu_us();
	capture(fd, ring);
	begin_us = floor_cpu_us() - begin_us;
	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len))
		floor_die("PACKET_STATISTICS");
	printf("{\"packets\":%lu,\"batches\":%lu,\"bytes\":%lu,"
	       "\"lost\":%u,\"cpu_us\":%.1f}\n",
	       packets, blocks, payload_bytes, stats.tp_drops, begin_us);
	return 0;
}
