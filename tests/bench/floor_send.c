// SPDX-License-Identifier: BSD-2-Clause
/*
 * The floors under sending: the same packets again and again, in batches, by
 * one way and nothing else.
 *
 *   raw     IPPROTO_RAW socket
 *   link    AF_PACKET, frames to the next hop's MAC
 *   frames  the same by the BPF program of io/bpf_frames.c
 *   inject  by that as well, to an own address on lo
 *   stream  in a TCP connection to somebody who reads them, one write a batch
 *
 * They are TCP segments over IPv4 without the ACK flag: a listening socket
 * takes them as far as a TCP goes and says nothing.
 *
 * Usage: floor_send WAY COUNT PAYLOAD FROM-ADDR FROM-PORT TO-ADDR TO-PORT
 *        [DEVICE MAC | SINK-ADDR SINK-PORT]
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "floor.h"
#include "io/bpf_frames.h"
#include "io/sender_batch.h"

#define BATCH	      ((unsigned)SENDER_BATCH)
#define PAYLOAD_MAX   1400u
#define HEADERS_BYTES (sizeof(struct iphdr) + sizeof(struct tcphdr))
#define SLOT_BYTES    (ETH_HLEN + HEADERS_BYTES + PAYLOAD_MAX)
#define BUFFER_BYTES  (4 << 20)

struct way {
	int fd;
	bool framed;
	struct sockaddr_in to;	   /* raw */
	struct bpf_frames *frames; /* frames, inject */
};

static uint8_t slots[BATCH][SLOT_BYTES];
static size_t packet_bytes;
static unsigned long sent, refused;

static uint32_t sum16(const void *data, size_t len, uint32_t sum)
{
	const uint8_t *b = data;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(b[i] << 8 | b[i + 1]);
	return len & 1 ? sum + (uint32_t)(b[len - 1] << 8) : sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static struct in_addr address(const char *text)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) == 1)
		return a;
	fprintf(stderr, "no IPv4 address: %s\n", text);
	exit(2);
}

static void make_packet(uint8_t *l3, unsigned payload, char **who, unsigned n)
{
	struct iphdr *ip = (void *)l3;
	struct tcphdr *tcp = (void *)(l3 + sizeof(*ip));
	size_t tcp_bytes = sizeof(*tcp) + payload;

	*ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		.frag_off = htons(0x4000),
		.tot_len = htons((uint16_t)packet_bytes),
		.saddr = address(who[0]).s_addr,
		.daddr = address(who[2]).s_addr,
	};
	*tcp = (struct tcphdr){
		.source = htons((uint16_t)floor_number(who[1])),
		.dest = htons((uint16_t)floor_number(who[3])),
		.seq = htonl(n),
		.doff = sizeof(*tcp) / 4,
		.psh = 1,
		.window = htons(65535),
	};
	memset(tcp + 1, 'x', payload);
	ip->check = fold(sum16(ip, sizeof(*ip), 0));
	tcp->check =
		fold(sum16(&ip->saddr, 8, 0) +
		     sum16(tcp, tcp_bytes, IPPROTO_TCP + (uint32_t)tcp_bytes));
}

static void grow_buffer(int fd)
{
	int bytes = BUFFER_BYTES;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
}

static struct way open_raw(const char *to)
{
	struct way w = {
		.fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW),
		.to = {.sin_family = AF_INET, .sin_addr = address(to)},
	};

	if (w.fd < 0)
		floor_die("raw socket");
	return w;
}

static void set_ethernet(const char *mac, const uint8_t own[ETH_ALEN])
{
	unsigned m[ETH_ALEN];

	if (sscanf(mac, "%x:%x:%x:%x:%x:%x", &m[0], &m[1], &m[2], &m[3], &m[4],
		   &m[5]) != ETH_ALEN)
		floor_die(mac);
	for (unsigned i = 0; i < BATCH; i++) {
		struct ethhdr *eth = (void *)slots[i];

		for (unsigned b = 0; b < ETH_ALEN; b++)
			eth->h_dest[b] = (uint8_t)m[b];
		memcpy(eth->h_source, own, ETH_ALEN);
		eth->h_proto = htons(ETH_P_IP);
	}
}

static struct way open_link(const char *device, const char *mac)
{
	struct way w = {.fd = socket(AF_PACKET, SOCK_RAW, 0), .framed = true};
	struct sockaddr_ll own = {.sll_family = AF_PACKET,
				  .sll_ifindex = (int)if_nametoindex(device)};
	socklen_t len = sizeof(own);
	int on = 1;

