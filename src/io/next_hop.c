// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * For each address the kernel is asked for the route, the route's device and
 * its neighbour, as it would look them up for a packet without a source. A
 * second socket hears the news. What they say of a neighbour of ours is taken
 * as it stands; a change to a route that covers an address of ours, to its
 * device, or to what decides between routes makes us ask for that address
 * again. So do news that were lost. The news are joined before the first
 * question, so that nothing happens in between.
 *
 * Where an IPsec policy changes packets, a frame would leave as it was made, in
 * the clear. Policies are not shown to who may not change them, and no route
 * tells of them. But a socket that is connected by such a way is told of
 * another size of packets than route and device have. There are no news of
 * that; the owner asks now and then.
 *
 * The kernel has no reason to look after a neighbour to which it sends nothing
 * itself: an entry grows stale and stays as it is. next_hop.unsure says when
 * one packet by a usual socket is due, which starts the kernel's own check.
 */
#include "io/next_hop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/count.h"
#include "io/netlink.h"
#include "io/way.h"

#define NEWS_BYTES (4 << 20)
#define ANY_PORT   9

struct entry {
	struct next_hop hop;
	struct next_hop before; /* the news */
	bool again;		/* to be asked for */
};

struct next_hops {
	struct netlink *nl;
	int fd;
	size_t count;
	struct entry entries[];
};

/* ---- questions ---- */

static int on_route(void *ctx, const struct nlmsghdr *nlh)
{
	return hop_route_parse(ctx, nlh) ? 0 : -EBADMSG;
}

static int on_device(void *ctx, const struct nlmsghdr *nlh)
{
	return hop_device_parse(ctx, nlh) ? 0 : -EBADMSG;
}

static int on_neighbour(void *ctx, const struct nlmsghdr *nlh)
{
	return hop_neighbour_parse(ctx, nlh) ? 0 : -EBADMSG;
}

static enum next_hop_state ask_route(struct next_hops *h, struct next_hop *hop,
				     struct hop_route *route)
{
	_Alignas(8) uint8_t buf[NEXT_HOP_QUESTION_BYTES];

	*route = (struct hop_route){0};
	if (netlink_ask(h->nl,
			hop_route_question(buf, &hop->to, netlink_seq(h->nl)),
			on_route, route))
		return NEXT_HOP_NO_ROUTE;
	if (route->local)
		return NEXT_HOP_OWN;
	if (!route->unicast || !route->ifindex)
		return NEXT_HOP_NO_ROUTE;
	return route->encapsulated ? NEXT_HOP_TUNNEL : NEXT_HOP_UNRESOLVED;
}

static enum next_hop_state ask_device(struct next_hops *h, struct next_hop *hop,
				      uint32_t ifindex)
{
	_Alignas(8) uint8_t buf[NEXT_HOP_QUESTION_BYTES];

	if (netlink_ask(h->nl,
			hop_device_question(buf, ifindex, netlink_seq(h->nl)),
			on_device, &hop->device))
		return NEXT_HOP_NO_ROUTE;
	return hop->device.ethernet ? NEXT_HOP_UNRESOLVED : NEXT_HOP_NO_ETHER;
}

static void take_neighbour(struct next_hop *hop, const struct hop_neighbour *n)
{
	hop->state = n->known ? NEXT_HOP_KNOWN : NEXT_HOP_UNRESOLVED;
	hop->unsure = n->known && n->stale;
	memcpy(hop->mac, n->mac, sizeof(hop->mac));
}

static void ask_neighbour(struct next_hops *h, struct next_hop *hop)
{
	_Alignas(8) uint8_t buf[NEXT_HOP_QUESTION_BYTES];
	struct hop_neighbour n = {0};

	if (netlink_ask(h->nl,
			hop_neighbour_question(buf, &hop->via,
					       hop->device.ifindex,
					       netlink_seq(h->nl)),
			on_neighbour, &n))
		n.known = false;
	take_neighbour(hop, &n);
}

