// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A slot has room for an Ethernet header in front of its packet, and before
 * that for what the kernel is told of the frame. A committed packet finds its
 * next hop by its destination, gets the headers, and waits for the flush; if it
 * continues the one before it (gso.c), only its payload follows that one's. One
 * whose next hop has no MAC that holds is copied to the other sender instead,
 * and the slot is free again. So nothing is lost while the kernel resolves a
 * neighbour, and it has a reason to: it knows nothing of frames. The qdisc is
 * not passed by: this host's shaping holds for copies, too.
 */
#include "io/sender_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "io/gso.h"
#include "io/sender_batch.h"

#define TOLD_BYTES sizeof(struct virtio_net_hdr)
/* The packet behind the headers is aligned. */
#define HEAD_BYTES 32
#define PAD_BYTES  (HEAD_BYTES - ETHER_HDR_LEN - TOLD_BYTES)
#define V4_DST_AT  16
#define V6_DST_AT  24

struct sender_link {
	struct sender base;
	struct sender_link_config cfg;
	int fd;
	size_t step_bytes; /* from slot to slot */
	uint8_t *slots;
	unsigned used; /* slots, and iov */
	unsigned count;
	bool tells;	 /* before each frame stands what it is */
	struct gso last; /* of msgs[count - 1] */
	uint8_t *last_l3;
	unsigned packets[SENDER_BATCH]; /* of each message */
	struct mmsghdr msgs[SENDER_BATCH];
	struct iovec iov[SENDER_BATCH];
	struct sockaddr_ll to[SENDER_BATCH];
	struct next_hop *last_hop; /* found */
	struct sender_stats own;   /* by this one alone */
	struct sender_stats stats; /* with the other's */
};

static struct sender_link *link_of(struct sender *s)
{
	return (struct sender_link *)s;
}

static uint8_t *l3_at(const struct sender_link *l, unsigned i)
{
	return l->slots + i * l->step_bytes + HEAD_BYTES;
}

static uint8_t *link_reserve(struct sender *s, size_t *cap)
{
	struct sender_link *l = link_of(s);

	*cap = l->cfg.slot_bytes;
	return l->used < SENDER_BATCH ? l3_at(l, l->used) : NULL;
}

static struct next_hop *hop_of(struct sender_link *l, const uint8_t *l3)
{
	struct ip_addr to = l3[0] >> 4 == 4 ? addr_from_v4(l3 + V4_DST_AT)
					    : addr_from_v6(l3 + V6_DST_AT);

	if (!l->last_hop || !addr_equal(&l->last_hop->to, &to))
		l->last_hop = next_hops_find(l->cfg.hops, &to);
	return l->last_hop;
}

static bool takes_frame(struct next_hop *hop)
{
	if (!hop || hop->state != NEXT_HOP_KNOWN)
		return false;
	if (!hop->unsure)
		return true;
	hop->unsure = false;
	return false;
}

static void give_to_other(struct sender_link *l, const uint8_t *l3, size_t len)
{
	struct sender *other = l->cfg.other;
	size_t cap;
	uint8_t *slot = other->ops->reserve(other, &cap);

	if (!slot) {
		other->ops->flush(other);
		slot = other->ops->reserve(other, &cap);
	}
	memcpy(slot, l3, len);
	other->ops->commit(other, len);
}

/* The last frame is complete: its header, and what the kernel is told of it. */
static void end_frame(struct sender_link *l)
{
	struct virtio_net_hdr told = {0};
	struct gso_cut cut;

	if (!l->last_l3)
		return;
	if (gso_end(&l->last, l->last_l3, &cut))
		told = (struct virtio_net_hdr){
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.gso_type = cut.v4 ? VIRTIO_NET_HDR_GSO_TCPV4
					   : VIRTIO_NET_HDR_GSO_TCPV6,
			.hdr_len = (uint16_t)(ETHER_HDR_LEN + cut.header_bytes),
			.gso_size = cut.mss_bytes,
			.csum_start = (uint16_t)(ETHER_HDR_LEN + cut.sum_start),
			.csum_offset = cut.sum_at,
		};
	memcpy(l->last_l3 - ETHER_HDR_LEN - TOLD_BYTES, &told, TOLD_BYTES);
	l->last_l3 = NULL;
}

