// SPDX-License-Identifier: BSD-2-Clause
#include "io/nft_expression.h"

#include <arpa/inet.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

struct nlmsghdr *nft_put_header(void *at, uint16_t type, uint16_t flags,
				uint8_t family, uint16_t res_id, uint32_t seq)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(at);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = seq;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(res_id);
	return nlh;
}

struct nft_expression nft_open_expression(struct nlmsghdr *nlh,
					  const char *name)
{
	struct nft_expression e;

	e.element = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	mnl_attr_put_strz(nlh, NFTA_EXPR_NAME, name);
	e.data = mnl_attr_nest_start(nlh, NFTA_EXPR_DATA);
	return e;
}

void nft_close_expression(struct nlmsghdr *nlh, struct nft_expression e)
{
	mnl_attr_nest_end(nlh, e.data);
	mnl_attr_nest_end(nlh, e.element);
}

void nft_put_value(struct nlmsghdr *nlh, uint16_t type, const void *value,
		   size_t len)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, type);

	mnl_attr_put(nlh, NFTA_DATA_VALUE, len, value);
	mnl_attr_nest_end(nlh, nest);
}

void nft_put_equals(struct nlmsghdr *nlh, const void *value, size_t len)
{
	struct nft_expression e = nft_open_expression(nlh, "cmp");

	mnl_attr_put_u32(nlh, NFTA_CMP_SREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(nlh, NFTA_CMP_OP, htonl(NFT_CMP_EQ));
	nft_put_value(nlh, NFTA_CMP_DATA, value, len);
	nft_close_expression(nlh, e);
}

void nft_put_load(struct nlmsghdr *nlh, uint32_t base, uint32_t offset,
		  uint32_t len)
{
	struct nft_expression e = nft_open_expression(nlh, "payload");

	mnl_attr_put_u32(nlh, NFTA_PAYLOAD_DREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(nlh, NFTA_PAYLOAD_BASE, htonl(base));
	mnl_attr_put_u32(nlh, NFTA_PAYLOAD_OFFSET, htonl(offset));
	mnl_attr_put_u32(nlh, NFTA_PAYLOAD_LEN, htonl(len));
	nft_close_expression(nlh, e);
}

void nft_put_load_meta(struct nlmsghdr *nlh, uint32_t key)
{
	struct nft_expression e = nft_open_expression(nlh, "meta");

	mnl_attr_put_u32(nlh, NFTA_META_DREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(nlh, NFTA_META_KEY, htonl(key));
	nft_close_expression(nlh, e);
}
