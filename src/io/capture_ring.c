// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A packet socket with a TPACKET_V3 ring: the kernel fills blocks, we walk them
 * and give them back. The socket begins with protocol 0, for which nothing is
 * delivered; ring and filter are set up first, and binding to ETH_P_ALL starts
 * it, so that no packet gets past the filter. SOCK_DGRAM: frames begin with
 * their IP header, and the kernel has taken a VLAN tag off before. The rings of
 * several workers are a fanout group; docs/workers.md says how it spreads.
 */
#include "io/capture_live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/capture_filter.h"
#include "io/split_filter.h"

/* The kernel closes a block after RETIRE_MS however little is in it, so that
 * blocks times that is how long we may be kept from running. */
#define BLOCK_BYTES (128u << 10)
#define BLOCKS_MIN  (CAPTURE_BUFFER_MIN_BYTES / BLOCK_BYTES)
#define FRAME_BYTES 2048u
#define RETIRE_MS   10

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif
#ifndef PACKET_FANOUT_FLAG_IGNORE_OUTGOING
#define PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000
#endif

struct capture_ring {
	struct capture base;
	int fd;
	uint8_t *ring;
	size_t ring_bytes;
	unsigned blocks, block; /* how many, and the one being walked */
	/* The next packet of that block, and how many are left in it; walking:
	 * the block is ours. */
	const uint8_t *next;
	uint32_t left;
	bool walking;
	char device[IF_NAMESIZE]; /* empty: all */
	uint32_t seen_missed;	  /* what devices had dropped so far */
	bool counts_missed;	  /* else another worker does */
	struct capture_stats stats;
};

static const struct capture_ring *const_ring_of(const struct capture *c)
{
	return (const struct capture_ring *)c;
}

static struct capture_ring *ring_of(struct capture *c)
{
	return (struct capture_ring *)c;
}

static int ring_fd(const struct capture *c)
{
	return const_ring_of(c)->fd;
}

static uint64_t ring_deadline_us(const struct capture *c)
{
	(void)c;
	return UINT64_MAX;
}

static struct tpacket_hdr_v1 *block_header(const struct capture_ring *r)
{
	void *block = r->ring + (size_t)r->block * BLOCK_BYTES;

	return &((struct tpacket_block_desc *)block)->hdr.bh1;
}

/* Begins the current block if the kernel has filled it. */
static bool walk_begin(struct capture_ring *r)
{
	struct tpacket_hdr_v1 *h = block_header(r);

	if (r->walking)
		return true;
	if (!(__atomic_load_n(&h->block_status, __ATOMIC_ACQUIRE) &
	      TP_STATUS_USER))
		return false;
	r->walking = true;
	r->left = h->num_pkts;
	r->next = r->ring + (size_t)r->block * BLOCK_BYTES +
		  h->offset_to_first_pkt;
	return true;
}

static void walk_end(struct capture_ring *r)
{
	__atomic_store_n(&block_header(r)->block_status, TP_STATUS_KERNEL,
			 __ATOMIC_RELEASE);
	r->block = (r->block + 1) % r->blocks;
	r->walking = false;
}

static void take_packet(struct capture_ring *r, capture_cb *cb, void *ctx)
{
	const void *at = r->next;
	const struct tpacket3_hdr *h = at;

	cb(ctx, r->next + h->tp_net, h->tp_snaplen, h->tp_len);
	r->next += h->tp_next_offset;
	r->left--;
}

/* ENETDOWN: the device went down; it may come back, and the socket stays bound
 * to it. Asking takes the error off the socket. */
static int pending_error(const struct capture_ring *r)
{
	int err = 0;
	socklen_t len = sizeof(err);

	getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return -err;
}

static int ring_dispatch(struct capture *c, int budget, uint64_t now_us,
			 capture_cb *cb, void *ctx)
{
	struct capture_ring *r = ring_of(c);
	int taken = 0;

	(void)now_us;
	while (taken < budget && walk_begin(r)) {
		for (; r->left && taken < budget; taken++)
			take_packet(r, cb, ctx);
		if (!r->left)
			walk_end(r);
	}
	if (!taken) {
		int err = pending_error(r);

		if (err < -1)
			return err;
	}
	return taken;
}

/* Packets that our devices had no room for, by their 32-bit counters. */
static uint32_t missed_by_devices(const struct capture_ring *r)
{
	struct ifaddrs *list;
	uint32_t sum = 0;

	if (getifaddrs(&list))
		return r->seen_missed;
	for (const struct ifaddrs *at = list; at; at = at->ifa_next) {
		struct rtnl_link_stats s;

		if (!at->ifa_addr || !at->ifa_data ||
		    at->ifa_addr->sa_family != AF_PACKET ||
		    (r->device[0] && strcmp(r->device, at->ifa_name) != 0))
			continue;
		memcpy(&s, at->ifa_data, sizeof(s));
		sum += s.rx_missed_errors;
	}
	freeifaddrs(list);
	return sum;
}

/* A sum that goes down is one of other devices than before. */
static void note_missed(struct capture_ring *r)
{
	uint32_t now = missed_by_devices(r);

	if (now > r->seen_missed)
		r->stats.dropped_device += now - r->seen_missed;
	r->seen_missed = now;
}

static void ring_stats(struct capture *c, struct capture_stats *out)
{
	struct capture_ring *r = ring_of(c);
	struct tpacket_stats_v3 s = {0};
	socklen_t len = sizeof(s);

	/* Reading sets the kernel's counters back. */
	if (!getsockopt(r->fd, SOL_PACKET, PACKET_STATISTICS, &s, &len)) {
		r->stats.received += s.tp_packets - s.tp_drops;
		r->stats.dropped_kernel += s.tp_drops;
	}
	if (r->counts_missed)
		note_missed(r);
	*out = r->stats;
}

