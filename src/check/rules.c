// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A chain is walked rule by rule. Of a rule's conditions those on protocol,
 * ports, loopback and destination are understood; any other makes it one that
 * is for some packets only. So the answer errs to the side of "may".
 */
#include "check/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/opts.h"

#define WORDS_MAX 64
#define DEPTH_MAX 16
/* Rules looked at in a table: chains that jump to each other twice and more
 * have ways without number. */
#define LOOKS_MAX 1000000u

struct rule {
	const char *table, *chain;
	const char *text;
	char *words[WORDS_MAX]; /* of the text behind "-A CHAIN" */
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

/* ---- reading ---- */

/* Cuts a line in place; a quoted word loses its quotes. */
static unsigned cut(char *at, char **words)
{
	unsigned count = 0;

	while (count < WORDS_MAX) {
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
	char *words[WORDS_MAX];
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
	char *words[WORDS_MAX];

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

/* ---- one rule ---- */

static bool is_any_of(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(word, *list))
			return true;
	return false;
}

enum match { MATCH_NO, MATCH_SOME, MATCH_ALL };

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

	return is_any_of(value, plain) ? MATCH_ALL : MATCH_SOME;
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

/* Of all conditions together; *at is where the target stands. */
static enum match match_rule(const struct rule *rule,
			     const struct rules_packet *p, unsigned *at)
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

static const char *word_behind(const struct rule *rule, unsigned at,
			       const char *name)
{
	for (; at < rule->count; at++)
		if (!strcmp(rule->words[at], name))
			return at + 1 < rule->count ? rule->words[at + 1] : "";
	return NULL;
}

static bool has_word(const struct rule *rule, const char *name)
{
	return word_behind(rule, 0, name);
}

static bool is_our_queue(const struct rule *rule, uint16_t num)
{
	const char *one = word_behind(rule, 0, "--queue-num");
	const char *many = word_behind(rule, 0, "--queue-balance");
	int first = 0, last = 0;

	if (many) {
		return sscanf(many, "%d:%d", &first, &last) == 2 &&
		       num >= first && num <= last;
	}
	return (one ? atoi(one) : 0) == num;
}

/* ---- chains ---- */

enum outcome { GO_ON, LEFT_TABLE, DECIDED };

struct walk {
	const struct rules *r;
	const struct rules_packet *p;
	struct rules_answer *out;
	const char *table;
	/* Of this table: a rule that may let packets go. */
	const struct rule *let_go;
	bool some; /* a jump on the way here was for some packets only */
	unsigned looks;
};

static enum outcome walk_chain(struct walk *w, const char *chain, int depth);

static enum outcome decide(struct walk *w, const struct rule *rule,
			   enum match m, enum rules_fate fate)
{
	struct rules_answer *out = w->out;

	out->fate = fate;
	out->some = m == MATCH_SOME || w->some;
	out->bypass = has_word(rule, "--queue-bypass");
	snprintf(out->rule, sizeof(out->rule), "%s", rule->text);
	snprintf(out->table, sizeof(out->table), "%s", w->table);
	if (w->let_go)
		snprintf(out->before, sizeof(out->before), "%s",
			 w->let_go->text);
	return DECIDED;
}

/* What is for some packets only and does not concern the queue is passed over,
 * but remembered if it lets them go. */
static enum outcome take_let_go(struct walk *w, const struct rule *rule,
				enum match m)
{
	if (!w->let_go)
		w->let_go = rule;
	return m == MATCH_ALL && !w->some ? LEFT_TABLE : GO_ON;
}

static enum outcome take_queue(struct walk *w, const struct rule *rule,
			       enum match m)
{
	if (is_our_queue(rule, w->p->queue_num))
		return decide(w, rule, m, RULES_QUEUED);
	/* Whoever reads the other queue may let packets go, too. */
	if (m == MATCH_SOME || w->some)
		return take_let_go(w, rule, m);
	return decide(w, rule, m, RULES_OTHER_QUEUE);
}

/* "-m conntrack --ctstate INVALID -j DROP" */
static void note_invalid(struct walk *w, const struct rule *rule)
{
	const char *states = word_behind(rule, 0, "--ctstate");
	struct rules_answer *out = w->out;

	if (!states)
		states = word_behind(rule, 0, "--state");
	if (states && strstr(states, "INVALID") && !out->untracked)
		snprintf(out->invalid, sizeof(out->invalid), "%s", rule->text);
}

static enum outcome take_drop(struct walk *w, const struct rule *rule,
			      enum match m)
{
	if (m == MATCH_ALL && !w->some)
		return decide(w, rule, m, RULES_DROPPED);
	note_invalid(w, rule);
	return GO_ON;
}

static enum outcome jump(struct walk *w, const char *chain, enum match m,
			 int depth)
{
	bool before = w->some;
	enum outcome what;

	w->some |= m == MATCH_SOME;
	what = walk_chain(w, chain, depth + 1);
	w->some = before;
	return what;
}

static enum outcome take_target(struct walk *w, const struct rule *rule,
				unsigned at, enum match m, int depth)
{
	static const char *const drops[] = {"DROP", "REJECT", NULL};
	static const char *const changes[] = {"MASQUERADE", "SNAT", "NETMAP",
					      NULL};
	const char *target = at + 1 < rule->count ? rule->words[at + 1] : "";

	if (!strcmp(target, "NFQUEUE"))
		return take_queue(w, rule, m);
	if (is_any_of(target, drops))
		return take_drop(w, rule, m);
	if (is_any_of(target, changes))
		return m == MATCH_ALL && !w->some && !w->out->untracked
			       ? decide(w, rule, m, RULES_ADDRESS_CHANGED)
			       : GO_ON;
	if (!strcmp(target, "CT") && has_word(rule, "--notrack"))
		w->out->untracked |= m == MATCH_ALL && !w->some;
	if (!strcmp(target, "ACCEPT") || !strcmp(target, "RETURN"))
		return take_let_go(w, rule, m);
	return jump(w, target, m, depth);
}

static bool leaves_chain(const struct rule *rule, unsigned at, enum match m)
{
	return m == MATCH_ALL && at + 1 < rule->count &&
	       !strcmp(rule->words[at + 1], "RETURN");
}

static enum outcome walk_chain(struct walk *w, const char *chain, int depth)
{
	for (size_t i = 0; depth < DEPTH_MAX && i < w->r->count; i++) {
		const struct rule *rule = &w->r->rules[i];
		enum outcome what = GO_ON;
		enum match m;
		unsigned at;

		if (w->looks++ >= LOOKS_MAX)
			return GO_ON;
		if (strcmp(rule->table, w->table) || strcmp(rule->chain, chain))
			continue;
		m = match_rule(rule, w->p, &at);
		if (m != MATCH_NO && depth > 0 && leaves_chain(rule, at, m))
			return GO_ON;
		if (m != MATCH_NO)
			what = take_target(w, rule, at, m, depth);
		if (what != GO_ON)
			return what;
	}
	return GO_ON;
}

static bool policy_drops(const struct walk *w, const char *chain)
{
	for (size_t i = 0; i < w->r->policy_count; i++) {
		const struct policy *p = &w->r->policies[i];

		if (!strcmp(p->table, w->table) && !strcmp(p->chain, chain))
			return p->drops;
	}
	return false;
}

void rules_walk(const struct rules *r, const struct rules_place *places,
		size_t count, const struct rules_packet *packet,
		struct rules_answer *out)
{
	*out = (struct rules_answer){.fate = RULES_THROUGH};
	for (size_t i = 0; i < count; i++) {
		struct walk w = {.r = r,
				 .p = packet,
				 .out = out,
				 .table = places[i].table};
		enum outcome what = walk_chain(&w, places[i].chain, 0);

		if (what == DECIDED)
			return;
		if (what == LEFT_TABLE || !policy_drops(&w, places[i].chain))
			continue;
		out->fate = RULES_DROPPED;
		/* Some of its rules may let packets go. */
		out->some = w.let_go;
		snprintf(out->table, sizeof(out->table), "%s", places[i].table);
		snprintf(out->rule, sizeof(out->rule), "-P %s DROP",
			 places[i].chain);
		return;
	}
}

static size_t add_port(uint16_t *ports, size_t count, size_t max, uint16_t port)
{
	for (size_t i = 0; i < count; i++)
		if (ports[i] == port)
			return count;
	if (count < max)
		ports[count++] = port;
	return count;
}

/* The chain behind a jump has the port in the rule that jumps there. */
static const char *port_of(const struct rules *r, const struct rule *rule)
{
	const char *port = word_behind(rule, 0, "--sport");

	for (size_t i = 0; !port && i < r->count; i++) {
		const char *to = word_behind(&r->rules[i], 0, "-j");

		if (to && !strcmp(to, rule->chain))
			port = word_behind(&r->rules[i], 0, "--sport");
	}
	return port ? port : word_behind(rule, 0, "--sports");
}

size_t rules_ports(const struct rules *r, uint16_t queue_num, uint16_t *ports,
		   size_t max)
{
	char item[OPTS_ITEM_MAX];
	size_t count = 0;

	for (size_t i = 0; i < r->count; i++) {
		const struct rule *rule = &r->rules[i];
		const char *to = word_behind(rule, 0, "-j"), *list;

		if (!to || strcmp(to, "NFQUEUE") ||
		    !is_our_queue(rule, queue_num) ||
		    !strcmp(rule->chain, "INPUT"))
			continue;
		list = port_of(r, rule);
		if (!list)
			count = add_port(ports, count, max, 0);
		while (list && opts_item(&list, item, sizeof(item)) > 0)
			count = add_port(ports, count, max,
					 (uint16_t)atoi(item));
	}
	return count;
}
