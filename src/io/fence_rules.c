// SPDX-License-Identifier: BSD-2-Clause
#include "io/fence_rules.h"

#include <string.h>
#include <netinet/in.h>

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#define NO_LIMIT 0xffffffffu /* FRA_SUPPRESS_PREFIXLEN when it is not set */
/* FRA_SPORT_MASK: since 6.15 a single port is told with all bits of it. */
#define SPORT_MASK 28

/* ---- the kernel's messages ---- */

static void parse_ports(struct fence_rule *r, const struct nlattr *attr)
{
	struct fib_rule_port_range range;

	if (mnl_attr_get_payload_len(attr) < sizeof(range))
		return;
	memcpy(&range, mnl_attr_get_payload(attr), sizeof(range));
	r->sport_first = range.start;
	r->sport_last = range.end;
}

static void parse_dst(struct fence_rule *r, const struct nlattr *attr)
{
	size_t len = mnl_attr_get_payload_len(attr);

	if (len <= sizeof(r->dst))
		memcpy(r->dst, mnl_attr_get_payload(attr), len);
}

static void parse_iif(struct fence_rule *r, const struct nlattr *attr)
{
	if (mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0 &&
	    strcmp(mnl_attr_get_str(attr), "lo") == 0)
		r->local_only = true;
	else
		r->more = true;
}

static void parse_u8(struct fence_rule *r, const struct nlattr *attr,
		     unsigned type)
{
	if (mnl_attr_validate(attr, MNL_TYPE_U8) < 0)
		return;
	if (type == FRA_PROTOCOL)
		r->protocol = mnl_attr_get_u8(attr);
	else
		r->ip_proto = mnl_attr_get_u8(attr);
}

static void parse_u32(struct fence_rule *r, const struct nlattr *attr,
		      unsigned type)
{
	uint32_t v;

	if (mnl_attr_validate(attr, MNL_TYPE_U32) < 0)
		return;
	v = mnl_attr_get_u32(attr);
	if (type == FRA_PRIORITY)
		r->pref = v;
	else if (type == FRA_TABLE)
		r->table = v;
	else if (type == FRA_GOTO)
		r->target = v;
	else
		r->more |= v != NO_LIMIT;
}

static void parse_attr(struct fence_rule *r, const struct nlattr *attr)
{
	unsigned type = mnl_attr_get_type(attr);

	switch (type) {
	case FRA_PRIORITY:
	case FRA_TABLE:
	case FRA_GOTO:
	case FRA_SUPPRESS_PREFIXLEN:
		parse_u32(r, attr, type);
		break;
	case FRA_PROTOCOL:
	case FRA_IP_PROTO:
		parse_u8(r, attr, type);
		break;
	case FRA_DST:
		parse_dst(r, attr);
		break;
	case FRA_IIFNAME:
		parse_iif(r, attr);
		break;
	case FRA_SPORT_RANGE:
		parse_ports(r, attr);
		break;
	case SPORT_MASK:
		r->more |= mnl_attr_validate(attr, MNL_TYPE_U16) < 0 ||
			   mnl_attr_get_u16(attr) != UINT16_MAX;
		break;
	case FRA_PAD:
		break;
	default:
		r->more = true;
	}
}

bool fence_rule_parse(struct fence_rule *r, const struct nlmsghdr *nlh)
{
	const uint32_t usual = FIB_RULE_PERMANENT | FIB_RULE_UNRESOLVED;
	const struct fib_rule_hdr *hdr = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;

	*r = (struct fence_rule){0};
	if (nlh->nlmsg_type != RTM_NEWRULE ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*hdr))
		return false;
	r->action = hdr->action;
	r->dst_len = hdr->dst_len;
	r->more = hdr->src_len || hdr->tos || hdr->flags & ~usual;
	mnl_attr_for_each(attr, nlh, sizeof(*hdr)) parse_attr(r, attr);
	return true;
}

bool fence_route_parse(struct fence_route *r, const struct nlmsghdr *nlh)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;

	*r = (struct fence_route){0};
	if (nlh->nlmsg_type != RTM_NEWROUTE ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*rtm))
		return false;
	r->table = rtm->rtm_table;
	r->to_everywhere = rtm->rtm_dst_len == 0 && rtm->rtm_src_len == 0 &&
			   rtm->rtm_type == RTN_UNICAST;
	mnl_attr_for_each(attr, nlh, sizeof(*rtm))
	{
		if (mnl_attr_validate(attr, MNL_TYPE_U32) < 0)
			continue;
		if (mnl_attr_get_type(attr) == RTA_TABLE)
			r->table = mnl_attr_get_u32(attr);
		else if (mnl_attr_get_type(attr) == RTA_OIF)
			r->oif = mnl_attr_get_u32(attr);
	}
	return true;
}

struct nlmsghdr *fence_rule_message(void *buf, const struct fence_rule *r,
				    int family, uint16_t type, uint16_t flags,
				    uint32_t seq)
{
	struct fib_rule_port_range ports = {r->sport_first, r->sport_last};
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct fib_rule_hdr *hdr;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	nlh->nlmsg_seq = seq;
	hdr = mnl_nlmsg_put_extra_header(nlh, sizeof(*hdr));
	hdr->family = (uint8_t)family;
	hdr->dst_len = r->dst_len;
	hdr->action = r->action;
	mnl_attr_put_u32(nlh, FRA_PRIORITY, r->pref);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, r->protocol);
	mnl_attr_put_u8(nlh, FRA_IP_PROTO, r->ip_proto);
	mnl_attr_put(nlh, FRA_SPORT_RANGE, sizeof(ports), &ports);
	if (r->local_only)
		mnl_attr_put_strz(nlh, FRA_IIFNAME, "lo");
	if (r->dst_len > 0)
		mnl_attr_put(nlh, FRA_DST, family == AF_INET ? 4 : 16, r->dst);
	if (r->action == FR_ACT_TO_TBL)
		mnl_attr_put_u32(nlh, FRA_TABLE, r->table);
	if (r->action == FR_ACT_GOTO)
		mnl_attr_put_u32(nlh, FRA_GOTO, r->target);
	return nlh;
}

