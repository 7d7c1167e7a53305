// SPDX-License-Identifier: BSD-2-Clause
/*
 * Of a rule's conditions those on protocol, family, ports, the device lo and
 * destination are understood; any other makes it one that is for some packets
 * only.
 */
#include <stdlib.h>
#include <string.h>

#include "base/opts.h"
#include "check/nft_internal.h"

/* What a condition is compared with: one value, or those in braces. */
struct values {
	unsigned first, count;
	bool inverted;
	bool unknown;
};

const char *nft_word(const struct nft_rule *rule, unsigned at)
{
	return at < rule->count ? rule->words[at] : "";
}

static bool is_any_of(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(word, *list))
			return true;
	return false;
}

bool nft_range(const char *word, unsigned *first, unsigned *last)
{
	char *end;

	if (*word < '0' || *word > '9')
		return false;
	*first = *last = (unsigned)strtoul(word, &end, 0);
	if (*end == '-')
		*last = (unsigned)strtoul(end + 1, &end, 0);
	return !*end;
}

/* From at on; returns what comes behind them. */
static unsigned take_values(const struct nft_rule *rule, unsigned at,
			    struct values *v)
{
	/* A named set, a concatenation, a map, a mask. */
	static const char *const others[] = {".", "vmap", "map", "and",
					     "&", "",	  NULL};

	*v = (struct values){.inverted = !strcmp(nft_word(rule, at), "!=")};
	at += v->inverted;
	v->first = at;
	v->count = 1;
	if (nft_word(rule, at)[0] == '@') {
		v->unknown = true;
	} else if (is_any_of(nft_word(rule, at), others)) {
		v->unknown = true;
		return at;
	} else if (!strcmp(nft_word(rule, at), "{")) {
		v->first = ++at;
		while (at < rule->count && strcmp(rule->words[at], "}"))
			at++;
		v->count = at - v->first;
	}
	return at + 1;
}

static enum nft_match not_if(bool inverted, enum nft_match m)
{
	if (!inverted || m == NFT_SOME)
		return m;
	return m == NFT_ALL ? NFT_NO : NFT_ALL;
}

/* ---- each kind of them: one value ---- */

typedef enum nft_match match_one(const char *word,
				 const struct rules_packet *p);

static enum nft_match match_port(const char *word, uint16_t port)
{
	unsigned first, last;

	if (port == 0 || !nft_range(word, &first, &last))
		return NFT_SOME;
	return port >= first && port <= last ? NFT_ALL : NFT_NO;
}

static enum nft_match match_sport(const char *word,
				  const struct rules_packet *p)
{
	return match_port(word, p->sport);
}

static enum nft_match match_dport(const char *word,
				  const struct rules_packet *p)
{
	return match_port(word, p->dport);
}

static enum nft_match match_protocol(const char *word,
				     const struct rules_packet *p)
{
	(void)p;
	return strcmp(word, "tcp") && strcmp(word, "6") ? NFT_NO : NFT_ALL;
}

static enum nft_match match_v4(const char *word, const struct rules_packet *p)
{
	(void)p;
	return strcmp(word, "ipv4") ? NFT_NO : NFT_ALL;
}

static enum nft_match match_v6(const char *word, const struct rules_packet *p)
{
	(void)p;
	return strcmp(word, "ipv6") ? NFT_NO : NFT_ALL;
}

static enum nft_match match_daddr(const char *word,
				  const struct rules_packet *p)
{
	struct addr_prefix prefix;
	struct opts_fault fault;

	if (!opts_prefix(word, &prefix, &fault))
		return NFT_SOME;
	for (size_t i = 0; i < p->exempt_count; i++)
		if (prefix.len >= p->exempt[i].len &&
		    addr_in_prefix(&prefix.addr, &p->exempt[i]))
			return NFT_NO;
	return NFT_SOME;
}

static enum nft_match match_device(const char *word,
				   const struct rules_packet *p)
{
	(void)p;
	return strcmp(word, "\"lo") ? NFT_SOME : NFT_NO;
}

/* ---- conditions ---- */

