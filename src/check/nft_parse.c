// SPDX-License-Identifier: BSD-2-Clause
/* What `nft list ruleset` prints, cut into words and those into rules. */
#include <stdlib.h>
#include <string.h>

#include "check/nft_internal.h"

/* ---- words ---- */

static char line_end[] = "\n", stop[] = ";", open_brace[] = "{",
	    close_brace[] = "}";

static char *sign_of(char c)
{
	switch (c) {
	case '\n':
		return line_end;
	case ';':
		return stop;
	case '{':
		return open_brace;
	case '}':
		return close_brace;
	default:
		return NULL;
	}
}

static bool add_word(struct nft *n, char *word)
{
	if (n->word_count == n->word_room) {
		size_t room = 2 * n->word_room + 256;
		char **more = reallocarray(n->words, room, sizeof(*more));

		if (!more)
			return false;
		n->words = more;
		n->word_room = room;
	}
	n->words[n->word_count++] = word;
	return true;
}

/* Past the word that begins here. */
static char *skip_word(char *at)
{
	if (*at != '"')
		return at + strcspn(at, " \t,\n;{}");
	at += 1 + strcspn(at + 1, "\"");
	if (*at)
		*at++ = '\0';
	return at;
}

static bool cut_words(struct nft *n)
{
	char *at = n->cut;
	bool ok = true;

	while (*at && ok) {
		char *sign = sign_of(*at);

		if (sign) {
			*at++ = '\0';
			ok = add_word(n, sign);
		} else if (*at == ' ' || *at == '\t' || *at == ',') {
			*at++ = '\0';
		} else if (*at == '#') {
			at += strcspn(at, "\n");
		} else {
			ok = add_word(n, at);
			at = skip_word(at);
		}
	}
	return ok;
}

/* ---- blocks ---- */

struct reader {
	struct nft *n;
	size_t at;
	const char *family, *table;
	bool dormant;
};

static const char *word(const struct reader *r, size_t ahead)
{
	return r->at + ahead < r->n->word_count ? r->n->words[r->at + ahead]
						: "";
}

static bool is_over(const struct reader *r)
{
	return r->at >= r->n->word_count;
}

static bool is_word(const struct reader *r, size_t ahead, const char *wanted)
{
	return !strcmp(word(r, ahead), wanted);
}

/* To the end of the line on which no brace is open any more, or before the one
 * that closes the block. */
static void skip_line(struct reader *r)
{
	int depth = 0;

	for (; !is_over(r); r->at++) {
		if (is_word(r, 0, open_brace))
			depth++;
		if (depth == 0 &&
		    (is_word(r, 0, line_end) || is_word(r, 0, close_brace)))
			return;
		if (is_word(r, 0, close_brace))
			depth--;
	}
}

/* "type filter hook output priority 0; policy drop;" */
static void take_hook(struct reader *r, struct nft_chain *chain)
{
	for (; !is_over(r) && !is_word(r, 0, line_end) &&
	       !is_word(r, 0, close_brace);
	     r->at++) {
		if (is_word(r, 0, "type"))
			chain->type = word(r, 1);
		else if (is_word(r, 0, "hook") && !r->dormant)
			chain->hook = word(r, 1);
		else if (is_word(r, 0, "policy"))
			chain->drops = is_word(r, 1, "drop");
	}
}

static void take_rule(struct reader *r)
{
	struct nft *n = r->n;
	struct nft_rule *rule = &n->rules[n->rule_count++];
	size_t first = r->at;

	skip_line(r);
	*rule = (struct nft_rule){.chain = (unsigned)n->chain_count - 1,
				  .words = &n->words[first],
				  .count = (unsigned)(r->at - first)};
}

/* Behind the brace that opens it. */
static void take_chain(struct reader *r, const char *name)
{
	struct nft_chain *chain = &r->n->chains[r->n->chain_count++];

	*chain = (struct nft_chain){.family = r->family,
				    .table = r->table,
				    .name = name,
				    .first_rule = r->n->rule_count};
	while (!is_over(r) && !is_word(r, 0, close_brace)) {
		if (is_word(r, 0, line_end) || is_word(r, 0, stop))
			r->at++;
		else if (is_word(r, 0, "type") && is_word(r, 2, "hook"))
			take_hook(r, chain);
		else
			take_rule(r);
	}
	chain->rule_count = r->n->rule_count - chain->first_rule;
	r->at++;
}

static void take_table(struct reader *r)
{
	r->dormant = false;
	while (!is_over(r) && !is_word(r, 0, close_brace)) {
		if (is_word(r, 0, "chain") && is_word(r, 2, open_brace)) {
			const char *name = word(r, 1);

			r->at += 3;
			take_chain(r, name);
			continue;
		}
		r->dormant |=
			is_word(r, 0, "flags") && is_word(r, 1, "dormant");
		skip_line(r);
		if (is_word(r, 0, line_end))
			r->at++;
	}
	r->at++;
}

static void take_tables(struct reader *r)
{
	while (!is_over(r)) {
		if (!is_word(r, 0, "table") || !is_word(r, 3, open_brace)) {
			r->at++;
			continue;
		}
		r->family = word(r, 1);
		r->table = word(r, 2);
		r->at += 4;
		take_table(r);
	}
}

struct nft *nft_parse(const char *text)
{
	struct nft *n = calloc(1, sizeof(*n));
	struct reader r = {.n = n};

	if (!n)
		return NULL;
	n->text = strdup(text);
	n->cut = strdup(text);
	if (n->text && n->cut && cut_words(n)) {
		/* Neither has more than there are words. */
		n->chains = calloc(n->word_count + 1, sizeof(*n->chains));
		n->rules = calloc(n->word_count + 1, sizeof(*n->rules));
	}
	if (!n->chains || !n->rules) {
		nft_free(n);
		return NULL;
	}
	take_tables(&r);
	return n;
}

void nft_free(struct nft *n)
{
	if (!n)
		return;
	free(n->text);
	free(n->cut);
	free(n->words);
	free(n->chains);
	free(n->rules);
	free(n);
}
