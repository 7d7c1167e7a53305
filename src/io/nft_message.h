/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages for nf_tables: one transaction that puts a table of our own in the
 * place of the one that may be there, with one chain at the output hook.
 */
#ifndef IO_NFT_MESSAGE_H
#define IO_NFT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/split.h"
#include "io/guard_line.h"

struct nlmsghdr;

#define NFT_TABLE_NAME_MAX 32
#define NFT_CHAIN_NAME	   "output"

/* How the rule hands packets to the queue. */
enum nft_queue_by {
	NFT_QUEUE_NATIVE, /* nf_tables' own statement */
	NFT_QUEUE_XT	  /* iptables' target, where the kernel lacks it */
};

struct nft_guard {
	int family;
	char table[NFT_TABLE_NAME_MAX];
	uint16_t port, queue_num, more_queues;
	enum nft_queue_by by;
	bool by_port; /* of at most SPLIT_BY_PORT_MAX, the one of the port */
	const struct guard_prefix *passlist;
	size_t passlist_count;
};

/* Bytes that any of the messages below need at most. */
size_t nft_guard_bytes(size_t passlist_count);
/* The transaction; it fails with ERESTART unless the ruleset's generation is
 * still this one. Returns its length. */
size_t nft_guard_replace(void *buf, const struct nft_guard *g,
			 uint32_t generation, uint32_t seq);
size_t nft_guard_delete(void *buf, const struct nft_guard *g, uint32_t seq);

/* Questions: the generation of all rules; our table, chain, rules. */
enum nft_question {
	NFT_ASK_GENERATION,
	NFT_ASK_TABLE,
	NFT_ASK_CHAIN,
	NFT_ASK_RULES,
	NFT_QUESTIONS
};
struct nlmsghdr *nft_ask(void *buf, const struct nft_guard *g,
			 enum nft_question what, uint32_t seq);
/* Of the answer to NFT_ASK_GENERATION. */
bool nft_generation(const struct nlmsghdr *nlh, uint32_t *out);

#endif