/* IPv6 may have a size of its own on a device. */
static unsigned v6_mtu_of(const struct hop_device *device)
{
	char path[64 + HOP_DEVICE_MAX];
	unsigned mtu_bytes;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/mtu",
		 device->name);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%u", &mtu_bytes) != 1)
		mtu_bytes = device->mtu_bytes;
	if (f)
		fclose(f);
	return mtu_bytes;
}

static bool leaves_as_made(const struct next_hop *hop,
			   const struct hop_route *route)
{
	const struct endpoint to = {.addr = hop->to, .port = ANY_PORT};
	unsigned mtu_bytes = route->mtu_bytes;
	struct way way;

	if (!mtu_bytes)
		mtu_bytes = addr_is_v4(&hop->to) ? hop->device.mtu_bytes
						 : v6_mtu_of(&hop->device);
	return !way_to(&to, &way) && way.mtu_bytes == mtu_bytes;
}

static void ask(struct next_hops *h, struct next_hop *hop)
{
	struct hop_route route;

	*hop = (struct next_hop){.to = hop->to, .via = hop->to};
	hop->state = ask_route(h, hop, &route);
	if (!next_hop_takes_frames(hop))
		return;
	if (!addr_is_none(&route.gateway))
		hop->via = route.gateway;
	hop->state = ask_device(h, hop, route.ifindex);
	if (next_hop_takes_frames(hop) && !leaves_as_made(hop, &route))
		hop->state = NEXT_HOP_CHANGED;
	if (next_hop_takes_frames(hop))
		ask_neighbour(h, hop);
}

/* ---- news ---- */

static void on_route_news(struct next_hops *h, const struct hop_route *route)
{
	for (size_t i = 0; i < h->count; i++)
		h->entries[i].again |=
			addr_in_prefix(&h->entries[i].hop.to, &route->to);
}

static void on_device_news(struct next_hops *h, const struct hop_device *device)
{
	for (size_t i = 0; i < h->count; i++)
		h->entries[i].again |=
			h->entries[i].hop.device.ifindex == device->ifindex;
}

static void on_neighbour_news(struct next_hops *h,
			      const struct hop_neighbour *n)
{
	for (size_t i = 0; i < h->count; i++) {
		struct next_hop *hop = &h->entries[i].hop;

		if (next_hop_takes_frames(hop) &&
		    hop->device.ifindex == n->ifindex &&
		    addr_equal(&hop->via, &n->addr))
			take_neighbour(hop, n);
	}
}

static void ask_all_again(struct next_hops *h)
{
	for (size_t i = 0; i < h->count; i++)
		h->entries[i].again = true;
}

static int on_news(void *ctx, const struct nlmsghdr *nlh)
{
	struct next_hops *h = ctx;
	struct hop_neighbour neighbour;
	struct hop_device device;
	struct hop_route route;

	switch (nlh->nlmsg_type) {
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		if (hop_neighbour_parse(&neighbour, nlh))
			on_neighbour_news(h, &neighbour);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		if (hop_route_parse(&route, nlh))
			on_route_news(h, &route);
		break;
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (hop_device_parse(&device, nlh))
			on_device_news(h, &device);
		break;
	default:
		/* Rules, and addresses with which routes go silently. */
		ask_all_again(h);
	}
	return 0;
}

bool next_hop_is_other(const struct next_hop *a, const struct next_hop *b)
{
	if (next_hop_takes_frames(a) && next_hop_takes_frames(b))
		return !addr_equal(&a->via, &b->via) ||
		       a->device.ifindex != b->device.ifindex;
	return a->state != b->state || a->device.ifindex != b->device.ifindex;
}

