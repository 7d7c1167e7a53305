// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A routing rule for the port's answers leads them to a table of their own,
 * whose only route goes to `lo`. The kernel asks for the route before it goes
 * through OUTPUT: the rule that queues them sees them as ever, and should it
 * not be there, they end in `lo`, where a packet with another host's address
 * is thrown away. No firewall is involved, so that none can be flushed.
 *
 * The rule says `iif lo`, that is, for packets from this host only. Without it
 * the kernel would also apply it, ports and all, when it asks where the answer
 * to an incoming packet would go (rp_filter), and drop the request.
 *
 * The route has the MTU that the answers' own route has, so that the
 * application's segments stay as large as they would be.
 */
#include "io/guard_line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "io/fence_rules.h"
#include "io/netlink.h"

#define TRIES	    8
#define MTU_DEFAULT 1500

struct guard_fence {
	struct guard_line base;
	struct netlink *nl;
	uint32_t mtu_bytes, lo;
	struct fence_rule *rules; /* all of the host's */
	size_t count, room;
};

static struct guard_fence *of(struct guard_line *line)
{
	return (struct guard_fence *)line;
}

/* ---- the host's rules ---- */

static int on_rule(void *ctx, const struct nlmsghdr *nlh)
{
	struct guard_fence *f = ctx;

	if (f->count == f->room) {
		size_t room = 2 * f->room + 32;
		struct fence_rule *more =
			reallocarray(f->rules, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		f->rules = more;
		f->room = room;
	}
	f->count += fence_rule_parse(&f->rules[f->count], nlh);
	return 0;
}

static int read_rules(struct guard_fence *f)
{
	_Alignas(8) uint8_t buf[FENCE_MESSAGE_MAX];
	int rc = -EINTR;

	for (int i = 0; i < TRIES && rc == -EINTR; i++) {
		struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
		struct fib_rule_hdr *hdr;

		nlh->nlmsg_type = RTM_GETRULE;
		nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		nlh->nlmsg_seq = netlink_seq(f->nl);
		hdr = mnl_nlmsg_put_extra_header(nlh, sizeof(*hdr));
		hdr->family = (uint8_t)f->base.cfg.family;
		f->count = 0;
		rc = netlink_ask(f->nl, nlh, on_rule, f);
	}
	return rc;
}

static int view(struct guard_fence *f, struct fence_view *v)
{
	int rc = read_rules(f);

	if (rc == 0)
		fence_rules_judge(v, f->rules, f->count, &f->base.cfg);
	return rc;
}

static int order_rule(struct guard_fence *f, const struct fence_rule *r,
		      uint16_t type, uint16_t flags)
{
	_Alignas(8) uint8_t buf[FENCE_MESSAGE_MAX];
	struct nlmsghdr *nlh = fence_rule_message(
		buf, r, f->base.cfg.family, type, flags, netlink_seq(f->nl));

	return netlink_order(f->nl, nlh, nlh->nlmsg_len);
}

/* ---- the route into the dead end ---- */

/* Of the way to somewhere far off; nothing is sent. */
static uint32_t route_mtu(int family)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET,
				 .sin_port = htons(9),
				 .sin_addr = {htonl(0xcb007101)}};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
				  .sin6_port = htons(9),
				  .sin6_addr.s6_addr = {0x20, 0x01, 0x0d, 0xb8,
							0xff, 0xff, [15] = 1}};
	bool is_v4 = family == AF_INET;
	const struct sockaddr *to =
		is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), mtu = 0;
	socklen_t len = sizeof(mtu);

	if (fd < 0)
		return MTU_DEFAULT;
	if (connect(fd, to, is_v4 ? sizeof(v4) : sizeof(v6)) < 0 ||
	    getsockopt(fd, is_v4 ? IPPROTO_IP : IPPROTO_IPV6,
		       is_v4 ? IP_MTU : IPV6_MTU, &mtu, &len) < 0)
		mtu = MTU_DEFAULT;
	close(fd);
	return (uint32_t)mtu;
}

static int order_route(struct guard_fence *f, uint16_t type, uint16_t flags)
{
	_Alignas(8) uint8_t buf[FENCE_MESSAGE_MAX];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nlattr *metrics;
	struct rtmsg *rtm;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	nlh->nlmsg_seq = netlink_seq(f->nl);
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = (uint8_t)f->base.cfg.family;
	rtm->rtm_table = RT_TABLE_UNSPEC;
	rtm->rtm_protocol = FENCE_PROTOCOL;
	rtm->rtm_type = RTN_UNICAST;
	rtm->rtm_scope =
		rtm->rtm_family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	mnl_attr_put_u32(nlh, RTA_TABLE, FENCE_TABLE(f->base.cfg.port));
	mnl_attr_put_u32(nlh, RTA_OIF, f->lo);
	if (type == RTM_NEWROUTE) {
		metrics = mnl_attr_nest_start(nlh, RTA_METRICS);
		mnl_attr_put_u32(nlh, RTAX_MTU, f->mtu_bytes);
		mnl_attr_nest_end(nlh, metrics);
	}
	return netlink_order(f->nl, nlh, nlh->nlmsg_len);
}

struct routes {
	uint32_t table, lo;
	unsigned right, wrong;
};

