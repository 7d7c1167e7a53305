// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A committed packet finds its next hop by its destination, gets the headers,
 * and waits in a batch (frame_batch.c) for the flush; if it continues the one
 * before it (gso.c), only its payload follows that one's. One whose next hop
 * has no MAC that holds is copied to the other sender instead, and the slot is
 * free again. So nothing is lost while the kernel resolves a neighbour, and it
 * has a reason to: it knows nothing of frames. The qdisc is not passed by: this
 * host's shaping holds for copies, too.
 */
#include "io/sender_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "io/frame_batch.h"
#include "io/gso.h"

#define V4_DST_AT 16
#define V6_DST_AT 24

struct sender_link {
	struct sender base;
	struct sender_link_config cfg;
	struct frame_batch *frames;
	struct gso last;	   /* of the last frame */
	uint8_t *last_l3;	   /* NULL: nothing can continue it */
	struct next_hop *last_hop; /* found */
	struct sender_stats own;   /* by this one alone */
	struct sender_stats stats; /* with the other's */
};

static struct sender_link *link_of(struct sender *s)
{
	return (struct sender_link *)s;
}

static uint8_t *link_reserve(struct sender *s, size_t *cap)
{
	*cap = link_of(s)->cfg.slot_bytes;
	return frame_batch_packet(link_of(s)->frames);
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
	struct virtio_net_hdr told;
	struct gso_cut cut;

	if (l->last_l3 && gso_end(&l->last, l->last_l3, &cut)) {
		told = (struct virtio_net_hdr){
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.gso_type = cut.v4 ? VIRTIO_NET_HDR_GSO_TCPV4
					   : VIRTIO_NET_HDR_GSO_TCPV6,
			.hdr_len = (uint16_t)(ETHER_HDR_LEN + cut.header_bytes),
			.gso_size = cut.mss_bytes,
			.csum_start = (uint16_t)(ETHER_HDR_LEN + cut.sum_start),
			.csum_offset = cut.sum_at,
		};
		frame_batch_tell(l->frames, &told);
	}
	l->last_l3 = NULL;
}

static void begin_frame(struct sender_link *l, const struct next_hop *hop,
			uint8_t *l3, size_t len)
{
	struct ether_header *ether = (void *)(l3 - sizeof(*ether));

	end_frame(l);
	gso_begin(&l->last, l3, len);
	l->last_l3 = l3;
	memcpy(ether->ether_dhost, hop->mac, MAC_BYTES);
	memcpy(ether->ether_shost, hop->device.mac, MAC_BYTES);
	ether->ether_type =
		htons(l3[0] >> 4 == 4 ? ETHERTYPE_IP : ETHERTYPE_IPV6);
	frame_batch_begin(l->frames, hop->device.ifindex, len,
			  hop->device.mtu_bytes);
}

/* false: it is another turn's, or cannot be part of the last frame. */
static bool continue_frame(struct sender_link *l, const uint8_t *l3, size_t len)
{
	if (!frame_batch_segments(l->frames) || !l->last_l3 ||
	    !gso_continue(&l->last, l->last_l3, l3, len))
		return false;
	frame_batch_continue(l->frames, len, l->last.header_bytes);
	return true;
}

static void link_commit(struct sender *s, size_t len)
{
	struct sender_link *l = link_of(s);
	uint8_t *l3 = frame_batch_packet(l->frames);
	struct next_hop *hop = hop_of(l, l3);

	if (!takes_frame(hop))
		give_to_other(l, l3, len);
	else if (!continue_frame(l, l3, len))
		begin_frame(l, hop, l3, len);
}

static void link_flush(struct sender *s)
{
	struct sender_link *l = link_of(s);

	l->cfg.other->ops->flush(l->cfg.other);
	end_frame(l);
	frame_batch_flush(l->frames, &l->own);
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

static void link_close(struct sender *s)
{
	struct sender_link *l = link_of(s);

	l->cfg.other->ops->close(l->cfg.other);
	frame_batch_close(l->frames);
	free(l);
}

static const struct sender_ops link_ops = {
	.reserve = link_reserve,
	.commit = link_commit,
	.flush = link_flush,
	.close = link_close,
	.stats = link_stats,
};

int sender_link_open(struct sender **out, const struct sender_link_config *cfg)
{
	const struct frame_batch_config frames = {
		.packet_bytes = cfg->slot_bytes, .segments = true};
	struct sender_link *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	l->base.ops = &link_ops;
	l->cfg = *cfg;
	err = frame_batch_open(&l->frames, &frames);
	if (err) {
		free(l);
		return err;
	}
	*out = &l->base;
	return 0;
}
