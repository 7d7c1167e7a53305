/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by rules*.c only. */
#ifndef CHECK_RULES_INTERNAL_H
#define CHECK_RULES_INTERNAL_H

#include "check/rules.h"

#define RULE_WORDS_MAX 64

struct rule {
	const char *table, *chain;
	const char *text;
	char *words[RULE_WORDS_MAX]; /* of the text behind "-A CHAIN" */
	unsigned count;
};

struct policy {
	const char *table, *chain;
	bool drops;
};

struct rules {
	char *text, *split; /* split: the same, cut into words */
	struct rule *rules;
	size_t count;
	struct policy *policies;
	size_t policy_count;
};

/* rules_match.c */

enum match { MATCH_NO, MATCH_SOME, MATCH_ALL };

/* Whether a rule is for these packets, by all of its conditions together; *at
 * is where its target stands. */
enum match rule_match(const struct rule *rule, const struct rules_packet *p,
		      unsigned *at);
/* Whether list, which ends in NULL, has the word. */
bool rule_is_any_of(const char *word, const char *const *list);
/* What stands behind a word, "" if that is the last one; NULL: it has none
 * such. */
const char *rule_word_behind(const struct rule *rule, const char *name);
/* Of a rule that leads to some queue. */
/* The first is above the last: of none. */
void rule_queues(const struct rule *rule, uint16_t *first, uint16_t *last);
bool rule_is_for_queue(const struct rule *rule, uint16_t num);

#endif
