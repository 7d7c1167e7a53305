// SPDX-License-Identifier: BSD-2-Clause
#include "io/nft_message.h"

#include <errno.h>
#include <string.h>
#include <arpa/inet.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <linux/netfilter/xt_bpf.h>

#include "io/nft_expression.h"
#include "io/split_filter.h"

/* After conntrack, which would take packets of a connection of which it sees
 * one half only for invalid; before all else that may change, copy or let go a
 * packet. */
#define PRIORITY (NF_IP_PRI_CONNTRACK + 1)
#define COMMENT	 "tcpcopy-nfq: intercept --guard"

/* linux/netfilter_ipv4.h, which does not go together with netinet/in.h. */
#define NF_IP_PRI_CONNTRACK (-200)

#define MESSAGE_BYTES 512 /* of any one */
#define MESSAGES      8	  /* of a transaction, besides one a prefix */
#define BY_PORT_BYTES (MESSAGE_BYTES + sizeof(struct xt_bpf_info_v1))

struct batch {
	uint8_t *buf;
	size_t len;
	const struct nft_guard *g;
	uint32_t seq;
};

size_t nft_guard_bytes(size_t passlist_count)
{
	return (MESSAGES + passlist_count) * MESSAGE_BYTES +
	       SPLIT_BY_PORT_MAX * BY_PORT_BYTES;
}

static struct nlmsghdr *open_message(struct batch *b, uint16_t type,
				     uint16_t flags)
{
	return nft_put_header(b->buf + b->len,
			      (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type),
			      flags, (uint8_t)b->g->family, 0, b->seq);
}

static void close_message(struct batch *b, const struct nlmsghdr *nlh)
{
	b->len += MNL_ALIGN(nlh->nlmsg_len);
}

static void put_edge(struct batch *b, uint16_t type, const uint32_t *generation)
{
	struct nlmsghdr *nlh =
		nft_put_header(b->buf + b->len, type, 0, AF_UNSPEC,
			       NFNL_SUBSYS_NFTABLES, b->seq);

	if (generation)
		mnl_attr_put_u32(nlh, NFNL_BATCH_GENID, htonl(*generation));
	close_message(b, nlh);
}

static void put_table(struct batch *b, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = open_message(b, type, flags);

	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, b->g->table);
	if (type == NFT_MSG_NEWTABLE)
		mnl_attr_put_u32(nlh, NFTA_TABLE_FLAGS, 0);
	close_message(b, nlh);
}

static void put_chain(struct batch *b)
{
	struct nlmsghdr *nlh = open_message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	struct nlattr *hook;

	mnl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, b->g->table);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_NAME, NFT_CHAIN_NAME);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_TYPE, "filter");
	mnl_attr_put_u32(nlh, NFTA_CHAIN_POLICY, htonl(NF_ACCEPT));
	hook = mnl_attr_nest_start(nlh, NFTA_CHAIN_HOOK);
	mnl_attr_put_u32(nlh, NFTA_HOOK_HOOKNUM, htonl(NF_INET_LOCAL_OUT));
	mnl_attr_put_u32(nlh, NFTA_HOOK_PRIORITY, htonl((uint32_t)PRIORITY));
	mnl_attr_nest_end(nlh, hook);
	close_message(b, nlh);
}

/* ---- expressions ---- */

