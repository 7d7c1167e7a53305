// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A table of our own has a chain at each of four hooks with one rule: if the
 * packet is of this pair of ends, count it. The first chain is before anything
 * that may drop the packet, the second behind everything before the socket; the
 * third before everything that may happen to an answer, the fourth where it
 * leaves. Nobody's verdict is touched: no rule has one.
 *
 * The kernel removes the table when our socket is closed, if it knows how
 * (5.12); otherwise the next one does.
 */
#include "io/probe_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <net/if.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "base/count.h"
#include "io/netlink.h"
#include "io/nft_expression.h"
#include "io/probe_rule.h"

#define TABLE	      "tcpcopy_probe"
#define MESSAGE_BYTES 1024
#define BATCH_BYTES   (16 * MESSAGE_BYTES)
#define FIRST	      (-450)
#define LAST	      500

#ifndef NFT_TABLE_F_OWNER
#define NFT_TABLE_F_OWNER 2
#endif

struct point {
	const char *chain;
	uint32_t hook;
	int32_t priority;
	bool answer;
	size_t at; /* in struct wire_probe_seen */
};

static const struct point points[] = {
	{"arrived", NF_INET_PRE_ROUTING, FIRST, false,
	 offsetof(struct wire_probe_seen, arrived)},
	{"accepted", NF_INET_LOCAL_IN, LAST, false,
	 offsetof(struct wire_probe_seen, accepted)},
	{"answered", NF_INET_LOCAL_OUT, FIRST, true,
	 offsetof(struct wire_probe_seen, answered)},
	{"left", NF_INET_POST_ROUTING, LAST, true,
	 offsetof(struct wire_probe_seen, left)},
};

#define POINTS COUNT(points)

struct probe_watch {
	struct netlink *nl;
	int family; /* of the table that there is, 0: none */
	uint32_t flags, lo;
	_Alignas(8) uint8_t buf[BATCH_BYTES];
};

struct batch {
	struct probe_watch *w;
	size_t len;
	uint32_t seq;
	uint8_t family;
};

/* ---- messages ---- */

static struct nlmsghdr *open_message(struct batch *b, uint16_t type,
				     uint16_t flags)
{
	return nft_put_header(b->w->buf + b->len,
			      (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type),
			      flags, b->family, 0, b->seq);
}

static void close_message(struct batch *b, const struct nlmsghdr *nlh)
{
	b->len += MNL_ALIGN(nlh->nlmsg_len);
}

static void put_edge(struct batch *b, uint16_t type)
{
	close_message(b, nft_put_header(b->w->buf + b->len, type, 0, AF_UNSPEC,
					NFNL_SUBSYS_NFTABLES, b->seq));
}

static void put_table(struct batch *b, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = open_message(b, type, flags);

	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, TABLE);
	if (type == NFT_MSG_NEWTABLE)
		mnl_attr_put_u32(nlh, NFTA_TABLE_FLAGS, htonl(b->w->flags));
	close_message(b, nlh);
}

static void put_chain(struct batch *b, const struct point *p)
{
	struct nlmsghdr *nlh = open_message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	struct nlattr *hook;

	mnl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, TABLE);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_NAME, p->chain);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_TYPE, "filter");
	hook = mnl_attr_nest_start(nlh, NFTA_CHAIN_HOOK);
	mnl_attr_put_u32(nlh, NFTA_HOOK_HOOKNUM, htonl(p->hook));
	mnl_attr_put_u32(nlh, NFTA_HOOK_PRIORITY, htonl((uint32_t)p->priority));
	mnl_attr_nest_end(nlh, hook);
	close_message(b, nlh);
}

static void match_ends(struct nlmsghdr *nlh, const struct endpoint *from,
		       const struct endpoint *to)
{
	bool v4 = addr_is_v4(&from->addr);
	uint32_t len = v4 ? 4 : 16, skip = v4 ? 12 : 0;
	uint16_t sport = htons(from->port), dport = htons(to->port);
	uint8_t tcp = IPPROTO_TCP;

	nft_put_load_meta(nlh, NFT_META_L4PROTO);
	nft_put_equals(nlh, &tcp, sizeof(tcp));
	nft_put_load(nlh, NFT_PAYLOAD_NETWORK_HEADER, v4 ? 12 : 8, len);
	nft_put_equals(nlh, from->addr.b + skip, len);
	nft_put_load(nlh, NFT_PAYLOAD_NETWORK_HEADER, v4 ? 16 : 24, len);
	nft_put_equals(nlh, to->addr.b + skip, len);
	nft_put_load(nlh, NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof(sport));
	nft_put_equals(nlh, &sport, sizeof(sport));
	nft_put_load(nlh, NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof(dport));
	nft_put_equals(nlh, &dport, sizeof(dport));
}

