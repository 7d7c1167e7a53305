// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A packet to an own address comes in by lo. A raw socket asks for a route for
 * each, and takes it through the hooks and the queue of the way out; a frame
 * that is put on lo is in the receiver's queue at once. Where the kernel lets
 * us, a BPF program puts a batch of them there (bpf_frames.c), or else a packet
 * socket each of them. IPv4 goes so only while lo_arrival.c has nothing against
 * it. IPv6 is not asked for its source.
 *
 * Where there is NAT (nat_watch.c), a SYN goes by the raw sockets. What
 * connection tracking sees first on the way out has its addresses settled
 * there; a frame that begins a connection meets the rules for those that
 * arrive, and one with DNAT would send it away from here. Rules change: so that
 * no more than what is on its way at that moment meets new ones, each batch
 * asks before its first SYN.
 *
 * What is to go by the raw sockets is copied to them. Before one way is taken,
 * what waits for the other leaves, so that packets keep their order. Only SYNs
 * that go there are the last of a batch: no other packet of theirs can follow
 * before they are answered, and one that ends the tuple's last connection is to
 * go first.
 *
 * Longer packets gain less, and go by the raw sockets, which cut them where
 * lo's MTU has been set lower.
 */
#include "io/sender_lo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "io/frame_batch.h"
#include "io/lo_arrival.h"
#include "io/nat_watch.h"
#include "io/packet_pieces.h"
#include "io/sender_raw.h"

struct sender_lo {
	struct sender base;
	struct sender *raw;
	bool raw_waits; /* for it to leave before the next frame */
	struct lo_arrival *arrival;
	struct frame_batch *frames;
	size_t slot_bytes;
	uint32_t lo_ifindex;
	struct nat_watch *nat;
	bool nat_found;		   /* by the last look */
	bool looked, v4;	   /* IPv4 goes as frames */
	bool syns;		   /* and so do SYNs, for all that was known */
	bool asked;		   /* again, for this batch */
	struct sender_stats own;   /* by frames */
	struct sender_stats stats; /* of both */
};

static struct sender_lo *lo_of(struct sender *s)
{
	return (struct sender_lo *)s;
}

static uint8_t *lo_reserve(struct sender *s, size_t *cap)
{
	struct sender_lo *l = lo_of(s);

	*cap = l->slot_bytes;
	return frame_batch_packet(l->frames);
}

static void flush_frames(struct sender_lo *l)
{
	frame_batch_flush(l->frames, &l->own);
	l->asked = false;
}

static void flush_raw(struct sender_lo *l)
{
	l->raw->ops->flush(l->raw);
	l->raw_waits = false;
}

static void give_to_raw(struct sender_lo *l, const uint8_t *l3, size_t len)
{
	struct sender *raw = l->raw;
	size_t cap;
	uint8_t *slot;

	slot = raw->ops->reserve(raw, &cap);
	if (!slot) {
		flush_frames(l);
		raw->ops->flush(raw);
		slot = raw->ops->reserve(raw, &cap);
	}
	memcpy(slot, l3, len);
	raw->ops->commit(raw, len);
}

/* A plain TCP packet, without extension headers in IPv6. */
static bool has_syn(const uint8_t *l3, bool v4)
{
	size_t header = v4 ? (l3[0] & 15) * 4u : sizeof(struct ip6_hdr);

	return l3[header + 13] & TH_SYN;
}

static bool goes_as_frame(const struct sender_lo *l, size_t len, bool v4)
{
	return len <= PACKET_PIECE_BYTES && (l->v4 || !v4);
}

static bool syn_goes_as_frame(struct sender_lo *l)
{
	if (l->syns && !l->asked) {
		l->syns = nat_watch_is_quiet(l->nat);
		l->asked = true;
	}
	return l->syns;
}

static void make_frame(struct sender_lo *l, uint8_t *l3, size_t len, bool v4)
{
	struct ether_header *ether = (void *)(l3 - sizeof(*ether));

	/* Both addresses are lo's: zero. */
	memset(ether, 0, sizeof(*ether));
	ether->ether_type = htons(v4 ? ETHERTYPE_IP : ETHERTYPE_IPV6);
	frame_batch_begin(l->frames, l->lo_ifindex, len, PACKET_PIECE_BYTES);
}