static void put_mask(struct nlmsghdr *nlh, const uint8_t *mask, size_t len)
{
	static const uint8_t zero[16];
	struct nft_expression e = nft_open_expression(nlh, "bitwise");

	mnl_attr_put_u32(nlh, NFTA_BITWISE_SREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(nlh, NFTA_BITWISE_DREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(nlh, NFTA_BITWISE_LEN, htonl((uint32_t)len));
	nft_put_value(nlh, NFTA_BITWISE_MASK, mask, len);
	nft_put_value(nlh, NFTA_BITWISE_XOR, zero, len);
	nft_close_expression(nlh, e);
}

static void put_accept(struct nlmsghdr *nlh)
{
	struct nft_expression e = nft_open_expression(nlh, "immediate");
	struct nlattr *data, *verdict;

	mnl_attr_put_u32(nlh, NFTA_IMMEDIATE_DREG, htonl(NFT_REG_VERDICT));
	data = mnl_attr_nest_start(nlh, NFTA_IMMEDIATE_DATA);
	verdict = mnl_attr_nest_start(nlh, NFTA_DATA_VERDICT);
	mnl_attr_put_u32(nlh, NFTA_VERDICT_CODE, htonl(NF_ACCEPT));
	mnl_attr_nest_end(nlh, verdict);
	mnl_attr_nest_end(nlh, data);
	nft_close_expression(nlh, e);
}

/* The packets of which the program of iptables' match says that they are this
 * one's. */
static void put_owner(struct nlmsghdr *nlh, const struct split *owner)
{
	struct xt_bpf_info_v1 info = {.mode = XT_BPF_MODE_BYTECODE};
	struct nft_expression e = nft_open_expression(nlh, "match");

	info.bpf_program_num_elem =
		(uint16_t)split_filter_answer(info.bpf_program, owner);
	mnl_attr_put_strz(nlh, NFTA_MATCH_NAME, "bpf");
	mnl_attr_put_u32(nlh, NFTA_MATCH_REV, htonl(1));
	mnl_attr_put(nlh, NFTA_MATCH_INFO, sizeof(info), &info);
	nft_close_expression(nlh, e);
}

/* Neither has the flag that lets packets pass when nobody listens. */
static void put_queue(struct nlmsghdr *nlh, uint16_t first, uint16_t total)
{
	struct nft_expression e = nft_open_expression(nlh, "queue");

	mnl_attr_put_u16(nlh, NFTA_QUEUE_NUM, htons(first));
	mnl_attr_put_u16(nlh, NFTA_QUEUE_TOTAL, htons(total));
	nft_close_expression(nlh, e);
}

static void put_xt_queue(struct nlmsghdr *nlh, uint16_t first, uint16_t total)
{
	/* Rounded up as iptables does. */
	_Alignas(8) union {
		struct xt_NFQ_info_v3 info;
		uint64_t whole;
	} target = {.whole = 0};
	struct nft_expression e = nft_open_expression(nlh, "target");

	target.info.queuenum = first;
	target.info.queues_total = total;
	mnl_attr_put_strz(nlh, NFTA_TARGET_NAME, "NFQUEUE");
	mnl_attr_put_u32(nlh, NFTA_TARGET_REV, htonl(3));
	mnl_attr_put(nlh, NFTA_TARGET_INFO, sizeof(target), &target);
	nft_close_expression(nlh, e);
}

/* ---- rules ---- */

struct rule {
	struct nlmsghdr *nlh;
	struct nlattr *expressions;
};

static struct rule open_rule(struct batch *b)
{
	struct rule r;

	r.nlh = open_message(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	mnl_attr_put_strz(r.nlh, NFTA_RULE_TABLE, b->g->table);
	mnl_attr_put_strz(r.nlh, NFTA_RULE_CHAIN, NFT_CHAIN_NAME);
	r.expressions = mnl_attr_nest_start(r.nlh, NFTA_RULE_EXPRESSIONS);
	return r;
}

/* nft shows the comment: type 0, length, text. */
static void close_rule(struct batch *b, struct rule r)
{
	static const char comment[] = "\0"   /* type */
				      "\x1f" /* sizeof(COMMENT) */
		COMMENT;

	_Static_assert(sizeof(COMMENT) == 0x1f, "length of the comment");
	mnl_attr_nest_end(r.nlh, r.expressions);
	mnl_attr_put(r.nlh, NFTA_RULE_USERDATA, sizeof(comment), comment);
	close_message(b, r.nlh);
}

static void put_pass_rule(struct batch *b, const struct guard_prefix *p)
{
	bool v4 = b->g->family == AF_INET;
	uint32_t len = v4 ? 4 : 16, offset = v4 ? 16 : 24;
	struct rule r = open_rule(b);
	uint8_t mask[16] = {0};

	for (unsigned bit = 0; bit < p->len; bit++)
		mask[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	nft_put_load(r.nlh, NFT_PAYLOAD_NETWORK_HEADER, offset, len);
	put_mask(r.nlh, mask, len);
	nft_put_equals(r.nlh, p->bytes, len);
	put_accept(r.nlh);
	close_rule(b, r);
}

/* To so many queues; owner: only what is its, NULL: all that still comes. */
static void put_queue_rule(struct batch *b, uint16_t first, uint16_t total,
			   const struct split *owner)
{
	struct rule r = open_rule(b);
	uint8_t protocol = IPPROTO_TCP;
	uint16_t port = htons(b->g->port);

	nft_put_load_meta(r.nlh, NFT_META_L4PROTO);
	nft_put_equals(r.nlh, &protocol, sizeof(protocol));
	nft_put_load(r.nlh, NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof(port));
	nft_put_equals(r.nlh, &port, sizeof(port));
	if (owner)
		put_owner(r.nlh, owner);
	if (b->g->by == NFT_QUEUE_NATIVE)
		put_queue(r.nlh, first, total);
	else
		put_xt_queue(r.nlh, first, total);
	close_rule(b, r);
}

/* By port the last rule is for the first queue, and has no condition: whatever
 * the others do not take is queued. */
static void put_queue_rules(struct batch *b)
{
	uint16_t first = b->g->queue_num;
	struct split owner = {.count = 1u + b->g->more_queues, .index = 1};

	if (!b->g->by_port) {
		put_queue_rule(b, first, (uint16_t)owner.count, NULL);
		return;
	}
	for (; owner.index < owner.count; owner.index++)
		put_queue_rule(b, (uint16_t)(first + owner.index), 1, &owner);
	put_queue_rule(b, first, 1, NULL);
}

/* A table cannot be deleted that is not there: made first, it is. */
static void put_deletion(struct batch *b)
{
	put_table(b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_ACK);
	put_table(b, NFT_MSG_DELTABLE, 0);
}

size_t nft_guard_replace(void *buf, const struct nft_guard *g,
			 uint32_t generation, uint32_t seq)
{
	struct batch b = {.buf = buf, .g = g, .seq = seq};

	put_edge(&b, NFNL_MSG_BATCH_BEGIN, &generation);
	put_deletion(&b);
	put_table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	put_chain(&b);
	for (size_t i = 0; i < g->passlist_count; i++)
		put_pass_rule(&b, &g->passlist[i]);
	put_queue_rules(&b);
	put_edge(&b, NFNL_MSG_BATCH_END, NULL);
	return b.len;
}

size_t nft_guard_delete(void *buf, const struct nft_guard *g, uint32_t seq)
{
	struct batch b = {.buf = buf, .g = g, .seq = seq};

	put_edge(&b, NFNL_MSG_BATCH_BEGIN, NULL);
	put_deletion(&b);
	put_edge(&b, NFNL_MSG_BATCH_END, NULL);
	return b.len;
}

/* ---- questions ---- */

struct nlmsghdr *nft_ask(void *buf, const struct nft_guard *g,
			 enum nft_question what, uint32_t seq)
{
	static const uint16_t types[NFT_QUESTIONS] = {
		[NFT_ASK_GENERATION] = NFT_MSG_GETGEN,
		[NFT_ASK_TABLE] = NFT_MSG_GETTABLE,
		[NFT_ASK_CHAIN] = NFT_MSG_GETCHAIN,
		[NFT_ASK_RULES] = NFT_MSG_GETRULE,
	};
	struct batch b = {.buf = buf, .g = g, .seq = seq};
	struct nlmsghdr *nlh =
		open_message(&b, types[what],
			     what == NFT_ASK_RULES ? NLM_F_DUMP : NLM_F_ACK);

	if (what == NFT_ASK_TABLE) {
		mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, g->table);
	} else if (what == NFT_ASK_CHAIN) {
		mnl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, g->table);
		mnl_attr_put_strz(nlh, NFTA_CHAIN_NAME, NFT_CHAIN_NAME);
	} else if (what == NFT_ASK_RULES) {
		mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, g->table);
		mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, NFT_CHAIN_NAME);
	}
	return nlh;
}

bool nft_generation(const struct nlmsghdr *nlh, uint32_t *out)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) != NFTA_GEN_ID ||
		    mnl_attr_validate(attr, MNL_TYPE_U32) < 0)
			continue;
		*out = ntohl(mnl_attr_get_u32(attr));
		return true;
	}
	return false;
}
