// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A chain is walked rule by rule. A rule whose conditions are not all
 * understood (rules_match.c) is one for some packets only, so the answer errs
 * to the side of "may".
 */
#include "check/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/opts.h"
#include "check/rules_internal.h"

#define DEPTH_MAX 16
/* Rules looked at in a table: chains that jump to each other twice and more
 * have ways without number. */
#define LOOKS_MAX 1000000u

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
	out->bypass = rule_word_behind(rule, "--queue-bypass");
	rule_queues(rule, &out->first_queue, &out->last_queue);
	snprintf(out->rule, sizeof(out->rule), "%s", rule->text);
	snprintf(out->table, sizeof(out->table), "%s", w->table);
	snprintf(out->before, sizeof(out->before), "%s",
		 w->let_go ? w->let_go->text : "");
	return DECIDED;
}

/* It lets all packets go; a rule for the queue behind it is in vain. */
static void note_in_vain(struct walk *w, const struct rule *rule)
{
	for (size_t i = (size_t)(rule - w->r->rules); i < w->r->count; i++) {
		const struct rule *later = &w->r->rules[i];
		const char *to = rule_word_behind(later, "-j");

		if (!to || strcmp(to, "NFQUEUE") ||
		    strcmp(later->table, w->table) ||
		    !rule_is_for_queue(later, w->p->queue_num))
			continue;
		snprintf(w->out->before, sizeof(w->out->before), "%s",
			 rule->text);
		snprintf(w->out->table, sizeof(w->out->table), "%s", w->table);
		return;
	}
}

/* What is for some packets only and does not concern the queue is passed over,
 * but remembered if it lets them go. */
static enum outcome take_let_go(struct walk *w, const struct rule *rule,
				enum match m)
{
	if (!w->let_go)
		w->let_go = rule;
	if (m != MATCH_ALL || w->some)
		return GO_ON;
	note_in_vain(w, rule);
	return LEFT_TABLE;
}

static enum outcome take_queue(struct walk *w, const struct rule *rule,
			       enum match m)
{
	if (rule_is_for_queue(rule, w->p->queue_num))
		return decide(w, rule, m, RULES_QUEUED);
	/* Whoever reads the other queue may let packets go, too. */
	if (m == MATCH_SOME || w->some)
		return take_let_go(w, rule, m);
	return decide(w, rule, m, RULES_OTHER_QUEUE);
}

/* "-m conntrack --ctstate INVALID -j DROP" */
static void note_invalid(struct walk *w, const struct rule *rule)
{
	const char *states = rule_word_behind(rule, "--ctstate");
	struct rules_answer *out = w->out;

	if (!states)
		states = rule_word_behind(rule, "--state");
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
	if (rule_is_any_of(target, drops))
		return take_drop(w, rule, m);
	if (rule_is_any_of(target, changes))
		return m == MATCH_ALL && !w->some && !w->out->untracked
			       ? decide(w, rule, m, RULES_ADDRESS_CHANGED)
			       : GO_ON;
	if (!strcmp(target, "CT") && rule_word_behind(rule, "--notrack"))
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
		m = rule_match(rule, w->p, &at);
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
	const char *port = rule_word_behind(rule, "--sport");

	for (size_t i = 0; !port && i < r->count; i++) {
		const char *to = rule_word_behind(&r->rules[i], "-j");

		if (to && !strcmp(to, rule->chain))
			port = rule_word_behind(&r->rules[i], "--sport");
	}
	return port ? port : rule_word_behind(rule, "--sports");
}

size_t rules_ports(const struct rules *r, uint16_t queue_num, uint16_t *ports,
		   size_t max)
{
	char item[OPTS_ITEM_MAX];
	size_t count = 0;

	for (size_t i = 0; i < r->count; i++) {
		const struct rule *rule = &r->rules[i];
		const char *to = rule_word_behind(rule, "-j"), *list;

		if (!to || strcmp(to, "NFQUEUE") ||
		    !rule_is_for_queue(rule, queue_num) ||
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