static int on_route(void *ctx, const struct nlmsghdr *nlh)
{
	struct routes *routes = ctx;
	struct fence_route r;

	if (!fence_route_parse(&r, nlh) || r.table != routes->table)
		return 0;
	if (r.to_everywhere && r.oif == routes->lo)
		routes->right++;
	else
		routes->wrong++;
	return 0;
}

/* 1: the dead end is there, and no other way. */
static int check_route(struct guard_fence *f)
{
	struct routes routes = {.table = FENCE_TABLE(f->base.cfg.port),
				.lo = f->lo};
	_Alignas(8) uint8_t buf[FENCE_MESSAGE_MAX];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rtm;
	int rc;

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = netlink_seq(f->nl);
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = (uint8_t)f->base.cfg.family;
	mnl_attr_put_u32(nlh, RTA_TABLE, routes.table);
	rc = netlink_ask(f->nl, nlh, on_route, &routes);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	return routes.right > 0 && routes.wrong == 0;
}

static int on_address(void *ctx, const struct nlmsghdr *nlh)
{
	if (nlh->nlmsg_type == RTM_NEWADDR)
		*(bool *)ctx = true;
	return 0;
}

/* IPv6 can be switched off; then the kernel takes no route. A host that has
 * no address sends no answers either. */
static bool has_address(struct guard_fence *f)
{
	_Alignas(8) uint8_t buf[FENCE_MESSAGE_MAX];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg *ifa;
	bool any = false;

	nlh->nlmsg_type = RTM_GETADDR;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = netlink_seq(f->nl);
	ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));
	ifa->ifa_family = (uint8_t)f->base.cfg.family;
	return netlink_ask(f->nl, nlh, on_address, &any) < 0 || any;
}

/* ---- the line ---- */

static int guard_fence_check(struct guard_line *line)
{
	struct guard_fence *f = of(line);
	struct fence_view v;
	int rc = view(f, &v);

	if (rc == 0)
		rc = v.whole ? check_route(f) : 0;
	return rc == 0 && !has_address(f) ? 1 : rc;
}

/* The fence first, then what exempts from it; what is there already may be. */
static int add_rules(struct guard_fence *f, uint32_t pref)
{
	size_t count = fence_rules_count(&f->base.cfg);
	int rc = 0;

	for (size_t i = 0; i < count && (rc == 0 || rc == -EEXIST); i++) {
		struct fence_rule r = fence_rules_at(&f->base.cfg, pref, i);

		rc = order_rule(f, &r, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL);
	}
	return rc == -EEXIST ? 0 : rc;
}

static bool is_wanted(struct guard_fence *f, const struct fence_rule *r,
		      uint32_t pref)
{
	for (size_t i = 0; i < fence_rules_count(&f->base.cfg); i++) {
		struct fence_rule wanted =
			fence_rules_at(&f->base.cfg, pref, i);

		if (fence_rule_equal(r, &wanted))
			return true;
	}
	return false;
}

/* Ours, but for those of a fence at pref; 0: all. */
static int delete_rules(struct guard_fence *f, uint32_t pref)
{
	int rc = read_rules(f), one;

	for (size_t i = 0; i < f->count && rc == 0; i++) {
		const struct fence_rule *r = &f->rules[i];

		if (!fence_rule_is_ours(r, f->base.cfg.port) ||
		    (pref > 0 && is_wanted(f, r, pref)))
			continue;
		one = order_rule(f, r, RTM_DELRULE, 0);
		if (one < 0 && one != -ENOENT)
			rc = one;
	}
	return rc;
}

static int guard_fence_install(struct guard_line *line)
{
	struct guard_fence *f = of(line);
	struct fence_view v;
	uint32_t pref;
	int rc = order_route(f, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);

	if (rc == -EACCES && !has_address(f))
		return 0;
	if (rc == 0 || rc == -EEXIST)
		rc = view(f, &v);
	if (rc < 0)
		return rc;
	pref = fence_rules_place(&v);
	if (pref == 0)
		return -EBUSY;
	rc = add_rules(f, pref);
	return rc < 0 ? rc : delete_rules(f, pref);
}

static int guard_fence_remove(struct guard_line *line)
{
	struct guard_fence *f = of(line);
	int rc = delete_rules(f, 0);

	if (rc == 0)
		rc = order_route(f, RTM_DELROUTE, 0);
	return rc == -ESRCH ? 0 : rc;
}

/* ---- life ---- */

static void guard_fence_close(struct guard_line *line)
{
	struct guard_fence *f = of(line);

	if (f->nl)
		netlink_close(f->nl);
	free(f->rules);
	free(f);
}

static const struct guard_line_ops guard_fence_ops = {
	.check = guard_fence_check,
	.install = guard_fence_install,
	.remove = guard_fence_remove,
	.close = guard_fence_close,
};

int guard_fence_open(struct guard_line **out,
		     const struct guard_line_config *cfg)
{
	struct guard_fence *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return -ENOMEM;
	f->base = (struct guard_line){&guard_fence_ops, *cfg, "fence"};
	f->mtu_bytes = route_mtu(cfg->family);
	f->lo = if_nametoindex("lo");
	rc = netlink_open(&f->nl, NETLINK_ROUTE);
	if (rc < 0) {
		guard_fence_close(&f->base);
		return rc;
	}
	*out = &f->base;
	return 0;
}
