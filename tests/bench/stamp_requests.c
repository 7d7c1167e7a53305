// SPDX-License-Identifier: BSD-2-Clause
/*
 * Says when each request of the lab's digest application to a port came in: a
 * line with connection, number and the kernel's time stamp in microseconds for
 * each packet, TCP or UDP, that begins with one. IPv4.
 *
 * A ring, not a plain socket: what another host of the same kernel has sent by
 * TCP still carries the moment at which it was to leave, and the kernel stamps
 * it for a plain socket only when that is read. Nor does a ring wake anybody
 * for each packet, on processors that are being measured. On all devices: so it
 * has a packet before another one that was opened earlier, which may take long
 * to wake its reader.
 *
 * Usage: stamp_requests PORT, until SIGTERM.
 */
#include <arpa/inet.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <pcap/pcap.h>

#include "../lab/frame.h"
#include "floor.h"

#define BUFFER_BYTES (16 << 20)
#define SNAP_BYTES   256
#define LINK_BYTES   16u /* DLT_LINUX_SLL */

static void check(pcap_t *tap, int rc, const char *what)
{
	if (rc >= 0)
		return;
	pcap_perror(tap, what);
	exit(1);
}

static void set_filter(pcap_t *tap, const char *port)
{
	struct bpf_program code;
	char text[64];

	snprintf(text, sizeof(text), "ip and dst port %u", floor_number(port));
	check(tap, pcap_compile(tap, &code, text, 1, PCAP_NETMASK_UNKNOWN),
	      "filter");
	check(tap, pcap_setfilter(tap, &code), "filter");
	pcap_freecode(&code);
}

static pcap_t *open_tap(const char *port)
{
	char err[PCAP_ERRBUF_SIZE];
	pcap_t *tap = pcap_create("any", err);

	if (!tap)
		floor_die("pcap_create");
	pcap_set_snaplen(tap, SNAP_BYTES);
	pcap_set_timeout(tap, FLOOR_TICK_MS);
	pcap_set_buffer_size(tap, BUFFER_BYTES);
	check(tap, pcap_activate(tap), "capture");
	check(tap, pcap_set_datalink(tap, DLT_LINUX_SLL), "link type");
	set_filter(tap, port);
	check(tap, pcap_setdirection(tap, PCAP_D_IN), "direction");
	check(tap, pcap_setnonblock(tap, 1, err), "nonblock");
	return tap;
}

static size_t transport_bytes(const struct iphdr *ip)
{
	const struct tcphdr *tcp =
		(const void *)((const uint8_t *)ip + ip->ihl * 4u);

	return ip->protocol == IPPROTO_TCP ? tcp->doff * 4u
					   : sizeof(struct udphdr);
}

static void on_packet(u_char *ctx, const struct pcap_pkthdr *h,
		      const u_char *bytes)
{
	const struct iphdr *ip = (const void *)(bytes + LINK_BYTES);
	size_t headers = LINK_BYTES + sizeof(*ip) + sizeof(struct tcphdr);
	struct frame f;

	(void)ctx;
	if (h->caplen < headers)
		return;
	headers = LINK_BYTES + ip->ihl * 4u + transport_bytes(ip);
	if (h->caplen < headers + FRAME_HEADER_BYTES ||
	    !frame_unpack(&f, bytes + headers))
		return;
	printf("%llu %u %lld\n", (unsigned long long)f.id, f.seq,
	       (long long)h->ts.tv_sec * 1000000 + h->ts.tv_usec);
}

/* What has come is there a tick later. */
static void read_all(pcap_t *tap)
{
	struct pollfd p = {.fd = pcap_get_selectable_fd(tap), .events = POLLIN};
	int ended;

	do {
		ended = floor_ended;
		poll(&p, 1, 2 * FLOOR_TICK_MS);
		check(tap, pcap_dispatch(tap, -1, on_packet, NULL), "capture");
	} while (!ended);
}

int main(int argc, char **argv)
{
	struct pcap_stat stat;
	pcap_t *tap;

	if (argc != 2)
		return 2;
	floor_signals();
	tap = open_tap(argv[1]);
	floor_ready();
	read_all(tap);
	check(tap, pcap_stats(tap, &stat), "drops");
	if (stat.ps_drop > 0) {
		fprintf(stderr, "no room for %u packets\n", stat.ps_drop);
		return 1;
	}
	return 0;
}