static enum nft_match match_values(const struct nft_rule *rule, unsigned *at,
				   match_one *one, const struct rules_packet *p)
{
	enum nft_match best = NFT_NO;
	struct values v;

	*at = take_values(rule, *at, &v);
	if (v.unknown)
		return NFT_SOME;
	for (unsigned i = 0; i < v.count; i++) {
		enum nft_match m = one(nft_word(rule, v.first + i), p);

		best = m > best ? m : best;
	}
	return not_if(v.inverted, best);
}

struct condition {
	const char *words[2];
	match_one *one;
};

static const struct condition conditions[] = {
	{{"tcp", "sport"}, match_sport},
	{{"tcp", "dport"}, match_dport},
	{{"th", "sport"}, match_sport},
	{{"th", "dport"}, match_dport},
	{{"meta", "l4proto"}, match_protocol},
	{{"ip", "protocol"}, match_protocol},
	{{"ip6", "nexthdr"}, match_protocol},
	{{"ip", "daddr"}, match_daddr},
	{{"ip6", "daddr"}, match_daddr},
	{{"oif", NULL}, match_device},
	{{"oifname", NULL}, match_device},
};

/* How many words a statement has that decides nothing; 0: it is none such. */
static unsigned idle_words(const struct nft_rule *rule, unsigned at)
{
	static const char *const of_log[] = {
		"prefix", "group", "level", "snaplen", "queue-threshold", NULL};
	unsigned count = 1;

	if (!strcmp(nft_word(rule, at), "comment"))
		return 2;
	if (!strcmp(nft_word(rule, at), "counter")) {
		if (!strcmp(nft_word(rule, at + 1), "packets"))
			return 5;
		return !strcmp(nft_word(rule, at + 1), "name") ? 3 : 1;
	}
	if (strcmp(nft_word(rule, at), "log"))
		return 0;
	while (is_any_of(nft_word(rule, at + count), of_log))
		count += 2;
	return count;
}

static bool is_other_family(const char *word, bool v4)
{
	return !strcmp(word, v4 ? "ip6" : "ip");
}

static bool is_other_protocol(const char *word)
{
	static const char *const others[] = {"udp",  "udplite", "sctp", "dccp",
					     "icmp", "icmpv6",	"igmp", "esp",
					     "ah",   NULL};

	return is_any_of(word, others);
}

/* "xt match bpf", while "xt target NFQUEUE" is a verdict. */
static bool is_xt_match(const struct nft_rule *rule, unsigned at)
{
	return !strcmp(nft_word(rule, at), "xt") &&
	       !strcmp(nft_word(rule, at + 1), "match");
}

/* The condition at *at, which comes to stand behind it. */
static enum nft_match match_here(const struct nft_rule *rule, bool v4,
				 const struct rules_packet *p, unsigned *at)
{
	const char *first = nft_word(rule, *at);
	const char *second = nft_word(rule, *at + 1);

	if (!strcmp(first, "meta") && !strcmp(second, "nfproto")) {
		*at += 2;
		return match_values(rule, at, v4 ? match_v4 : match_v6, p);
	}
	if (is_other_family(first, v4) || is_other_protocol(first)) {
		*at += 1;
		return NFT_NO;
	}
	for (size_t i = 0; i < sizeof(conditions) / sizeof(*conditions); i++) {
		const struct condition *c = &conditions[i];

		if (strcmp(first, c->words[0]) ||
		    (c->words[1] && strcmp(second, c->words[1])))
			continue;
		*at += c->words[1] ? 2 : 1;
		return match_values(rule, at, c->one, p);
	}
	*at += 1;
	return NFT_SOME;
}

enum nft_match nft_rule_match(const struct nft_rule *rule, bool v4,
			      const struct rules_packet *p, unsigned *at)
{
	static const char *const verdicts[] = {
		"accept", "drop",   "reject", "queue", "jump",
		"goto",	  "return", "vmap",   "xt",    NULL};
	enum nft_match all = NFT_ALL;

	*at = 0;
	while (*at < rule->count && (!is_any_of(rule->words[*at], verdicts) ||
				     is_xt_match(rule, *at))) {
		unsigned idle = idle_words(rule, *at);

		if (idle) {
			*at += idle;
		} else if (is_xt_match(rule, *at)) {
			*at += 3;
			all = NFT_SOME < all ? NFT_SOME : all;
		} else {
			enum nft_match m = match_here(rule, v4, p, at);

			all = m < all ? m : all;
		}
	}
	return all;
}