/* ---- what there should be ---- */

size_t fence_rules_count(const struct guard_line_config *cfg)
{
	return cfg->passlist_count ? cfg->passlist_count + 2 : 1;
}

struct fence_rule fence_rules_at(const struct guard_line_config *cfg,
				 uint32_t pref, size_t i)
{
	struct fence_rule r = {
		.pref = pref,
		.action = FR_ACT_TO_TBL,
		.table = FENCE_TABLE(cfg->port),
		.protocol = FENCE_PROTOCOL,
		.ip_proto = IPPROTO_TCP,
		.sport_first = cfg->port,
		.sport_last = cfg->port,
		.local_only = true,
	};

	if (i == 0)
		return r;
	r.table = 0;
	if (i == 1) { /* where the exemptions go on */
		r.pref = pref + 1;
		r.action = FR_ACT_NOP;
		return r;
	}
	r.pref = pref - 1;
	r.action = FR_ACT_GOTO;
	r.target = pref + 1;
	r.dst_len = cfg->passlist[i - 2].len;
	memcpy(r.dst, cfg->passlist[i - 2].bytes, sizeof(r.dst));
	return r;
}

bool fence_rule_is_ours(const struct fence_rule *r, uint16_t port)
{
	return r->protocol == FENCE_PROTOCOL && r->sport_first == port &&
	       r->sport_last == port;
}

bool fence_rule_equal(const struct fence_rule *a, const struct fence_rule *b)
{
	return a->pref == b->pref && a->table == b->table &&
	       a->target == b->target && a->action == b->action &&
	       a->protocol == b->protocol && a->ip_proto == b->ip_proto &&
	       a->dst_len == b->dst_len &&
	       memcmp(a->dst, b->dst, sizeof(a->dst)) == 0 &&
	       a->sport_first == b->sport_first &&
	       a->sport_last == b->sport_last &&
	       a->local_only == b->local_only && a->more == b->more;
}

/* ---- what there is ---- */

/* Of the guard of another port: it concerns no packet of this one. */
static bool is_a_neighbour(const struct fence_rule *r, uint16_t port)
{
	return r->protocol == FENCE_PROTOCOL && r->ip_proto == IPPROTO_TCP &&
	       r->sport_first == r->sport_last && r->sport_first != 0 &&
	       r->sport_first != port;
}

/* What is addressed to this host itself does not get out. */
static bool is_foreign(const struct fence_rule *r, uint16_t port)
{
	return !fence_rule_is_ours(r, port) && !is_a_neighbour(r, port) &&
	       !(r->action == FR_ACT_TO_TBL && r->table == RT_TABLE_LOCAL);
}

static bool has(const struct fence_rule *rules, size_t count,
		const struct fence_rule *wanted)
{
	for (size_t i = 0; i < count; i++)
		if (fence_rule_equal(&rules[i], wanted))
			return true;
	return false;
}

static uint32_t find_fence(const struct fence_rule *rules, size_t count,
			   const struct guard_line_config *cfg)
{
	for (size_t i = 0; i < count; i++) {
		struct fence_rule wanted =
			fence_rules_at(cfg, rules[i].pref, 0);

		if (fence_rule_equal(&rules[i], &wanted))
			return rules[i].pref;
	}
	return 0;
}

static bool is_whole(const struct fence_rule *rules, size_t count,
		     const struct guard_line_config *cfg, uint32_t pref)
{
	size_t ours = 0;

	for (size_t i = 0; i < count; i++)
		ours += fence_rule_is_ours(&rules[i], cfg->port);
	if (ours != fence_rules_count(cfg))
		return false;
	for (size_t i = 0; i < ours; i++) {
		struct fence_rule wanted = fence_rules_at(cfg, pref, i);

		if (!has(rules, count, &wanted))
			return false;
	}
	return true;
}

void fence_rules_judge(struct fence_view *v, const struct fence_rule *rules,
		       size_t count, const struct guard_line_config *cfg)
{
	bool before = true, has_first = false;

	*v = (struct fence_view){.first = NO_LIMIT};
	v->pref = find_fence(rules, count, cfg);
	for (size_t i = 0; i < count; i++) {
		struct fence_rule fence = fence_rules_at(cfg, v->pref, 0);

		if (fence_rule_equal(&rules[i], &fence))
			before = false;
		if (!is_foreign(&rules[i], cfg->port))
			continue;
		if (!has_first)
			v->first = rules[i].pref;
		has_first = true;
		if (before && !v->has_in_front) {
			v->has_in_front = true;
			v->in_front = rules[i].pref;
		}
	}
	v->whole = v->pref > 0 && !v->has_in_front &&
		   is_whole(rules, count, cfg, v->pref);
}

uint32_t fence_rules_place(const struct fence_view *v)
{
	if (v->pref > 0 && !v->has_in_front)
		return v->pref;
	if (v->first > FENCE_PREF + 2)
		return FENCE_PREF;
	return v->first > 3 ? v->first - 2 : 0;
}
