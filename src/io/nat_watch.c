// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Addresses are translated by chains of nf_tables of the type nat, which
 * iptables makes as well, or by iptables-legacy's table nat. At which hook they
 * are makes no difference here. What arrives can also be kept from being
 * tracked, by chains before conntrack or by iptables-legacy's table raw, and
 * given to SYNPROXY then; a raw socket's packet is tracked before it arrives.
 * That counts as NAT. nf_tables tells of every change of its rules; what
 * changes then is asked a second later at the latest, and not at once, since
 * there are hosts whose rules change all the time. Of iptables-legacy there is
 * no news, so that it is asked each time.
 */
#include "io/nat_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4.h>

#include "io/nat_legacy.h"
#include "io/netlink.h"
#include "io/nft_expression.h"

struct nat_watch {
	struct netlink *nl; /* NULL: none */
	int news_fd;	    /* -1: none */
	bool changed;	    /* since nf_tables was asked */
	enum nat_answer nft;
	struct nat_legacy legacy;
};

static bool is_before_tracking(uint8_t family, const struct nlattr *nest)
{
	const struct nlattr *attr;
	uint32_t hook = UINT32_MAX;
	int32_t priority = INT32_MAX;

	if (family != NFPROTO_INET && family != NFPROTO_IPV4 &&
	    family != NFPROTO_IPV6)
		return false;
	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_validate(attr, MNL_TYPE_U32) < 0)
			continue;
		if (mnl_attr_get_type(attr) == NFTA_HOOK_HOOKNUM)
			hook = ntohl(mnl_attr_get_u32(attr));
		if (mnl_attr_get_type(attr) == NFTA_HOOK_PRIORITY)
			priority = (int32_t)ntohl(mnl_attr_get_u32(attr));
	}
	return hook == NF_INET_PRE_ROUTING && priority <= NF_IP_PRI_CONNTRACK;
}

static bool translates(const struct nlattr *type)
{
	return mnl_attr_validate(type, MNL_TYPE_NUL_STRING) == 0 &&
	       !strcmp(mnl_attr_get_str(type), "nat");
}

/* -EEXIST for a chain that translates, or may keep from being tracked. */
static int on_chain(void *ctx, const struct nlmsghdr *nlh)
{
	const struct nfgenmsg *head = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	uint8_t family;

	(void)ctx;
	if (nlh->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN) ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(struct nfgenmsg))
		return -EBADMSG;
	family = head->nfgen_family;
	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == NFTA_CHAIN_TYPE &&
		    translates(attr))
			return -EEXIST;
		if (mnl_attr_get_type(attr) == NFTA_CHAIN_HOOK &&
		    is_before_tracking(family, attr))
			return -EEXIST;
	}
	return 0;
}

/* What changes while it is told is news as well. */
static enum nat_answer ask_nft(struct nat_watch *w)
{
	_Alignas(8) uint8_t buf[64];
	struct nlmsghdr *nlh = nft_put_header(
		buf, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN, NLM_F_DUMP,
		AF_UNSPEC, 0, netlink_seq(w->nl));
	int rc = netlink_ask(w->nl, nlh, on_chain, NULL);

	if (rc == -EEXIST)
		return NAT_SOME;
	return rc == 0 ? NAT_NONE : NAT_UNTOLD;
}

const char *nat_watch_found(struct nat_watch *w)
{
	enum nat_answer legacy = nat_legacy_ask(&w->legacy);

	if (w->nl && w->news_fd >= 0 &&
	    (netlink_drain(w->news_fd) || w->changed)) {
		w->changed = false;
		w->nft = ask_nft(w);
	}
	if (w->nft == NAT_SOME || legacy == NAT_SOME)
		return "there is NAT on this host, or a rule before "
		       "connection tracking";
	if (w->nft == NAT_UNTOLD || legacy == NAT_UNTOLD)
		return "whether there is NAT is not known";
	return NULL;
}

bool nat_watch_is_quiet(struct nat_watch *w)
{
	w->changed |= netlink_drain(w->news_fd);
	return !w->changed && nat_legacy_ask(&w->legacy) == NAT_NONE;
}

int nat_watch_open(struct nat_watch **out)
{
	static const unsigned news[] = {NFNLGRP_NFTABLES};
	struct nat_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->changed = true;
	w->nft = NAT_UNTOLD;
	w->news_fd = netlink_listen(NETLINK_NETFILTER, news, 1);
	if (netlink_open(&w->nl, NETLINK_NETFILTER))
		w->nl = NULL;
	nat_legacy_open(&w->legacy, "/proc/self/net");
	*out = w;
	return 0;
}

void nat_watch_close(struct nat_watch *w)
{
	if (w->news_fd >= 0)
		close(w->news_fd);
	if (w->nl)
		netlink_close(w->nl);
	nat_legacy_close(&w->legacy);
	free(w);
}