static void begin_frame(struct sender_link *l, const struct next_hop *hop,
			uint8_t *l3, size_t len)
{
	unsigned i = l->count++;
	uint8_t *frame = l3 - ETHER_HDR_LEN;
	size_t told_bytes = l->tells ? TOLD_BYTES : 0;
	uint16_t proto = htons(l3[0] >> 4 == 4 ? ETHERTYPE_IP : ETHERTYPE_IPV6);

	end_frame(l);
	gso_begin(&l->last, l3, len);
	l->last_l3 = l3;
	l->packets[i] = 1;
	memcpy(frame, hop->mac, MAC_BYTES);
	memcpy(frame + MAC_BYTES, hop->device.mac, MAC_BYTES);
	memcpy(frame + 2 * MAC_BYTES, &proto, sizeof(proto));
	l->iov[l->used] = (struct iovec){
		.iov_base = frame - told_bytes,
		.iov_len = told_bytes + ETHER_HDR_LEN + len,
	};
	l->msgs[i].msg_hdr.msg_iov = &l->iov[l->used++];
	l->msgs[i].msg_hdr.msg_iovlen = 1;
	l->to[i] = (struct sockaddr_ll){
		.sll_family = AF_PACKET,
		.sll_protocol = proto,
		.sll_ifindex = (int)hop->device.ifindex,
	};
}

/* false: it is another turn's, or cannot be part of the last frame. */
static bool continue_frame(struct sender_link *l, uint8_t *l3, size_t len)
{
	unsigned i = l->count - 1;

	if (!l->tells || !l->last_l3 ||
	    !gso_continue(&l->last, l->last_l3, l3, len))
		return false;
	l->iov[l->used++] = (struct iovec){
		.iov_base = l3 + l->last.header_bytes,
		.iov_len = len - l->last.header_bytes,
	};
	l->msgs[i].msg_hdr.msg_iovlen++;
	l->packets[i]++;
	return true;
}

static void link_commit(struct sender *s, size_t len)
{
	struct sender_link *l = link_of(s);
	uint8_t *l3 = l3_at(l, l->used);
	struct next_hop *hop = hop_of(l, l3);

	if (!takes_frame(hop))
		give_to_other(l, l3, len);
	else if (!continue_frame(l, l3, len))
		begin_frame(l, hop, l3, len);
}

/* They are lost once, and TCP sends them again. */
static void take_back_gso(struct sender_link *l)
{
	int off = 0;

	setsockopt(l->fd, SOL_PACKET, PACKET_VNET_HDR, &off, sizeof(off));
	l->tells = false;
	log_info("path link: the kernel takes no frames of several segments: "
		 "they are cut here");
}

static void link_flush(struct sender *s)
{
	struct sender_link *l = link_of(s);
	uint64_t refused = l->own.refused;

	l->cfg.other->ops->flush(l->cfg.other);
	end_frame(l);
	sender_batch_send(l->fd, l->msgs, l->packets, l->count, NULL, &l->own);
	l->count = l->used = 0;
	if (l->own.refused != refused && l->own.last_errno == EINVAL &&
	    l->tells)
		take_back_gso(l);
}

static const struct sender_stats *link_stats(const struct sender *s)
{
	struct sender_link *l = (struct sender_link *)s;
	const struct sender_stats *other =
		l->cfg.other->ops->stats(l->cfg.other);

	l->stats = (struct sender_stats){
		.sent = l->own.sent + other->sent,
		.refused = l->own.refused + other->refused,
		.last_errno = l->own.last_errno ? l->own.last_errno
						: other->last_errno,
	};
	return &l->stats;
}

static void free_link(struct sender_link *l)
{
	if (l->fd >= 0)
		close(l->fd);
	free(l->slots);
	free(l);
}

static void link_close(struct sender *s)
{
	struct sender_link *l = link_of(s);

	l->cfg.other->ops->close(l->cfg.other);
	free_link(l);
}

static const struct sender_ops link_ops = {
	.reserve = link_reserve,
	.commit = link_commit,
	.flush = link_flush,
	.close = link_close,
	.stats = link_stats,
};

static void make_batch(struct sender_link *l)
{
	for (unsigned i = 0; i < SENDER_BATCH; i++)
		l->msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &l->to[i],
			.msg_namelen = sizeof(l->to[i]),
		};
}

int sender_link_open(struct sender **out, const struct sender_link_config *cfg)
{
	struct sender_link *l = calloc(1, sizeof(*l));
	int on = 1, err;

	if (!l)
		return -ENOMEM;
	l->base.ops = &link_ops;
	l->cfg = *cfg;
	l->step_bytes = (HEAD_BYTES + cfg->slot_bytes + 15) & ~(size_t)15;
	l->slots = calloc(SENDER_BATCH, l->step_bytes);
	/* Of no protocol: nothing is received. */
	l->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	err = l->fd < 0 ? -errno : l->slots ? 0 : -ENOMEM;
	if (err) {
		free_link(l);
		return err;
	}
	sender_batch_room(l->fd);
	l->tells = !setsockopt(l->fd, SOL_PACKET, PACKET_VNET_HDR, &on,
			       sizeof(on));
	make_batch(l);
	*out = &l->base;
	return 0;
}
