// SPDX-License-Identifier: BSD-2-Clause
#include "io/next_hop_message.h"

#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/if_arp.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

_Static_assert(HOP_DEVICE_MAX == IFNAMSIZ, "names are as long as that");

#define NUD_KNOWN                                                              \
	(NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE |   \
	 NUD_DELAY)

/* ---- the kernel's messages ---- */

static bool parse_addr(struct ip_addr *out, int family, const void *bytes,
		       size_t len)
{
	if (family == AF_INET && len == 4)
		*out = addr_from_v4(bytes);
	else if (family == AF_INET6 && len == 16)
		*out = addr_from_v6(bytes);
	else
		return false;
	return true;
}

static bool parse_addr_attr(struct ip_addr *out, int family,
			    const struct nlattr *attr)
{
	return parse_addr(out, family, mnl_attr_get_payload(attr),
			  mnl_attr_get_payload_len(attr));
}

/* A gateway of the other family. */
static bool parse_via(struct ip_addr *out, const struct nlattr *attr)
{
	const struct rtvia *via = mnl_attr_get_payload(attr);
	size_t len = mnl_attr_get_payload_len(attr);

	return len > sizeof(*via) &&
	       parse_addr(out, via->rtvia_family, via->rtvia_addr,
			  len - sizeof(*via));
}

static bool parse_mac(uint8_t mac[MAC_BYTES], const struct nlattr *attr)
{
	if (mnl_attr_get_payload_len(attr) != MAC_BYTES)
		return false;
	memcpy(mac, mnl_attr_get_payload(attr), MAC_BYTES);
	return true;
}

static bool parse_u32(uint32_t *out, const struct nlattr *attr)
{
	if (mnl_attr_validate(attr, MNL_TYPE_U32) < 0)
		return false;
	*out = mnl_attr_get_u32(attr);
	return true;
}

static bool parse_metrics(struct hop_route *r, const struct nlattr *metrics)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, metrics)
	{
		if (mnl_attr_get_type(attr) == RTAX_MTU &&
		    !parse_u32(&r->mtu_bytes, attr))
			return false;
	}
	return true;
}

static bool parse_route_attr(struct hop_route *r, int family,
			     const struct nlattr *attr)
{
	switch (mnl_attr_get_type(attr)) {
	case RTA_DST:
		return parse_addr_attr(&r->to.addr, family, attr);
	case RTA_GATEWAY:
		return parse_addr_attr(&r->gateway, family, attr);
	case RTA_VIA:
		return parse_via(&r->gateway, attr);
	case RTA_OIF:
		return parse_u32(&r->ifindex, attr);
	case RTA_METRICS:
		return parse_metrics(r, attr);
	case RTA_ENCAP_TYPE:
		r->encapsulated = true;
		return true;
	default:
		return true;
	}
}

bool hop_route_parse(struct hop_route *r, const struct nlmsghdr *nlh)
{
	static const uint8_t none[16];
	const struct rtmsg *m = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	unsigned bits;

	*r = (struct hop_route){0};
	if ((nlh->nlmsg_type != RTM_NEWROUTE &&
	     nlh->nlmsg_type != RTM_DELROUTE) ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*m) ||
	    !parse_addr(&r->to.addr, m->rtm_family, none,
			m->rtm_family == AF_INET ? 4 : 16))
		return false;
	bits = m->rtm_dst_len + (m->rtm_family == AF_INET ? 96u : 0u);
	if (bits > 128)
		return false;
	r->to.len = (uint8_t)bits;
	r->unicast = m->rtm_type == RTN_UNICAST;
	r->local = m->rtm_type == RTN_LOCAL;
	mnl_attr_for_each(attr, nlh,
			  sizeof(*m)) if (!parse_route_attr(r, m->rtm_family,
							    attr)) return false;
	return true;
}

