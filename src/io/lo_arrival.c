// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A frame on lo has no route with it, so that on its way in rp_filter asks for
 * the way back to its source, which there need not be. So IPv4 goes so only
 * while lo has no rp_filter (the kernel takes the larger of lo's and that of
 * all), and while no network as a whole is local here: with routing rules, as
 * the guard's, what comes from a local address is dropped without any
 * rp_filter, and that clients have no address of this host is known only of
 * addresses. Of local routes there may be many: not every look asks for them.
 */
#include "io/lo_arrival.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "io/netlink.h"

#define CONF	     "/proc/sys/net/ipv4/conf/"
#define ROUTES_EVERY 10u

struct lo_arrival {
	int all_fd, lo_fd;   /* rp_filter; -1: not known */
	struct netlink *nl;  /* NULL: none */
	unsigned looks;	     /* at routes, or not yet */
	bool only_addresses; /* of the last look */
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
static bool only_addresses_are_local(struct lo_arrival *a)
{
	_Alignas(8) uint8_t buf[64];
	struct nlmsghdr *nlh;
	struct rtmsg *rtm;

	if (!a->nl)
		return false;
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = netlink_seq(a->nl);
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = AF_INET;
	mnl_attr_put_u32(nlh, RTA_TABLE, RT_TABLE_LOCAL);
	return netlink_ask(a->nl, nlh, on_route, NULL) == 0;
}

const char *lo_arrival_hindrance(struct lo_arrival *a)
{
	if (!is_zero(a->all_fd) || !is_zero(a->lo_fd))
		return "lo has an rp_filter";
	if (a->looks++ % ROUTES_EVERY == 0)
		a->only_addresses = only_addresses_are_local(a);
	return a->only_addresses ? NULL : "a whole network is local here";
}

int lo_arrival_open(struct lo_arrival **out)
{
	struct lo_arrival *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->all_fd = open(CONF "all/rp_filter", O_RDONLY | O_CLOEXEC);
	a->lo_fd = open(CONF "lo/rp_filter", O_RDONLY | O_CLOEXEC);
	if (netlink_open(&a->nl, NETLINK_ROUTE))
		a->nl = NULL;
	*out = a;
	return 0;
}

void lo_arrival_close(struct lo_arrival *a)
{
	if (a->all_fd >= 0)
		close(a->all_fd);
	if (a->lo_fd >= 0)
		close(a->lo_fd);
	if (a->nl)
		netlink_close(a->nl);
	free(a);
}