static void lo_commit(struct sender *s, size_t len)
{
	struct sender_lo *l = lo_of(s);
	uint8_t *l3 = frame_batch_packet(l->frames);
	bool v4 = l3[0] >> 4 == 4, frame = goes_as_frame(l, len, v4);

	if (has_syn(l3, v4) && !(frame && syn_goes_as_frame(l))) {
		give_to_raw(l, l3, len);
	} else if (frame) {
		if (l->raw_waits)
			flush_raw(l);
		make_frame(l, l3, len, v4);
	} else {
		flush_frames(l);
		give_to_raw(l, l3, len);
		l->raw_waits = true;
	}
}

static void lo_flush(struct sender *s)
{
	flush_frames(lo_of(s));
	flush_raw(lo_of(s));
}

void sender_lo_send(struct sender *s, const uint8_t *l3, size_t len)
{
	flush_frames(lo_of(s));
	sender_raw_send(lo_of(s)->raw, l3, len);
	lo_of(s)->raw_waits = false;
}

static const struct sender_stats *lo_stats(const struct sender *s)
{
	struct sender_lo *l = (struct sender_lo *)s;
	const struct sender_stats *raw = l->raw->ops->stats(l->raw);

	l->stats = (struct sender_stats){
		.sent = l->own.sent + raw->sent,
		.refused = l->own.refused + raw->refused,
		.cut = raw->cut,
		.last_errno =
			l->own.last_errno ? l->own.last_errno : raw->last_errno,
	};
	return &l->stats;
}

static void lo_close(struct sender *s)
{
	struct sender_lo *l = lo_of(s);

	if (l->raw)
		l->raw->ops->close(l->raw);
	if (l->arrival)
		lo_arrival_close(l->arrival);
	if (l->nat)
		nat_watch_close(l->nat);
	if (l->frames)
		frame_batch_close(l->frames);
	free(l);
}

static const struct sender_ops lo_ops = {
	.reserve = lo_reserve,
	.commit = lo_commit,
	.flush = lo_flush,
	.close = lo_close,
	.stats = lo_stats,
};

static void look_at_nat(struct sender_lo *l)
{
	const char *found = nat_watch_found(l->nat);

	if (found && (!l->looked || !l->nat_found))
		log_info("SYNs of --relay are injected by raw sockets: %s",
			 found);
	else if (!found && (!l->looked || l->nat_found))
		log_info("SYNs of --relay are injected as all other packets: "
			 "there is no NAT");
	l->nat_found = found != NULL;
	l->syns = !found;
}

void sender_lo_look(struct sender *s)
{
	struct sender_lo *l = lo_of(s);
	const char *hindrance = lo_arrival_hindrance(l->arrival);

	look_at_nat(l);

	if (hindrance && (!l->looked || l->v4))
		log_info("IPv4 packets of --relay are injected by raw "
			 "sockets: %s",
			 hindrance);
	else if (!hindrance && !l->v4)
		log_info("IPv4 packets of --relay are injected as frames on "
			 "lo%s",
			 frame_batch_is_program(l->frames) ? ", many at once"
							   : "");
	l->looked = true;
	l->v4 = !hindrance;
}

static int open_ways(struct sender_lo *l)
{
	const struct sender_raw_config raw = {.slot_bytes = l->slot_bytes,
					      .v4 = true,
					      .v6 = true,
					      .cuts = true};
	const struct frame_batch_config frames = {.packet_bytes = l->slot_bytes,
						  .arrive = true};
	int err = sender_raw_open(&l->raw, &raw);

	if (!err)
		err = lo_arrival_open(&l->arrival);
	if (!err)
		err = nat_watch_open(&l->nat);
	if (!err)
		err = frame_batch_open(&l->frames, &frames);
	return err;
}

int sender_lo_open(struct sender **out, size_t slot_bytes)
{
	struct sender_lo *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	l->base.ops = &lo_ops;
	l->slot_bytes = slot_bytes;
	l->lo_ifindex = if_nametoindex("lo");
	err = open_ways(l);
	if (err) {
		lo_close(&l->base);
		return err;
	}
	sender_lo_look(&l->base);
	*out = &l->base;
	return 0;
}
