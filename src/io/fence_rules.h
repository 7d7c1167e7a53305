/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The routing rules of a fence among all of a host's: which there should be,
 * which there are; and its route. No kernel in here.
 */
#ifndef IO_FENCE_RULES_H
#define IO_FENCE_RULES_H

#include "io/guard_line.h"

struct nlmsghdr;

/* Marks our rules and routes ("protocol" in ip-rule(8)). */
#define FENCE_PROTOCOL 116
/* Where the fence stands unless something is in front of it there. */
#define FENCE_PREF 1000u
/* Each port has a table with a default route into the dead end. */
#define FENCE_TABLE(port) (365240000u + (port))

/* What we need to know of a routing rule. */
struct fence_rule {
	uint32_t pref;
	uint32_t table;	 /* lookup */
	uint32_t target; /* goto */
	uint8_t action;	 /* FR_ACT_* */
	uint8_t protocol, ip_proto;
	uint8_t dst_len;
	uint8_t dst[16];
	uint16_t sport_first, sport_last;
	bool local_only; /* iif lo: only packets from this host */
	bool more;	 /* and conditions that ours never have */
};

/* And of a route. */
struct fence_route {
	uint32_t table, oif;
	bool to_everywhere; /* and it leads somewhere */
};

/* false: nothing that we can read. */
bool fence_route_parse(struct fence_route *r, const struct nlmsghdr *nlh);
bool fence_rule_parse(struct fence_rule *r, const struct nlmsghdr *nlh);
/* Adds (NLM_F_CREATE and the like in flags) or deletes it. */
struct nlmsghdr *fence_rule_message(void *buf, const struct fence_rule *r,
				    int family, uint16_t type, uint16_t flags,
				    uint32_t seq);
#define FENCE_MESSAGE_MAX 256

/* Exemptions jump from pref - 1 over the fence at pref to pref + 1. */
size_t fence_rules_count(const struct guard_line_config *cfg);
/* The i-th of those that there should be, in the order in which they are added
 * so that no packet gets out meanwhile. */
struct fence_rule fence_rules_at(const struct guard_line_config *cfg,
				 uint32_t pref, size_t i);

/* Made for this port, by us or by hand. */
bool fence_rule_is_ours(const struct fence_rule *r, uint16_t port);
bool fence_rule_equal(const struct fence_rule *a, const struct fence_rule *b);

struct fence_view {
	uint32_t pref;	   /* of our fence, 0: there is none */
	uint32_t in_front; /* pref of the first foreign rule before it */
	uint32_t first;	   /* pref of the first foreign rule of all */
	bool has_in_front;
	bool whole; /* all that there should be at pref, and no more of ours */
};

/* rules: all of the host's, in the kernel's order. */
void fence_rules_judge(struct fence_view *v, const struct fence_rule *rules,
		       size_t count, const struct guard_line_config *cfg);
/* Where a new fence goes, 0: there is no place in front of what is there. */
uint32_t fence_rules_place(const struct fence_view *v);

#endif
