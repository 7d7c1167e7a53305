/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by nft*.c only. */
#ifndef CHECK_NFT_INTERNAL_H
#define CHECK_NFT_INTERNAL_H

#include "check/nft.h"

struct nft_chain {
	const char *family, *table, *name;
	const char *type, *hook; /* NULL: nothing but jumps lead here */
	bool drops;		 /* its policy */
	size_t first_rule, rule_count;
};

struct nft_rule {
	unsigned chain;
	char **words; /* a quoted one has its first quote still */
	unsigned count;
};

struct nft {
	char *text, *cut; /* cut: the same, in words */
	char **words;
	size_t word_count, word_room;
	struct nft_chain *chains;
	size_t chain_count;
	struct nft_rule *rules;
	size_t rule_count;
};

/* nft_match.c */

enum nft_match { NFT_NO, NFT_SOME, NFT_ALL };

/* Whether a rule is for these packets, by all of its conditions together; *at
 * is where its verdict stands, or its word count. */
enum nft_match nft_rule_match(const struct nft_rule *rule, bool v4,
			      const struct rules_packet *p, unsigned *at);
/* The word, or "" behind the last one. */
const char *nft_word(const struct nft_rule *rule, unsigned at);
/* "80" or "80-90"; false: neither. */
bool nft_range(const char *word, unsigned *first, unsigned *last);

#endif
