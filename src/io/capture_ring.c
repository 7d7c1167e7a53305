// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A packet socket with a TPACKET_V3 ring: the kernel fills blocks, we walk them
 * and give them back. While packets are rare, another socket gives them before
 * their block is closed (capture_ahead.c). Who polls sees both as one. Of
 * several workers the rings are a fanout group, and the other sockets a second
 * one; docs/workers.md says how they spread.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/capture_ahead.h"
#include "io/capture_filter.h"
#include "io/packet_socket.h"

/* The kernel closes a block after RETIRE_MS however little is in it, so that
 * blocks times that is how long we may be kept from running. */
#define BLOCK_BYTES (128u << 10)
#define BLOCKS_MIN  (CAPTURE_BUFFER_MIN_BYTES / BLOCK_BYTES)
#define FRAME_BYTES 2048u
#define RETIRE_MS   10
/* Walked at most before others have their turn. */
#define BLOCKS_A_TURN 16u

struct capture_ring {
	struct capture base;
	int fd;
	int epoll_fd; /* readable if fd or ahead.fd is */
	struct capture_ahead ahead;
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
	return const_ring_of(c)->epoll_fd;
}

static uint64_t ring_deadline_us(const struct capture *c)
{
	(void)c;
	return UINT64_MAX;
}

static struct tpacket_hdr_v1 *header_of(const struct capture_ring *r,
					unsigned number)
{
	void *block = r->ring + (size_t)number * BLOCK_BYTES;

	return &((struct tpacket_block_desc *)block)->hdr.bh1;
}

static struct tpacket_hdr_v1 *block_header(const struct capture_ring *r)
{
	return header_of(r, r->block);
}

static bool is_closed(const struct tpacket_hdr_v1 *h)
{
	return __atomic_load_n(&h->block_status, __ATOMIC_ACQUIRE) &
	       TP_STATUS_USER;
}

/* How many blocks from the current one on the kernel has filled. */
static unsigned closed_blocks(const struct capture_ring *r)
{
	unsigned n = 0;

	while (n < BLOCKS_A_TURN &&
	       is_closed(header_of(r, (r->block + n) % r->blocks)))
		n++;
	return n;
}

/* Begins the current block if the kernel has filled it. */
static bool walk_begin(struct capture_ring *r)
{
	struct tpacket_hdr_v1 *h = block_header(r);

	if (r->walking)
		return true;
	if (!is_closed(h))
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

/* false: it was given before. */
static bool take_packet(struct capture_ring *r, struct packet_bytes *out)
{
	const void *at = r->next;
	const struct tpacket3_hdr *h = at;

	*out = (struct packet_bytes){r->next + h->tp_net, h->tp_snaplen,
				     h->tp_len};
	r->next += h->tp_next_offset;
	r->left--;
	return !capture_ahead_gave(&r->ahead, out->l3, out->cap_len,
				   out->wire_len);
}

/* The next ones of the block; how many were given now, and not before. */
static int take_some(struct capture_ring *r, int *budget, capture_cb *cb,
		     void *ctx)
{
	struct packet_bytes some[CAPTURE_BATCH];
	size_t count = 0;

	for (; r->left && *budget > 0 && count < CAPTURE_BATCH; --*budget)
		count += take_packet(r, &some[count]);
	if (count > 0)
		cb(ctx, some, count);
	return (int)count;
}

static bool is_empty(void *ring)
{
	struct capture_ring *r = ring;

	return !walk_begin(r) && __atomic_load_n(&block_header(r)->num_pkts,
						 __ATOMIC_RELAXED) == 0;
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

/* Blocks are filled in order. */
static bool ring_is_behind(const struct capture *c)
{
	const struct capture_ring *r = const_ring_of(c);

	return is_closed(header_of(r, (r->block + r->blocks / 8) % r->blocks));
}

static int ring_dispatch(struct capture *c, int budget, uint64_t now_us,
			 capture_cb *cb, void *ctx)
{
	struct capture_ring *r = ring_of(c);
	/* What has been closed by now, the socket has as well, and gives it
	 * first. */
	unsigned closed = closed_blocks(r);
	int taken = capture_ahead_dispatch(&r->ahead, budget, cb, ctx);

	while (budget > 0 && closed > 0 && walk_begin(r)) {
		while (r->left && budget > 0)
			taken += take_some(r, &budget, cb, ctx);
		if (r->left)
			break;
		walk_end(r);
		closed--;
	}
	capture_ahead_pace(&r->ahead, (unsigned)taken, now_us, is_empty, r);
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
	if (r->epoll_fd >= 0)
		close(r->epoll_fd);
	capture_ahead_close(&r->ahead);
	free(r);
}

static const struct capture_ops ring_ops = {
	.fd = ring_fd,
	.dispatch = ring_dispatch,
	.deadline_us = ring_deadline_us,
	.is_behind = ring_is_behind,
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

static int open_socket(struct capture_ring *r)
{
	r->fd = packet_socket_open();
	return r->fd < 0 ? r->fd : 0;
}

/* Both sockets, with one filter. The ring's is made last: when a device has
 * been down, the kernel starts them again in that order. */
static int open_filtered(struct capture_ring *r,
			 const struct capture_live_config *cfg, char *err,
			 size_t err_bytes)
{
	struct sock_fprog prog;
	int rc = capture_filter_compile(&prog, cfg->filter, cfg->other_hosts,
					&cfg->split, err, err_bytes);

	if (rc)
		return rc;
	rc = capture_ahead_open(&r->ahead, cfg, &prog);
	if (!rc)
		rc = open_socket(r);
	if (!rc)
		rc = packet_socket_filter(r->fd, &r->ahead.filter);
	/* -EINVAL is for expressions that the user can mend. */
	return rc == -EINVAL ? -EIO : rc;
}

static int poll_both(struct capture_ring *r)
{
	struct epoll_event event = {.events = EPOLLIN};

	r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll_fd < 0 ||
	    epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->fd, &event) ||
	    epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->ahead.fd, &event))
		return -errno;
	return 0;
}

/* That of the ring last: the kernel gives a packet first to what came last. */
static int join_groups(struct capture_ring *r,
		       const struct capture_live_config *cfg, char *err,
		       size_t err_bytes)
{
	int rc = packet_socket_join(r->ahead.fd, &cfg->split,
				    &cfg->groups->ahead);

	if (!rc)
		rc = packet_socket_join(r->fd, &cfg->split, &cfg->groups->ring);
	if (rc)
		snprintf(err, err_bytes,
			 "--workers: packet fanout: %s; is the device up?",
			 strerror(-rc));
	/* -EINVAL is for expressions, as above. */
	return rc == -EINVAL ? -EIO : rc;
}

static int open_ring(struct capture_ring *r,
		     const struct capture_live_config *cfg, char *err,
		     size_t err_bytes)
{
	int rc;

	if (cfg->device)
		snprintf(r->device, sizeof(r->device), "%s", cfg->device);
	rc = open_filtered(r, cfg, err, err_bytes);
	if (!rc)
		rc = poll_both(r);
	if (!rc)
		rc = make_ring(r, cfg->buffer_bytes);
	r->seen_missed = missed_by_devices(r);
	r->counts_missed = cfg->split.index == 0;
	if (!rc)
		rc = packet_socket_start(r->fd, cfg);
	if (!rc && cfg->split.count > 1)
		rc = join_groups(r, cfg, err, err_bytes);
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
	r->fd = r->epoll_fd = r->ahead.fd = -1;
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
