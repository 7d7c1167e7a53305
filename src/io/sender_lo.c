// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A packet to an own address comes in by lo. A raw socket asks for a route for
 * each, and takes it through the hooks and the queue of the way out; a frame
 * that a packet socket gives to lo is in the receiver's queue at once. But it
 * has no route with it, so that on its way in rp_filter asks for the way back
 * to its source, which there need not be. Therefore IPv4 goes so only while lo
 * has no rp_filter (the kernel takes the larger of lo's and that of all), and
 * while no network as a whole is local here: with routing rules, as the
 * guard's, what comes from a local address is dropped without any rp_filter,
 * and that clients have no address of this host is known only of addresses.
 * IPv6 is not asked for its source.
 *
 * A SYN goes by the raw sockets. What connection tracking sees first on the way
 * out has its addresses settled there; a frame that began a connection would
 * meet the rules for those that arrive, and one with DNAT would send it away
 * from here.
 *
 * A slot has room for an Ethernet header in front of its packet. What is to go
 * by the raw sockets is copied to them. Before one way is taken, what waits for
 * the other leaves, so that packets keep their order.
 *
 * Longer packets gain less, and go by the raw sockets, which cut them where
 * lo's MTU has been set lower.
 */
#include "io/sender_lo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "base/log.h"
#include "io/netlink.h"
#include "io/packet_pieces.h"
#include "io/sender_batch.h"
#include "io/sender_raw.h"

#define CONF "/proc/sys/net/ipv4/conf/"
/* The packet behind the header is aligned. */
#define HEAD_BYTES 16
/* Of the looks this one asks for all local routes, of which there may be many.
 */
#define ROUTES_EVERY 10u

struct sender_lo {
	struct sender base;
	struct sender *raw;
	bool raw_waits;		     /* something has been committed to it */
	bool v4, v6;		     /* go by fd */
	bool looked, only_addresses; /* of the last look */
	unsigned looks;		     /* at routes, or not yet */
	int fd;			     /* -1: there is no packet socket */
	int all_fd, lo_fd;
	struct netlink *nl; /* NULL: none */
	size_t slot_bytes, step_bytes;
	uint8_t *slots;
	unsigned count;
	struct mmsghdr msgs[SENDER_BATCH];
	struct iovec iov[SENDER_BATCH];
	struct sender_stats own;   /* by fd */
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
	return l->count < SENDER_BATCH
		       ? l->slots + l->count * l->step_bytes + HEAD_BYTES
		       : NULL;
}

static void flush_frames(struct sender_lo *l)
{
	sender_batch_send(l->fd, l->msgs, NULL, l->count, NULL, &l->own);
	l->count = 0;
}

static void flush_raw(struct sender_lo *l)
{
	if (l->raw_waits)
		l->raw->ops->flush(l->raw);
	l->raw_waits = false;
}

static void give_to_raw(struct sender_lo *l, const uint8_t *l3, size_t len)
{
	struct sender *raw = l->raw;
	size_t cap;
	uint8_t *slot;

	flush_frames(l);
	slot = raw->ops->reserve(raw, &cap);
	if (!slot) {
		raw->ops->flush(raw);
		slot = raw->ops->reserve(raw, &cap);
	}
	memcpy(slot, l3, len);
	raw->ops->commit(raw, len);
	l->raw_waits = true;
}

/* A plain TCP packet, without extension headers in IPv6. */
static bool has_syn(const uint8_t *l3, bool v4)
{
	size_t header = v4 ? (l3[0] & 15) * 4u : sizeof(struct ip6_hdr);

	return l3[header + 13] & TH_SYN;
}

static bool goes_as_frame(const struct sender_lo *l, const uint8_t *l3,
			  size_t len, bool v4)
{
	return len <= PACKET_PIECE_BYTES && (v4 ? l->v4 : l->v6) &&
	       !has_syn(l3, v4);
}

static void lo_commit(struct sender *s, size_t len)
{
	struct sender_lo *l = lo_of(s);
	uint8_t *frame = l->slots + l->count * l->step_bytes + HEAD_BYTES -
			 ETHER_HDR_LEN;
	uint8_t *l3 = frame + ETHER_HDR_LEN;
	bool v4 = l3[0] >> 4 == 4;
	uint16_t proto = htons(v4 ? ETHERTYPE_IP : ETHERTYPE_IPV6);

	if (!goes_as_frame(l, l3, len, v4)) {
		give_to_raw(l, l3, len);
		return;
	}
	flush_raw(l);
	/* Both addresses are lo's: zero. */
	memcpy(frame + 2 * ETHER_ADDR_LEN, &proto, sizeof(proto));
	l->iov[l->count++] = (struct iovec){frame, ETHER_HDR_LEN + len};
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

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void lo_close(struct sender *s)
{
	struct sender_lo *l = lo_of(s);

	if (l->raw)
		l->raw->ops->close(l->raw);
	close_fd(l->fd);
	close_fd(l->all_fd);
	close_fd(l->lo_fd);
	if (l->nl)
		netlink_close(l->nl);
	free(l->slots);
	free(l);
}

static const struct sender_ops lo_ops = {
	.reserve = lo_reserve,
	.commit = lo_commit,
	.flush = lo_flush,
	.close = lo_close,
	.stats = lo_stats,
};

static bool is_zero(int fd)
{
	char text[2];

	return fd >= 0 && pread(fd, text, sizeof(text), 0) == sizeof(text) &&
	       !memcmp(text, "0\n", sizeof(text));
}

/* -EEXIST for a local network other than 127.0.0.0/8. */
static int on_route(void *ctx, const struct nlmsghdr *nlh)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	bool loopback = false;

	(void)ctx;
	if (nlh->nlmsg_type != RTM_NEWROUTE ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*rtm))
		return -EBADMSG;
	if (rtm->rtm_table != RT_TABLE_LOCAL || rtm->rtm_type != RTN_LOCAL ||
	    rtm->rtm_dst_len == 32)
		return 0;
	mnl_attr_for_each(attr, nlh, sizeof(*rtm))
	{
		const uint8_t *dst = mnl_attr_get_payload(attr);

		if (mnl_attr_get_type(attr) == RTA_DST &&
		    mnl_attr_get_payload_len(attr) == 4)
			loopback = dst[0] == 127 && rtm->rtm_dst_len >= 8;
	}
	return loopback ? 0 : -EEXIST;
}

