// SPDX-License-Identifier: BSD-2-Clause
/*
 * Of a rule's conditions those on protocol, ports, loopback and destination are
 * understood; any other makes it one that is for some packets only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/opts.h"
#include "check/rules_internal.h"

bool rule_is_any_of(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(word, *list))
			return true;
	return false;
}

static enum match not_if(bool inverted, enum match m)
{
	if (!inverted || m == MATCH_SOME)
		return m;
	return m == MATCH_ALL ? MATCH_NO : MATCH_ALL;
}

/* "80", "80:90", "80,90:95" */
static enum match match_ports(const char *list, uint16_t port)
{
	char item[OPTS_ITEM_MAX];
	int first, last;

	if (port == 0)
		return MATCH_SOME;
	while (opts_item(&list, item, sizeof(item)) > 0) {
		int n = sscanf(item, "%d:%d", &first, &last);

		if (n == 1)
			last = first;
		if (n >= 1 && port >= first && port <= last)
			return MATCH_ALL;
	}
	return MATCH_NO;
}

static bool prefix_equal(const struct addr_prefix *a,
			 const struct addr_prefix *b)
{
	return a->len == b->len && addr_equal(&a->addr, &b->addr);
}

static enum match match_dst(const char *value, const struct rules_packet *p)
{
	struct opts_fault fault;
	struct addr_prefix prefix;

	if (!opts_prefix(value, &prefix, &fault))
		return MATCH_SOME;
	for (size_t i = 0; i < p->exempt_count; i++)
		if (prefix_equal(&p->exempt[i], &prefix))
			return MATCH_NO;
	if (!p->dst)
		return MATCH_SOME;
	return addr_in_prefix(p->dst, &prefix) ? MATCH_ALL : MATCH_NO;
}

static enum match match_protocol(const char *value)
{
	bool is_tcp = !strcmp(value, "tcp") || !strcmp(value, "6") ||
		      !strcmp(value, "all");

	return is_tcp ? MATCH_ALL : MATCH_NO;
}

/* Some need no option to choose packets: rpfilter, socket. */
static enum match match_module(const char *value)
{
	static const char *const plain[] = {"tcp", "multiport", "comment",
					    NULL};

	return rule_is_any_of(value, plain) ? MATCH_ALL : MATCH_SOME;
}

static enum match match_device(const char *value, const char *device)
{
	if (device)
		return strcmp(value, device) ? MATCH_NO : MATCH_ALL;
	return strcmp(value, "lo") ? MATCH_SOME : MATCH_NO;
}

/* One condition, of which value is the word behind it; *words is how many that
 * makes. */
static enum match match_word(const char *word, const char *value,
			     const struct rules_packet *p, unsigned *words)
{
	*words = 2;
	if (!strcmp(word, "-p"))
		return match_protocol(value);
	if (!strcmp(word, "--comment"))
		return MATCH_ALL;
	if (!strcmp(word, "-m"))
		return match_module(value);
	if (!strcmp(word, "--sport") || !strcmp(word, "--sports"))
		return match_ports(value, p->sport);
	if (!strcmp(word, "--dport") || !strcmp(word, "--dports"))
		return match_ports(value, p->dport);
	if (!strcmp(word, "-d"))
		return match_dst(value, p);
	if (!strcmp(word, "-o") || !strcmp(word, "-i"))
		return match_device(value, p->device);
	*words = 1;
	return MATCH_SOME;
}

static bool is_target(const char *word)
{
	return !strcmp(word, "-j") || !strcmp(word, "-g");
}

enum match rule_match(const struct rule *rule, const struct rules_packet *p,
		      unsigned *at)
{
	enum match all = MATCH_ALL, one;
	bool inverted = false;
	unsigned words;

	for (*at = 0; *at < rule->count && !is_target(rule->words[*at]);
	     *at += words) {
		const char *word = rule->words[*at];
		const char *value =
			*at + 1 < rule->count ? rule->words[*at + 1] : "";

		words = 1;
		if (!strcmp(word, "!")) {
			inverted = true;
			continue;
		}
		if (word[0] != '-') /* the value of what we do not know */
			continue;
		one = not_if(inverted, match_word(word, value, p, &words));
		inverted = false;
		all = one < all ? one : all;
	}
	return all;
}

const char *rule_word_behind(const struct rule *rule, const char *name)
{
	for (unsigned at = 0; at < rule->count; at++)
		if (!strcmp(rule->words[at], name))
			return at + 1 < rule->count ? rule->words[at + 1] : "";
	return NULL;
}

void rule_queues(const struct rule *rule, uint16_t *first, uint16_t *last)
{
	const char *one = rule_word_behind(rule, "--queue-num");
	const char *many = rule_word_behind(rule, "--queue-balance");
	int from = one ? atoi(one) : 0, to = from;

	if (many && sscanf(many, "%d:%d", &from, &to) != 2) {
		from = 1;
		to = 0;
	}
	*first = (uint16_t)from;
	*last = (uint16_t)to;
}

bool rule_is_for_queue(const struct rule *rule, uint16_t num)
{
	uint16_t first, last;

	rule_queues(rule, &first, &last);
	return num >= first && num <= last;
}
