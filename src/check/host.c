// SPDX-License-Identifier: BSD-2-Clause
#include "check/host.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

#include "base/privileges.h"
#include "check/proc.h"
#include "check/route.h"
#include "io/sockaddr.h"

#define FULL_PERCENT   95
#define NEARLY_PERCENT 80

void check_capability(struct check *c, unsigned capability, const char *name)
{
	char fix[CHECK_TEXT_MAX];

	if (privileges_have(capability))
		check_ok(c, "%s is there", name);
	else
		check_fail(c,
			   check_text(fix,
				      "run it as root, or once: setcap %s=ep "
				      "\"$(command -v %s)\"",
				      name, c->program),
			   "%s is missing", name);
}

void check_conntrack(struct check *c)
{
	long long count, max;
	char fix[CHECK_TEXT_MAX];

	if (!proc_number(&count,
			 "/proc/sys/net/netfilter/nf_conntrack_count") ||
	    !proc_number(&max, "/proc/sys/net/netfilter/nf_conntrack_max") ||
	    max <= 0) {
		check_ok(c, "connections are not tracked here");
		return;
	}
	check_text(fix,
		   "sysctl -w net.netfilter.nf_conntrack_max=%lld, or leave "
		   "the copies out of it (-j CT --notrack)",
		   2 * (count > max ? count : max));
	if (count * 100 >= max * FULL_PERCENT)
		check_fail(c, fix,
			   "the connection tracker is full, %lld of %lld: new "
			   "connections are dropped",
			   count, max);
	else if (count * 100 >= max * NEARLY_PERCENT)
		check_warn(c, fix,
			   "the connection tracker is nearly full, %lld of "
			   "%lld",
			   count, max);
	else
		check_ok(c, "%lld of %lld connections tracked", count, max);
}

bool host_has_ipv6(void)
{
	struct ifaddrs *list;
	struct ip_addr a;
	bool has = false;

	if (getifaddrs(&list))
		return true;
	for (const struct ifaddrs *at = list; at; at = at->ifa_next)
		has |= sockaddr_to_addr(at->ifa_addr, &a) && !addr_is_v4(&a) &&
		       !addr_is_loopback(&a) && !addr_is_link_local(&a);
	freeifaddrs(list);
	return has;
}

/* ---- rp_filter ---- */

static bool takes_packets(const struct ifaddrs *at)
{
	return at->ifa_addr && at->ifa_addr->sa_family == AF_INET &&
	       at->ifa_flags & IFF_UP && !(at->ifa_flags & IFF_LOOPBACK) &&
	       !strchr(at->ifa_name, ':');
}

static bool seen_before(const struct ifaddrs *list, const struct ifaddrs *at)
{
	for (; list != at; list = list->ifa_next)
		if (takes_packets(list) &&
		    !strcmp(list->ifa_name, at->ifa_name))
			return true;
	return false;
}

/* A packet from anywhere is to be answered by the default route. */
static void look_at_device(struct check *c, const char *name, long long all)
{
	static const struct ip_addr far_off = {
		{[10] = 0xff, 0xff, 203, 0, 113, 1}};
	long long own, mode;
	char fix[CHECK_TEXT_MAX];
	int device = route_device(&far_off);

	if (!proc_number(&own, "/proc/sys/net/ipv4/conf/%s/rp_filter", name))
		return;
	mode = own > all ? own : all;
	if (mode == 0 || (device > 0 && mode == 2)) {
		check_ok(c, "%s: %lld", name, mode);
	} else if (device > 0 && (unsigned)device == if_nametoindex(name)) {
		check_ok(c, "%s: %lld, the default route is by it", name, mode);
	} else {
		check_fail(c,
			   device > 0
				   ? check_text(fix,
						"sysctl -w net.ipv4.conf.%s."
						"rp_filter=2",
						name)
				   : check_text(fix,
						"sysctl -w net.ipv4.conf.all."
						"rp_filter=0 net.ipv4.conf.%s."
						"rp_filter=0",
						name),
			   "%s: %lld, and the way back to clients is not by "
			   "it: what comes from their addresses is dropped "
			   "there",
			   name, mode);
	}
}

void check_rp_filter(struct check *c)
{
	struct ifaddrs *list;
	long long all = 0;

	if (getifaddrs(&list))
		return;
	proc_number(&all, "/proc/sys/net/ipv4/conf/all/rp_filter");
	for (const struct ifaddrs *at = list; at; at = at->ifa_next)
		if (takes_packets(at) && !seen_before(list, at))
			look_at_device(c, at->ifa_name, all);
	freeifaddrs(list);
}