bool hop_neighbour_parse(struct hop_neighbour *n, const struct nlmsghdr *nlh)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	bool mac = false;

	*n = (struct hop_neighbour){0};
	if ((nlh->nlmsg_type != RTM_NEWNEIGH &&
	     nlh->nlmsg_type != RTM_DELNEIGH) ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*m))
		return false;
	n->ifindex = (uint32_t)m->ndm_ifindex;
	mnl_attr_for_each(attr, nlh, sizeof(*m))
	{
		if (mnl_attr_get_type(attr) == NDA_DST &&
		    !parse_addr_attr(&n->addr, m->ndm_family, attr))
			return false;
		if (mnl_attr_get_type(attr) == NDA_LLADDR)
			mac = parse_mac(n->mac, attr);
	}
	n->known = mac && nlh->nlmsg_type == RTM_NEWNEIGH &&
		   m->ndm_state & NUD_KNOWN;
	n->stale = m->ndm_state & NUD_STALE;
	return !addr_is_none(&n->addr);
}

static bool parse_name(char name[HOP_DEVICE_MAX], const struct nlattr *attr)
{
	if (mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) < 0 ||
	    mnl_attr_get_payload_len(attr) > HOP_DEVICE_MAX)
		return false;
	strcpy(name, mnl_attr_get_str(attr));
	return true;
}

bool hop_device_parse(struct hop_device *d, const struct nlmsghdr *nlh)
{
	const unsigned other = IFF_LOOPBACK | IFF_NOARP;
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	bool mac = false;

	*d = (struct hop_device){0};
	if ((nlh->nlmsg_type != RTM_NEWLINK &&
	     nlh->nlmsg_type != RTM_DELLINK) ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*m) || m->ifi_index <= 0)
		return false;
	d->ifindex = (uint32_t)m->ifi_index;
	mnl_attr_for_each(attr, nlh, sizeof(*m))
	{
		if (mnl_attr_get_type(attr) == IFLA_ADDRESS)
			mac = parse_mac(d->mac, attr);
		if (mnl_attr_get_type(attr) == IFLA_MTU &&
		    !parse_u32(&d->mtu_bytes, attr))
			return false;
		if (mnl_attr_get_type(attr) == IFLA_IFNAME &&
		    !parse_name(d->name, attr))
			return false;
	}
	d->ethernet = mac && nlh->nlmsg_type == RTM_NEWLINK &&
		      m->ifi_type == ARPHRD_ETHER && !(m->ifi_flags & other);
	return true;
}

/* ---- ours ---- */

static struct nlmsghdr *question(void *buf, uint16_t type, uint32_t seq)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nlh->nlmsg_seq = seq;
	return nlh;
}

static uint8_t family_of(const struct ip_addr *a)
{
	return addr_is_v4(a) ? AF_INET : AF_INET6;
}

static void put_addr(struct nlmsghdr *nlh, uint16_t type,
		     const struct ip_addr *a)
{
	if (addr_is_v4(a))
		mnl_attr_put(nlh, type, 4, a->b + 12);
	else
		mnl_attr_put(nlh, type, 16, a->b);
}

struct nlmsghdr *hop_route_question(void *buf, const struct ip_addr *to,
				    uint32_t seq)
{
	struct nlmsghdr *nlh = question(buf, RTM_GETROUTE, seq);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	m->rtm_family = family_of(to);
	m->rtm_dst_len = addr_is_v4(to) ? 32 : 128;
	put_addr(nlh, RTA_DST, to);
	return nlh;
}

struct nlmsghdr *hop_neighbour_question(void *buf, const struct ip_addr *addr,
					uint32_t ifindex, uint32_t seq)
{
	struct nlmsghdr *nlh = question(buf, RTM_GETNEIGH, seq);
	struct ndmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	m->ndm_family = family_of(addr);
	m->ndm_ifindex = (int)ifindex;
	put_addr(nlh, NDA_DST, addr);
	return nlh;
}

struct nlmsghdr *hop_device_question(void *buf, uint32_t ifindex, uint32_t seq)
{
	struct nlmsghdr *nlh = question(buf, RTM_GETLINK, seq);
	struct ifinfomsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	m->ifi_index = (int)ifindex;
	return nlh;
}