/* All that is local are single addresses. */
static bool only_addresses_are_local(struct sender_lo *l)
{
	_Alignas(8) uint8_t buf[64];
	struct nlmsghdr *nlh;
	struct rtmsg *rtm;

	if (!l->nl)
		return false;
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = netlink_seq(l->nl);
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = AF_INET;
	mnl_attr_put_u32(nlh, RTA_TABLE, RT_TABLE_LOCAL);
	return netlink_ask(l->nl, nlh, on_route, NULL) == 0;
}

/* Why IPv4 packets do not go as frames, NULL: they do. */
static const char *find_hindrance(struct sender_lo *l)
{
	if (l->fd < 0)
		return "lo takes no frames";
	if (!is_zero(l->all_fd) || !is_zero(l->lo_fd))
		return "lo has an rp_filter";
	if (l->looks++ % ROUTES_EVERY == 0)
		l->only_addresses = only_addresses_are_local(l);
	return l->only_addresses ? NULL : "a whole network is local here";
}

void sender_lo_look(struct sender *s)
{
	struct sender_lo *l = lo_of(s);
	const char *hindrance = find_hindrance(l);

	if (hindrance && (!l->looked || l->v4))
		log_info("IPv4 packets of --relay are injected by raw "
			 "sockets: %s",
			 hindrance);
	else if (!hindrance && !l->v4)
		log_info("IPv4 packets of --relay are injected as frames on "
			 "lo");
	l->looked = true;
	l->v4 = !hindrance;
}

/* Of no protocol: nothing is received. */
static int open_packet_socket(void)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET};
	int on = 1;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	at.sll_ifindex = (int)if_nametoindex("lo");
	if (fd >= 0 && at.sll_ifindex &&
	    !bind(fd, (struct sockaddr *)&at, sizeof(at)) &&
	    !setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on))) {
		sender_batch_room(fd);
		return fd;
	}
	close_fd(fd);
	return -1;
}

static void make_batch(struct sender_lo *l)
{
	for (unsigned i = 0; i < SENDER_BATCH; i++)
		l->msgs[i].msg_hdr =
			(struct msghdr){.msg_iov = &l->iov[i], .msg_iovlen = 1};
}

int sender_lo_open(struct sender **out, size_t slot_bytes)
{
	const struct sender_raw_config raw = {
		.slot_bytes = slot_bytes, .v4 = true, .v6 = true, .cuts = true};
	struct sender_lo *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return -ENOMEM;
	l->base.ops = &lo_ops;
	l->slot_bytes = slot_bytes;
	l->step_bytes = (HEAD_BYTES + slot_bytes + 15) & ~(size_t)15;
	l->slots = calloc(SENDER_BATCH, l->step_bytes);
	l->fd = open_packet_socket();
	l->v6 = l->fd >= 0;
	l->all_fd = open(CONF "all/rp_filter", O_RDONLY | O_CLOEXEC);
	l->lo_fd = open(CONF "lo/rp_filter", O_RDONLY | O_CLOEXEC);
	if (netlink_open(&l->nl, NETLINK_ROUTE))
		l->nl = NULL;
	rc = l->slots ? sender_raw_open(&l->raw, &raw) : -ENOMEM;
	if (rc < 0) {
		lo_close(&l->base);
		return rc;
	}
	make_batch(l);
	sender_lo_look(&l->base);
	*out = &l->base;
	return 0;
}