	if (w.fd < 0 || bind(w.fd, (struct sockaddr *)&own, sizeof(own)) ||
	    getsockname(w.fd, (struct sockaddr *)&own, &len) ||
	    setsockopt(w.fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)))
		floor_die(device);
	set_ethernet(mac, own.sll_addr);
	return w;
}

/* Both addresses on lo are zero. */
static struct way open_frames(const char *device, const char *mac, bool arrive)
{
	struct way w = {.fd = -1};
	size_t step, frame_bytes = ETH_HLEN + packet_bytes;
	uint8_t *slot;

	set_ethernet(mac, (const uint8_t[ETH_ALEN]){arrive ? 0 : 2});
	if (bpf_frames_open(&w.frames, BPF_FRAMES_HEAD_BYTES + packet_bytes,
			    arrive))
		floor_die("BPF program");
	slot = bpf_frames_slots(w.frames, &step);
	for (unsigned i = 0; i < BATCH; i++, slot += step) {
		bpf_frames_set(slot, if_nametoindex(device), frame_bytes);
		memcpy(slot + BPF_FRAMES_HEAD_BYTES - ETH_HLEN, slots[i],
		       frame_bytes);
	}
	return w;
}

static struct way open_stream(const char *addr, const char *port)
{
	struct way w = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_addr = address(addr),
		.sin_port = htons((uint16_t)floor_number(port)),
	};

	if (w.fd < 0 || connect(w.fd, (struct sockaddr *)&to, sizeof(to)))
		floor_die("connect");
	return w;
}

static void send_datagrams(struct way *w, struct mmsghdr *msgs)
{
	unsigned at = 0;

	while (at < BATCH) {
		int n = sendmmsg(w->fd, msgs + at, BATCH - at, 0);

		if (n > 0) {
			sent += (unsigned)n;
			at += (unsigned)n;
		} else {
			refused++;
			at++;
		}
	}
}

static void send_frames(struct way *w)
{
	struct sender_stats stats = {0};

	if (bpf_frames_send(w->frames, 0, BATCH, &stats) < BATCH)
		floor_die("BPF program");
	sent += stats.sent;
	refused += stats.refused;
}

static void send_stream(struct way *w, struct iovec *iov)
{
	size_t left = BATCH * packet_bytes;
	ssize_t n = writev(w->fd, iov, BATCH);

	if (n < 0 || (size_t)n != left)
		floor_die("write");
	sent += BATCH;
}

static void send_all(struct way *w, unsigned count, bool stream)
{
	static struct mmsghdr msgs[BATCH];
	static struct iovec iov[BATCH];
	size_t skip = w->framed ? 0 : ETH_HLEN;
	bool raw = w->to.sin_family != 0;

	for (unsigned i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){slots[i] + skip,
					packet_bytes + ETH_HLEN - skip};
		msgs[i].msg_hdr = (struct msghdr){
			.msg_iov = &iov[i],
			.msg_iovlen = 1,
			.msg_name = raw ? &w->to : NULL,
			.msg_namelen = raw ? sizeof(w->to) : 0,
		};
	}
	while (sent + refused < count && !floor_ended) {
		if (stream)
			send_stream(w, iov);
		else if (w->frames)
			send_frames(w);
		else
			send_datagrams(w, msgs);
	}
}

int main(int argc, char **argv)
{
	double begin_us;
	bool stream;
	struct way w;

	if (argc < 8 || floor_number(argv[3]) > PAYLOAD_MAX ||
	    (argc < 10 && strcmp(argv[1], "raw")))
		return 2;
	floor_signals();
	packet_bytes = HEADERS_BYTES + floor_number(argv[3]);
	for (unsigned i = 0; i < BATCH; i++)
		make_packet(slots[i] + ETH_HLEN, floor_number(argv[3]),
			    argv + 4, i);
	stream = !strcmp(argv[1], "stream");
	if (stream)
		w = open_stream(argv[8], argv[9]);
	else if (!strcmp(argv[1], "link"))
		w = open_link(argv[8], argv[9]);
	else if (!strcmp(argv[1], "frames") || !strcmp(argv[1], "inject"))
		w = open_frames(argv[8], argv[9], argv[1][0] == 'i');
	else
		w = open_raw(argv[6]);
	grow_buffer(w.fd);
	begin_us = floor_cpu_us();
	send_all(&w, floor_number(argv[2]), stream);
	printf("{\"packets\":%lu,\"lost\":%lu,\"cpu_us\":%.1f}\n", sent,
	       refused, floor_cpu_us() - begin_us);
	return 0;
}
