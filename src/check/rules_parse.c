// SPDX-License-Identifier: BSD-2-Clause
/* What iptables-save(8) prints, cut into rules. */
#include <stdlib.h>
#include <string.h>

#include "check/rules_internal.h"

/* Cuts a line in place; a quoted word loses its quotes. */
static unsigned cut(char *at, char **words)
{
	unsigned count = 0;

	while (count < RULE_WORDS_MAX) {
		char *to;
		bool quoted = false;

		at += strspn(at, " ");
		if (!*at)
			break;
		words[count++] = to = at;
		for (; *at && (quoted || *at != ' '); at++) {
			if (*at == '"')
				quoted = !quoted;
			else if (*at == '\\' && at[1])
				*to++ = *++at;
			else
				*to++ = *at;
		}
		if (*at)
			at++;
		*to = '\0';
	}
	return count;
}

static void take_rule(struct rules *r, const char *table, const char *text,
		      char *line)
{
	char *words[RULE_WORDS_MAX];
	unsigned count = cut(line, words);
	struct rule *rule = &r->rules[r->count];

	if (count < 2)
		return;
	*rule = (struct rule){.table = table, .chain = words[1], .text = text};
	rule->count = count - 2;
	memcpy(rule->words, words + 2, rule->count * sizeof(words[0]));
	r->count++;
}

/* ":OUTPUT DROP [0:0]" */
static void take_policy(struct rules *r, const char *table, char *line)
{
	char *words[RULE_WORDS_MAX];

	if (cut(line + 1, words) < 2)
		return;
	r->policies[r->policy_count++] =
		(struct policy){.table = table,
				.chain = words[0],
				.drops = !strcmp(words[1], "DROP")};
}

static size_t lines_of(const char *text)
{
	size_t count = 1;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

static void take_lines(struct rules *r)
{
	const char *table = "";
	char *whole = r->text, *cut_up = r->split, *line, *text;

	while ((line = strsep(&cut_up, "\n"))) {
		text = strsep(&whole, "\n");
		if (line[0] == '*')
			table = line + 1;
		else if (line[0] == ':')
			take_policy(r, table, line);
		else if (!strncmp(line, "-A ", 3))
			take_rule(r, table, text, line);
	}
}

struct rules *rules_parse(const char *text)
{
	struct rules *r = calloc(1, sizeof(*r));
	size_t lines = lines_of(text);

	if (!r)
		return NULL;
	r->text = strdup(text);
	r->split = strdup(text);
	r->rules = calloc(lines, sizeof(*r->rules));
	r->policies = calloc(lines, sizeof(*r->policies));
	if (!r->text || !r->split || !r->rules || !r->policies) {
		rules_free(r);
		return NULL;
	}
	take_lines(r);
	return r;
}

void rules_free(struct rules *r)
{
	if (!r)
		return;
	free(r->text);
	free(r->split);
	free(r->rules);
	free(r->policies);
	free(r);
}
