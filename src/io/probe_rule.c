// SPDX-License-Identifier: BSD-2-Clause
#include "io/probe_rule.h"

#include <endian.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

static const struct nlattr *child(const struct nlattr *nest, uint16_t type)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) == type)
			return attr;
	}
	return NULL;
}

static bool is_counter(const struct nlattr *expression)
{
	const struct nlattr *name = child(expression, NFTA_EXPR_NAME);

	return name && mnl_attr_validate(name, MNL_TYPE_NUL_STRING) >= 0 &&
	       !strcmp(mnl_attr_get_str(name), "counter");
}

/* Of all rules' expressions, the counter's packets. */
static uint32_t packets_of(const struct nlattr *expressions)
{
	const struct nlattr *e, *data, *packets;
	uint64_t count;

	mnl_attr_for_each_nested(e, expressions)
	{
		if (!is_counter(e))
			continue;
		data = child(e, NFTA_EXPR_DATA);
		packets = data ? child(data, NFTA_COUNTER_PACKETS) : NULL;
		if (!packets || mnl_attr_validate(packets, MNL_TYPE_U64) < 0)
			return 0;
		count = be64toh(mnl_attr_get_u64(packets));
		return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
	}
	return 0;
}

bool probe_rule_parse(struct probe_rule *out, const struct nlmsghdr *nlh)
{
	const struct nlattr *attr, *expressions = NULL;

	*out = (struct probe_rule){.table = "", .chain = ""};
	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		uint16_t type = mnl_attr_get_type(attr);

		if (type == NFTA_RULE_EXPRESSIONS)
			expressions = attr;
		else if (mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) < 0)
			continue;
		else if (type == NFTA_RULE_CHAIN)
			out->chain = mnl_attr_get_str(attr);
		else if (type == NFTA_RULE_TABLE)
			out->table = mnl_attr_get_str(attr);
	}
	if (!expressions)
		return false;
	out->packets = packets_of(expressions);
	return true;
}
