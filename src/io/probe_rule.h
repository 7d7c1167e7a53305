/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel tells of a rule of nf_tables that counts packets. */
#ifndef IO_PROBE_RULE_H
#define IO_PROBE_RULE_H

#include <stdbool.h>
#include <stdint.h>

struct nlmsghdr;

struct probe_rule {
	const char *table, *chain; /* in the message; "": not told */
	uint32_t packets;	   /* of its first counter */
};

/* false: it is no rule. */
bool probe_rule_parse(struct probe_rule *out, const struct nlmsghdr *nlh);

#endif