static void update(struct next_hops *h, bool all, next_hops_cb *changed,
		   void *ctx)
{
	for (size_t i = 0; i < h->count; i++)
		h->entries[i].before = h->entries[i].hop;
	if (netlink_news(h->fd, on_news, h) || all)
		ask_all_again(h);
	for (size_t i = 0; i < h->count; i++) {
		struct entry *e = &h->entries[i];

		if (e->again)
			ask(h, &e->hop);
		e->again = false;
		if (e->before.state != e->hop.state ||
		    next_hop_is_other(&e->before, &e->hop))
			changed(ctx, &e->before, &e->hop);
	}
}

void next_hops_update(struct next_hops *h, next_hops_cb *changed, void *ctx)
{
	update(h, false, changed, ctx);
}

void next_hops_ask(struct next_hops *h, next_hops_cb *changed, void *ctx)
{
	update(h, true, changed, ctx);
}

/* ---- life ---- */

static int listen_for_news(void)
{
	static const unsigned groups[] = {
		RTNLGRP_LINK,	     RTNLGRP_NEIGH,	 RTNLGRP_IPV4_ROUTE,
		RTNLGRP_IPV6_ROUTE,  RTNLGRP_IPV4_RULE,	 RTNLGRP_IPV6_RULE,
		RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR};
	int fd = netlink_listen(NETLINK_ROUTE, groups, COUNT(groups));
	int bytes = NEWS_BYTES;

	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	return fd;
}

int next_hops_open(struct next_hops **out, const struct ip_addr *to,
		   size_t count)
{
	struct next_hops *h =
		calloc(1, sizeof(*h) + count * sizeof(*h->entries));
	int rc;

	if (!h)
		return -ENOMEM;
	h->fd = -1;
	rc = netlink_open(&h->nl, NETLINK_ROUTE);
	if (!rc) {
		h->fd = listen_for_news();
		rc = h->fd < 0 ? h->fd : 0;
	}
	if (rc) {
		next_hops_close(h);
		return rc;
	}
	for (size_t i = 0; i < count; i++)
		if (!next_hops_find(h, &to[i]))
			h->entries[h->count++].hop.to = to[i];
	for (size_t i = 0; i < h->count; i++)
		ask(h, &h->entries[i].hop);
	*out = h;
	return 0;
}

void next_hops_close(struct next_hops *h)
{
	if (h->nl)
		netlink_close(h->nl);
	if (h->fd >= 0)
		close(h->fd);
	free(h);
}

int next_hops_fd(const struct next_hops *h)
{
	return h->fd;
}

struct next_hop *next_hops_find(struct next_hops *h, const struct ip_addr *to)
{
	for (size_t i = 0; i < h->count; i++)
		if (addr_equal(&h->entries[i].hop.to, to))
			return &h->entries[i].hop;
	return NULL;
}

char *next_hop_text(const struct next_hop *hop, char buf[NEXT_HOP_TEXT_MAX])
{
	char via[ADDR_TEXT_MAX];
	const char *device = hop->device.name;

	switch (hop->state) {
	case NEXT_HOP_KNOWN:
	case NEXT_HOP_UNRESOLVED:
		snprintf(buf, NEXT_HOP_TEXT_MAX, "next hop %s on %s%s",
			 addr_text(&hop->via, via), device,
			 hop->state == NEXT_HOP_KNOWN ? "" : ", unresolved");
		break;
	case NEXT_HOP_NO_ROUTE:
		snprintf(buf, NEXT_HOP_TEXT_MAX, "there is no route to it");
		break;
	case NEXT_HOP_OWN:
		snprintf(buf, NEXT_HOP_TEXT_MAX,
			 "it is an address of this host");
		break;
	case NEXT_HOP_TUNNEL:
		snprintf(buf, NEXT_HOP_TEXT_MAX, "its route encapsulates");
		break;
	case NEXT_HOP_CHANGED:
		snprintf(
			buf, NEXT_HOP_TEXT_MAX,
			"packets to it do not leave as they are made (IPsec?)");
		break;
	case NEXT_HOP_NO_ETHER:
		snprintf(buf, NEXT_HOP_TEXT_MAX, "%s has no Ethernet header",
			 device);
		break;
	}
	return buf;
}