static void ring_close(struct capture *c)
{
	struct capture_ring *r = ring_of(c);

	if (r->ring)
		munmap(r->ring, r->ring_bytes);
	if (r->fd >= 0)
		close(r->fd);
	free(r);
}

static const struct capture_ops ring_ops = {
	.fd = ring_fd,
	.dispatch = ring_dispatch,
	.deadline_us = ring_deadline_us,
	.stats = ring_stats,
	.close = ring_close,
};

static int set_option(int fd, int name, const void *value, socklen_t len)
{
	return setsockopt(fd, SOL_PACKET, name, value, len) ? -errno : 0;
}

static int make_ring(struct capture_ring *r, size_t buffer_bytes)
{
	int version = TPACKET_V3, err;
	size_t blocks = buffer_bytes / BLOCK_BYTES;
	struct tpacket_req3 req = {
		.tp_block_size = BLOCK_BYTES,
		.tp_frame_size = FRAME_BYTES,
		.tp_retire_blk_tov = RETIRE_MS,
	};
	void *at;

	req.tp_block_nr = blocks < BLOCKS_MIN ? BLOCKS_MIN : (unsigned)blocks;
	req.tp_frame_nr = req.tp_block_nr * (BLOCK_BYTES / FRAME_BYTES);
	err = set_option(r->fd, PACKET_VERSION, &version, sizeof(version));
	if (!err)
		err = set_option(r->fd, PACKET_RX_RING, &req, sizeof(req));
	if (err)
		return err;
	r->blocks = req.tp_block_nr;
	r->ring_bytes = (size_t)r->blocks * BLOCK_BYTES;
	at = mmap(NULL, r->ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		  r->fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	r->ring = at;
	return 0;
}

static int attach_filter(int fd, const struct capture_live_config *cfg,
			 char *err, size_t err_bytes)
{
	struct sock_fprog prog;
	int rc = capture_filter_compile(&prog, cfg->filter, cfg->other_hosts,
					&cfg->split, err, err_bytes);

	if (rc)
		return rc;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)))
		rc = -errno;
	capture_filter_free(&prog);
	/* -EINVAL is for expressions that the user can mend. */
	return rc == -EINVAL ? -EIO : rc;
}

static int start(int fd, unsigned ifindex, bool promiscuous)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ALL),
				 .sll_ifindex = (int)ifindex};
	struct packet_mreq mreq = {.mr_ifindex = (int)ifindex,
				   .mr_type = PACKET_MR_PROMISC};
	int on = 1;

	/* Kernels before 4.20 do not know it; the filter sees to it as well. */
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
	if (promiscuous && ifindex &&
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mreq,
		       sizeof(mreq)))
		return -errno;
	return bind(fd, (struct sockaddr *)&at, sizeof(at)) ? -errno : 0;
}

/* Makes the group, or becomes its next member: the place in it is our index. */
static int join_fanout(int fd, const struct capture_live_config *cfg)
{
	struct sock_filter code[SPLIT_FILTER_MAX];
	struct sock_fprog prog = {.filter = code};
	bool first = cfg->split.index == 0;
	uint32_t flags = PACKET_FANOUT_FLAG_IGNORE_OUTGOING, group;
	socklen_t len = sizeof(group);
	int err;

	if (first)
		flags |= PACKET_FANOUT_FLAG_UNIQUEID;
	group = (first ? 0 : *cfg->fanout_id) | (PACKET_FANOUT_CBPF | flags)
							<< 16;
	err = set_option(fd, PACKET_FANOUT, &group, sizeof(group));
	if (err || !first)
		return err;
	if (getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &group, &len))
		return -errno;
	*cfg->fanout_id = (uint16_t)group;
	prog.len = (unsigned short)split_filter_fanout(code, cfg->split.seed);
	return set_option(fd, PACKET_FANOUT_DATA, &prog, sizeof(prog));
}

static int open_ring(struct capture_ring *r,
		     const struct capture_live_config *cfg, char *err,
		     size_t err_bytes)
{
	unsigned ifindex = 0;
	int rc;

	if (cfg->device) {
		ifindex = if_nametoindex(cfg->device);
		if (!ifindex)
			return -ENODEV;
		snprintf(r->device, sizeof(r->device), "%s", cfg->device);
	}
	r->fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (r->fd < 0)
		return -errno;
	rc = attach_filter(r->fd, cfg, err, err_bytes);
	if (!rc)
		rc = make_ring(r, cfg->buffer_bytes);
	r->seen_missed = missed_by_devices(r);
	r->counts_missed = cfg->split.index == 0;
	if (!rc)
		rc = start(r->fd, ifindex, cfg->promiscuous);
	if (!rc && cfg->split.count > 1) {
		rc = join_fanout(r->fd, cfg);
		if (rc)
			snprintf(err, err_bytes,
				 "--workers: packet fanout: %s; is the device "
				 "up?",
				 strerror(-rc));
		/* That is for expressions, as above. */
		rc = rc == -EINVAL ? -EIO : rc;
	}
	return rc;
}

int capture_ring_open(struct capture **out,
		      const struct capture_live_config *cfg, char *err,
		      size_t err_bytes)
{
	struct capture_ring *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	r->base.ops = &ring_ops;
	r->fd = -1;
	err[0] = '\0';
	rc = open_ring(r, cfg, err, err_bytes);
	if (rc) {
		if (!err[0])
			snprintf(err, err_bytes, "%s", strerror(-rc));
		ring_close(&r->base);
		return rc;
	}
	*out = &r->base;
	return 0;
}
