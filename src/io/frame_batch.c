// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A slot has room for an Ethernet header in front of its packet, and before
 * that for what the kernel is told of the frame. Frames of one packet that
 * follow each other go by the BPF program (bpf_frames.c), if there are some of
 * them; its own frames take slots that follow each other. It knows nothing of
 * a device's MTU nor of segments, and takes no frame as long as a page: such
 * ones, and few, go by the packet socket, in their place among the others. If
 * the kernel ever refuses to run the program, as older ones do without
 * privileges, all go by the socket.
 */
#include "io/frame_batch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/privileges.h"
#include "io/bpf_frames.h"
#include "io/sender_batch.h"

#define TOLD_BYTES sizeof(struct virtio_net_hdr)
#define TOLD_AT	   (BPF_FRAMES_HEAD_BYTES - ETHER_HDR_LEN - TOLD_BYTES)
#define SLOT_ALIGN 16u
/* Fewer are cheaper by the socket. */
#define PROGRAM_LEAST 3u

struct frame {
	unsigned slot;
	bool simple; /* the program can send it: one packet, not too long */
};

struct frame_batch {
	struct frame_batch_config cfg;
	struct bpf_frames *program; /* NULL: there is none */
	bool runs;		    /* the program, as far as is known */
	int fd;
	bool tells;  /* the socket has what it is told before each frame */
	bool untold; /* and will not have it */
	uint8_t *slots, *own_slots; /* own: not the program's */
	size_t step_bytes;
	unsigned used; /* slots, and iov */
	unsigned count;
	struct frame frames[SENDER_BATCH];
	unsigned packets[SENDER_BATCH]; /* of each frame */
	struct mmsghdr msgs[SENDER_BATCH];
	struct iovec iov[SENDER_BATCH];
	struct sockaddr_ll to[SENDER_BATCH];
};

static uint8_t *slot_at(const struct frame_batch *b, unsigned i)
{
	return b->slots + i * b->step_bytes;
}

static uint8_t *packet_at(const struct frame_batch *b, unsigned i)
{
	return slot_at(b, i) + BPF_FRAMES_HEAD_BYTES;
}

uint8_t *frame_batch_packet(const struct frame_batch *b)
{
	return b->used < SENDER_BATCH ? packet_at(b, b->used) : NULL;
}

bool frame_batch_is_program(const struct frame_batch *b)
{
	return b->runs;
}

bool frame_batch_segments(const struct frame_batch *b)
{
	return b->tells;
}

void frame_batch_begin(struct frame_batch *b, uint32_t ifindex, size_t len,
		       size_t mtu_bytes)
{
	unsigned i = b->count++, slot = b->used++;
	uint8_t *frame = packet_at(b, slot) - ETHER_HDR_LEN;
	size_t told_bytes = b->tells ? TOLD_BYTES : 0;

	memset(frame - TOLD_BYTES, 0, TOLD_BYTES);
	bpf_frames_set(slot_at(b, slot), ifindex, ETHER_HDR_LEN + len);
	b->frames[i] = (struct frame){
		.slot = slot,
		.simple = len <= mtu_bytes &&
			  ETHER_HDR_LEN + len <= BPF_FRAMES_MOST_BYTES,
	};
	b->packets[i] = 1;
	b->iov[slot] = (struct iovec){
		.iov_base = frame - told_bytes,
		.iov_len = told_bytes + ETHER_HDR_LEN + len,
	};
	b->msgs[i].msg_hdr.msg_iov = &b->iov[slot];
	b->msgs[i].msg_hdr.msg_iovlen = 1;
	b->to[i].sll_ifindex = (int)ifindex;
	memcpy(&b->to[i].sll_protocol, frame + 2 * ETHER_ADDR_LEN,
	       ETHER_TYPE_LEN);
}

void frame_batch_continue(struct frame_batch *b, size_t len,
			  size_t header_bytes)
{
	unsigned i = b->count - 1, slot = b->used++;

	b->iov[slot] = (struct iovec){
		.iov_base = packet_at(b, slot) + header_bytes,
		.iov_len = len - header_bytes,
	};
	b->msgs[i].msg_hdr.msg_iovlen++;
	b->packets[i]++;
	b->frames[i].simple = false;
}

void frame_batch_tell(struct frame_batch *b, const struct virtio_net_hdr *told)
{
	memcpy(slot_at(b, b->frames[b->count - 1].slot) + TOLD_AT, told,
	       TOLD_BYTES);
}