/* A guard's fence leads into lo, and no further. */
static void match_no_loopback(struct nlmsghdr *nlh, uint32_t lo)
{
	struct nft_expression e;

	nft_put_load_meta(nlh, NFT_META_OIF);
	e = nft_open_expression(nlh, "cmp");
	mnl_attr_put_u32(nlh, NFTA_CMP_SREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(nlh, NFTA_CMP_OP, htonl(NFT_CMP_NEQ));
	nft_put_value(nlh, NFTA_CMP_DATA, &lo, sizeof(lo));
	nft_close_expression(nlh, e);
}

static void put_rule(struct batch *b, const struct point *p,
		     const struct endpoint *client,
		     const struct endpoint *target)
{
	struct nlmsghdr *nlh =
		open_message(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	struct nlattr *all;
	struct nft_expression e;

	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, TABLE);
	mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, p->chain);
	all = mnl_attr_nest_start(nlh, NFTA_RULE_EXPRESSIONS);
	match_ends(nlh, p->answer ? target : client,
		   p->answer ? client : target);
	if (p->hook == NF_INET_POST_ROUTING)
		match_no_loopback(nlh, b->w->lo);
	e = nft_open_expression(nlh, "counter");
	nft_close_expression(nlh, e);
	mnl_attr_nest_end(nlh, all);
	close_message(b, nlh);
}

/* ---- making and removing ---- */

/* A table cannot be deleted that is not there: made first, it is. */
static struct batch begin(struct probe_watch *w, int family)
{
	struct batch b = {
		.w = w, .seq = netlink_seq(w->nl), .family = (uint8_t)family};

	put_edge(&b, NFNL_MSG_BATCH_BEGIN);
	put_table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_ACK);
	put_table(&b, NFT_MSG_DELTABLE, 0);
	return b;
}

static int commit(struct batch *b)
{
	put_edge(b, NFNL_MSG_BATCH_END);
	return netlink_order(b->w->nl, b->w->buf, b->len);
}

void probe_watch_stop(struct probe_watch *w)
{
	struct batch b;

	if (!w->family)
		return;
	b = begin(w, w->family);
	commit(&b);
	w->family = 0;
}

static int make(struct probe_watch *w, const struct endpoint *client,
		const struct endpoint *target)
{
	int family = addr_is_v4(&target->addr) ? AF_INET : AF_INET6, rc;
	struct batch b = begin(w, family);

	put_table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	for (size_t i = 0; i < POINTS; i++) {
		put_chain(&b, &points[i]);
		put_rule(&b, &points[i], client, target);
	}
	rc = commit(&b);
	if (rc == 0)
		w->family = family;
	return rc;
}

int probe_watch_start(struct probe_watch *w, const struct endpoint *client,
		      const struct endpoint *target)
{
	int rc;

	if (addr_is_v4(&client->addr) != addr_is_v4(&target->addr))
		return -EINVAL;
	probe_watch_stop(w);
	rc = make(w, client, target);
	if ((rc == -EOPNOTSUPP || rc == -EINVAL) && w->flags) {
		w->flags = 0;
		rc = make(w, client, target);
	}
	return rc;
}

/* ---- reading ---- */

static int on_rule(void *ctx, const struct nlmsghdr *nlh)
{
	struct probe_rule rule;

	if (!probe_rule_parse(&rule, nlh) || strcmp(rule.table, TABLE))
		return 0;
	for (size_t i = 0; i < POINTS; i++)
		if (!strcmp(rule.chain, points[i].chain))
			*(uint32_t *)((char *)ctx + points[i].at) =
				rule.packets;
	return 0;
}

int probe_watch_read(struct probe_watch *w, struct wire_probe_seen *out)
{
	struct nlmsghdr *nlh;
	int rc = -EINTR;

	if (!w->family)
		return -ENOENT;
	for (int i = 0; i < 4 && rc == -EINTR; i++) {
		nlh = nft_put_header(
			w->buf, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE,
			NLM_F_DUMP, (uint8_t)w->family, 0, netlink_seq(w->nl));
		mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, TABLE);
		rc = netlink_ask(w->nl, nlh, on_rule, out);
	}
	return rc;
}

/* ---- life ---- */

int probe_watch_open(struct probe_watch **out)
{
	struct probe_watch *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return -ENOMEM;
	w->flags = NFT_TABLE_F_OWNER;
	w->lo = if_nametoindex("lo");
	rc = netlink_open(&w->nl, NETLINK_NETFILTER);
	if (rc < 0) {
		free(w);
		return rc;
	}
	*out = w;
	return 0;
}

void probe_watch_close(struct probe_watch *w)
{
	probe_watch_stop(w);
	netlink_close(w->nl);
	free(w);
}
