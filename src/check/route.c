// SPDX-License-Identifier: BSD-2-Clause
#include "check/route.h"

#include <errno.h>

#include <linux/netlink.h>

#include "io/netlink.h"
#include "io/next_hop_message.h"

static int on_route(void *ctx, const struct nlmsghdr *nlh)
{
	return hop_route_parse(ctx, nlh) ? 0 : -EBADMSG;
}

int route_device(const struct ip_addr *to)
{
	_Alignas(8) uint8_t buf[NEXT_HOP_QUESTION_BYTES];
	struct hop_route route = {0};
	struct netlink *nl;
	int rc;

	rc = netlink_open(&nl, NETLINK_ROUTE);
	if (rc < 0)
		return rc;
	rc = netlink_ask(nl, hop_route_question(buf, to, netlink_seq(nl)),
			 on_route, &route);
	netlink_close(nl);
	if (rc < 0)
		return rc;
	return route.ifindex ? (int)route.ifindex : -ENETUNREACH;
}