/* How many frames from the i-th on the program is to send. */
static unsigned for_program(const struct frame_batch *b, unsigned i)
{
	unsigned n = 0;

	while (b->runs && i + n < b->count && b->frames[i + n].simple)
		n++;
	return n >= PROGRAM_LEAST ? n : 0;
}

/* All of them, or it does not run any more. */
static unsigned send_by_program(struct frame_batch *b, unsigned i, unsigned n,
				struct sender_stats *stats)
{
	unsigned slot = b->frames[i].slot;
	unsigned sent = bpf_frames_send(b->program, slot, slot + n, stats);

	if (sent < n) {
		log_info("frames go one by one: the kernel does not run the "
			 "program for them: %s",
			 strerror(errno));
		b->runs = false;
	}
	return sent;
}

/* They are lost once, and TCP sends them again. */
static void take_back_segments(struct frame_batch *b)
{
	int off = 0;

	setsockopt(b->fd, SOL_PACKET, PACKET_VNET_HDR, &off, sizeof(off));
	b->tells = false;
	log_info("the kernel takes no frames of several segments: they are cut "
		 "here");
}

static void send_by_socket(struct frame_batch *b, unsigned from, unsigned to,
			   struct sender_stats *stats)
{
	uint64_t refused = stats->refused;

	sender_batch_send(b->fd, b->msgs + from, b->packets + from, to - from,
			  NULL, stats);
	if (stats->refused != refused && stats->last_errno == EINVAL)
		b->untold = true;
}

void frame_batch_flush(struct frame_batch *b, struct sender_stats *stats)
{
	unsigned i = 0;

	while (i < b->count) {
		unsigned n = for_program(b, i), first = i;

		if (n > 0) {
			i += send_by_program(b, i, n, stats);
			continue;
		}
		while (i < b->count && !for_program(b, i))
			i++;
		send_by_socket(b, first, i, stats);
	}
	b->count = b->used = 0;
	if (b->tells && b->untold)
		take_back_segments(b);
}

/* Of no protocol: nothing is received. */
static int open_socket(struct frame_batch *b)
{
	int on = 1;

	b->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (b->fd < 0)
		return -errno;
	if (b->cfg.arrive)
		setsockopt(b->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on,
			   sizeof(on));
	sender_batch_room(b->fd);
	b->tells = b->cfg.segments &&
		   !setsockopt(b->fd, SOL_PACKET, PACKET_VNET_HDR, &on,
			       sizeof(on));
	return 0;
}

/* Who may not is not to ask: a filter of system calls can end us for it. */
static bool may_load(void)
{
	return privileges_have(CAP_SYS_ADMIN) ||
	       (privileges_have(CAP_BPF) && privileges_have(CAP_NET_ADMIN));
}

static int open_slots(struct frame_batch *b)
{
	size_t bytes = BPF_FRAMES_HEAD_BYTES + b->cfg.packet_bytes;
	int err = -EPERM;

	if (may_load())
		err = bpf_frames_open(&b->program, bytes, b->cfg.arrive);

	b->runs = !err;
	if (b->runs) {
		b->slots = bpf_frames_slots(b->program, &b->step_bytes);
		return 0;
	}
	log_debug("frames go one by one: no BPF program for them: %s",
		  strerror(-err));
	b->step_bytes = (bytes + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN;
	b->slots = b->own_slots = calloc(SENDER_BATCH, b->step_bytes);
	return b->slots ? 0 : -ENOMEM;
}

static void make_batch(struct frame_batch *b)
{
	for (unsigned i = 0; i < SENDER_BATCH; i++) {
		b->to[i].sll_family = AF_PACKET;
		b->msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &b->to[i],
			.msg_namelen = sizeof(b->to[i]),
		};
	}
}

int frame_batch_open(struct frame_batch **out,
		     const struct frame_batch_config *cfg)
{
	struct frame_batch *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	b->cfg = *cfg;
	err = open_socket(b);
	if (!err)
		err = open_slots(b);
	if (err) {
		frame_batch_close(b);
		return err;
	}
	make_batch(b);
	*out = b;
	return 0;
}

void frame_batch_close(struct frame_batch *b)
{
	if (b->fd >= 0)
		close(b->fd);
	if (b->program)
		bpf_frames_close(b->program);
	free(b->own_slots);
	free(b);
}
