// SPDX-License-Identifier: BSD-2-Clause
#include "check/route.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>

#include "io/netlink.h"

static int on_route(void *ctx, const struct nlmsghdr *nlh)
{
	const struct nlattr *attr;

	if (nlh->nlmsg_type != RTM_NEWROUTE)
		return 0;
	mnl_attr_for_each(attr, nlh, sizeof(struct rtmsg))
	{
		if (mnl_attr_get_type(attr) == RTA_OIF &&
		    mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
			*(int *)ctx = (int)mnl_attr_get_u32(attr);
	}
	return 0;
}

int route_device(const struct ip_addr *to)
{
	_Alignas(8) uint8_t buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	bool v4 = addr_is_v4(to);
	int device = 0, rc;
	struct netlink *nl;
	struct rtmsg *rtm;

	rc = netlink_open(&nl, NETLINK_ROUTE);
	if (rc < 0)
		return rc;
	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nlh->nlmsg_seq = netlink_seq(nl);
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = v4 ? AF_INET : AF_INET6;
	rtm->rtm_dst_len = v4 ? 32 : 128;
	mnl_attr_put(nlh, RTA_DST, v4 ? 4 : 16, to->b + (v4 ? 12 : 0));
	rc = netlink_ask(nl, nlh, on_route, &device);
	netlink_close(nl);
	if (rc < 0)
		return rc;
	return device ? device : -ENETUNREACH;
}
