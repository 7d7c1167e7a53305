/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What becomes of a packet in the tables of iptables, as far as that can be
 * read off what iptables-save(8) prints. No kernel, no processes in here.
 */
#ifndef CHECK_RULES_H
#define CHECK_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/addr.h"

/* One flavour and family: its rules, in order. */
struct rules;

/* text, which is copied: all that was printed. NULL: no memory. */
struct rules *rules_parse(const char *text);
void rules_free(struct rules *r);

/* Which packets are meant; what is 0 or NULL may be anything. */
struct rules_packet {
	uint16_t sport, dport;
	const struct ip_addr *dst;
	const char *device; /* by which it leaves */
	/* Destinations that rules may treat in another way. */
	const struct addr_prefix *exempt;
	size_t exempt_count;
	uint16_t queue_num;   /* ours, */
	uint16_t more_queues; /* and behind it (nft.h looks at them) */
};

enum rules_fate {
	RULES_THROUGH, /* nothing happens to it */
	RULES_QUEUED,  /* goes to our queue */
	RULES_OTHER_QUEUE,
	RULES_DROPPED,
	RULES_ADDRESS_CHANGED /* MASQUERADE and the like */
};

struct rules_answer {
	enum rules_fate fate;
	bool some;   /* the rule is for some of the packets only */
	bool bypass; /* the rule has --queue-bypass */
	/* If it is queued: of the rule. */
	uint16_t first_queue, last_queue;
	bool untracked; /* a rule has kept it from the connection tracker */
	char rule[256]; /* that decides, in iptables' words */
	char table[16];
	/* What may let packets go before that rule sees them, or "". If nothing
	 * happens to them: what lets all go before a rule for the queue. */
	char before[256];
	/* What drops packets of connections that the tracker does not know. */
	char invalid[256];
};

struct rules_place {
	const char *table, *chain;
};

/* The way through these chains, in this order. */
void rules_walk(const struct rules *r, const struct rules_place *places,
		size_t count, const struct rules_packet *packet,
		struct rules_answer *out);

/* Source ports of rules for our queue, at most max of them; 0 stands for all
 * ports. Returns how many. */
size_t rules_ports(const struct rules *r, uint16_t queue_num, uint16_t *ports,
		   size_t max);

#endif
