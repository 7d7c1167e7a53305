/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What becomes of a port's answers in the tables of native nftables, as far as
 * that can be read off what `nft list ruleset` prints. Tables that iptables-nft
 * keeps are left to rules.h. No kernel, no processes in here.
 */
#ifndef CHECK_NFT_H
#define CHECK_NFT_H

#include "check/rules.h"

struct nft;

/* text, which is copied: all that was printed. NULL: no memory. */
struct nft *nft_parse(const char *text);
void nft_free(struct nft *n);

enum nft_fate {
	NFT_NO_RULE,
	NFT_QUEUED,	 /* all go to our queues */
	NFT_SOME_QUEUED, /* some may */
	NFT_BYPASS,	 /* only as long as somebody listens there */
	NFT_LET_OUT,	 /* the queue's rule comes behind one that lets out */
	NFT_OTHER_QUEUE,
	NFT_DROPPED,
	NFT_UNCLEAR /* a rule that we cannot read may decide */
};

struct nft_answer {
	enum nft_fate fate;
	bool queue;			  /* a rule for our queue was met, */
	unsigned first_queue, last_queue; /* and these are its queues */
	char rule[256];			  /* that decides, in nft's words */
	char table[64];
};

/* The way of what answer says (sport, exempt, queues) through all chains of
 * the hook output. */
void nft_walk(const struct nft *n, bool v4, const struct rules_packet *answer,
	      struct nft_answer *out);

/* Source ports for which there is a queue of ours, at most max; 0 stands for
 * all. Returns how many. */
size_t nft_ports(const struct nft *n, uint16_t queue_num, uint16_t *ports,
		 size_t max);

#endif
