// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Each chain at the hook output is walked rule by rule, with those it jumps to.
 * What one of them accepts the next still sees, so that one that queues
 * everything is enough, unless another takes the packets away: which of the two
 * comes first is not looked at. A rule whose conditions are not all understood
 * (nft_match.c) is one for some packets only; one whose verdict is not (a
 * verdict map, an extension of iptables) makes everything behind it unclear.
 */
#include "check/nft.h"

#include <stdio.h>
#include <string.h>

#include "base/count.h"
#include "check/nft_internal.h"

#define DEPTH_MAX 16
/* Rules looked at for one port, and for all of nft_ports(): chains that jump to
 * each other have ways without number. */
#define LOOKS_MAX	200000u
#define LOOKS_PORTS_MAX (4 * LOOKS_MAX)

enum outcome { GO_ON, LEFT_CHAIN, DECIDED };

struct walk {
	const struct nft *n;
	bool v4;
	const struct rules_packet *p;
	struct nft_answer *out;
	const struct nft_rule *let_go, *unclear; /* the first of them */
	const struct nft_rule *part; /* sends some to one of our queues */
	bool some;	 /* a jump on the way here was for some packets only */
	unsigned *looks; /* that are left */
};

static enum outcome walk_chain(struct walk *w, size_t chain, int depth);

/* ---- what a verdict does ---- */

/* From its first word on that is not a sign. */
static const char *text_of(const struct nft *n, const struct nft_rule *rule)
{
	unsigned at = 0;

	while (at < rule->count && strchr("\n;{}", rule->words[at][0]))
		at++;
	return at < rule->count ? n->text + (rule->words[at] - n->cut) : "";
}

static enum outcome decide(struct walk *w, const struct nft_rule *rule,
			   enum nft_fate fate)
{
	const struct nft_chain *chain = &w->n->chains[rule->chain];
	const char *text = text_of(w->n, rule);

	w->out->fate = fate;
	snprintf(w->out->rule, sizeof(w->out->rule), "%.*s",
		 (int)strcspn(text, "\n"), text);
	snprintf(w->out->table, sizeof(w->out->table), "%s %s", chain->family,
		 chain->table);
	return DECIDED;
}

static enum outcome take_let_go(struct walk *w, const struct nft_rule *rule,
				enum nft_match m)
{
	if (!w->let_go)
		w->let_go = rule;
	return m == NFT_ALL && !w->some ? LEFT_CHAIN : GO_ON;
}

static enum outcome take_unclear(struct walk *w, const struct nft_rule *rule)
{
	if (!w->unclear)
		w->unclear = rule;
	return GO_ON;
}

struct queue_said {
	unsigned first, last;
	bool bypass, unclear;
};

/* "queue num 0-3 bypass", "queue flags bypass to 0" */
static struct queue_said read_queue(const struct nft_rule *rule, unsigned at)
{
	struct queue_said q = {.first = 0};

	while (++at < rule->count && strcmp(rule->words[at], "comment")) {
		const char *word = rule->words[at];

		if (!strcmp(word, "bypass"))
			q.bypass = true;
		else if (!strcmp(word, "to") || !strcmp(word, "num"))
			q.unclear |= !nft_range(nft_word(rule, ++at), &q.first,
						&q.last);
	}
	return q;
}

/* Behind rules for some, one for the rest of them may come. */
static bool is_part(const struct walk *w, const struct queue_said *q)
{
	unsigned first = w->p->queue_num, more = w->p->more_queues;

	return more > 0 && !q->bypass && q->first >= first &&
	       q->last <= first + more;
}

static void add_queues(struct walk *w, const struct queue_said *q)
{
	struct nft_answer *out = w->out;

	if (!w->part || q->first < out->first_queue)
		out->first_queue = q->first;
	if (!w->part || q->last > out->last_queue)
		out->last_queue = q->last;
}

static enum outcome take_queue(struct walk *w, const struct nft_rule *rule,
			       unsigned at, enum nft_match m)
{
	struct queue_said q = read_queue(rule, at);
	bool some = m == NFT_SOME || w->some;

	if (q.unclear)
		return take_unclear(w, rule);
	if (some && is_part(w, &q)) {
		add_queues(w, &q);
		w->part = w->part ? w->part : rule;
		return GO_ON;
	}
	if (w->p->queue_num < q.first || w->p->queue_num > q.last)
		return some ? take_let_go(w, rule, m)
			    : decide(w, rule, NFT_OTHER_QUEUE);
	w->out->queue = true;
	add_queues(w, &q);
	if (q.bypass)
		return decide(w, rule, NFT_BYPASS);
	if (w->unclear)
		return decide(w, w->unclear, NFT_UNCLEAR);
	if (w->let_go)
		return decide(w, w->let_go, NFT_LET_OUT);
	return decide(w, rule, some ? NFT_SOME_QUEUED : NFT_QUEUED);
}

static bool same_chain(const struct nft_chain *a, const struct nft_chain *b,
		       const char *name)
{
	return !strcmp(a->family, b->family) && !strcmp(a->table, b->table) &&
	       !strcmp(b->name, name);
}

static enum outcome jump(struct walk *w, const struct nft_rule *rule,
			 unsigned at, enum nft_match m, int depth)
{
	const struct nft_chain *from = &w->n->chains[rule->chain];
	const char *name = nft_word(rule, at + 1);
	bool before = w->some, some = m == NFT_SOME;
	enum outcome what;
	size_t to = 0;

	while (to < w->n->chain_count &&
	       !same_chain(from, &w->n->chains[to], name))
		to++;
	if (to == w->n->chain_count || depth >= DEPTH_MAX)
		return take_unclear(w, rule);
	w->some |= some;
	what = walk_chain(w, to, depth + 1);
	w->some = before;
	if (what == GO_ON && !strcmp(nft_word(rule, at), "goto"))
		return take_let_go(w, rule, m);
	return what;
}

static enum outcome take_verdict(struct walk *w, const struct nft_rule *rule,
				 unsigned at, enum nft_match m, int depth)
{
	const char *verdict = nft_word(rule, at);

	if (!*verdict)
		return GO_ON;
	if (!strcmp(verdict, "queue"))
		return take_queue(w, rule, at, m);
	if (!strcmp(verdict, "drop") || !strcmp(verdict, "reject"))
		return m == NFT_ALL && !w->some ? decide(w, rule, NFT_DROPPED)
						: GO_ON;
	if (!strcmp(verdict, "accept") || !strcmp(verdict, "return"))
		return take_let_go(w, rule, m);
	if (!strcmp(verdict, "jump") || !strcmp(verdict, "goto"))
		return jump(w, rule, at, m, depth);
	return take_unclear(w, rule);
}

/* ---- chains ---- */

static enum outcome walk_chain(struct walk *w, size_t chain, int depth)
{
	const struct nft_chain *of = &w->n->chains[chain];

	for (size_t i = 0; i < of->rule_count; i++) {
		const struct nft_rule *rule = &w->n->rules[of->first_rule + i];
		enum outcome what;
		enum nft_match m;
		unsigned at;

		if (*w->looks == 0)
			return take_unclear(w, rule);
		--*w->looks;
		m = nft_rule_match(rule, w->v4, w->p, &at);
		if (m == NFT_NO)
			continue;
		if (depth > 0 && m == NFT_ALL &&
		    !strcmp(nft_word(rule, at), "return"))
			return GO_ON;
		what = take_verdict(w, rule, at, m, depth);
		if (what != GO_ON)
			return what;
	}
	return GO_ON;
}

/* iptables-save shows these. */
static bool is_of_iptables(const struct nft_chain *chain)
{
	static const char *const tables[] = {"raw", "mangle", "nat", "filter",
					     "security"};

	for (size_t i = 0; i < COUNT(tables); i++)
		if (!strcmp(chain->table, tables[i]))
			return strcmp(chain->family, "inet") &&
			       !strcmp(chain->name, "OUTPUT");
	return false;
}

static bool sees_family(const struct nft_chain *chain, bool v4)
{
	return !strcmp(chain->family, "inet") ||
	       !strcmp(chain->family, v4 ? "ip" : "ip6");
}

static struct nft_answer walk_hook(const struct nft *n, size_t at, bool v4,
				   const struct rules_packet *p,
				   unsigned *looks)
{
	const struct nft_chain *chain = &n->chains[at];
	struct nft_answer a = {.fate = NFT_NO_RULE};
	struct walk w = {.n = n, .v4 = v4, .p = p, .out = &a, .looks = looks};
	enum outcome what;

	/* It sees the first packet of a connection only. */
	w.some = chain->type && !strcmp(chain->type, "nat");
	what = walk_chain(&w, at, 0);
	if (what == DECIDED)
		return a;
	if (w.unclear) {
		decide(&w, w.unclear, NFT_UNCLEAR);
	} else if (w.part) {
		decide(&w, w.part, NFT_SOME_QUEUED);
	} else if (what == GO_ON && chain->drops && !w.let_go) {
		a.fate = NFT_DROPPED;
		snprintf(a.rule, sizeof(a.rule), "policy drop");
		snprintf(a.table, sizeof(a.table), "%s %s", chain->family,
			 chain->table);
	}
	return a;
}

/* ---- all of them ---- */

static bool takes_away(enum nft_fate fate)
{
	return fate == NFT_DROPPED || fate == NFT_OTHER_QUEUE;
}

static bool has_queue(const struct nft *n)
{
	for (size_t i = 0; i < n->rule_count; i++)
		for (unsigned at = 0; at < n->rules[i].count; at++)
			if (!strcmp(n->rules[i].words[at], "queue") ||
			    !strcmp(n->rules[i].words[at], "\"NFQUEUE"))
				return true;
	return false;
}

/* One that queues all is enough; of others the one that says most counts. */
static void add_answer(struct nft_answer *out, const struct nft_answer *a)
{
	static const int weight[] = {
		[NFT_NO_RULE] = 0,     [NFT_UNCLEAR] = 1, [NFT_SOME_QUEUED] = 2,
		[NFT_DROPPED] = 3,     [NFT_LET_OUT] = 4, [NFT_BYPASS] = 5,
		[NFT_OTHER_QUEUE] = 6, [NFT_QUEUED] = 7};
	bool queued = out->fate == NFT_QUEUED || a->fate == NFT_QUEUED;
	bool taken = takes_away(out->fate) || takes_away(a->fate);
	bool queue = out->queue || a->queue;

	if (queued && taken) {
		if (takes_away(a->fate))
			*out = *a;
		out->fate = NFT_UNCLEAR;
	} else if (weight[a->fate] > weight[out->fate]) {
		*out = *a;
	}
	out->queue = queue;
}

static void walk_hooks(const struct nft *n, bool v4,
		       const struct rules_packet *answer, unsigned *looks,
		       struct nft_answer *out)
{
	bool conflict = false;

	*out = (struct nft_answer){.fate = NFT_NO_RULE};
	for (size_t i = 0; i < n->chain_count && !conflict; i++) {
		const struct nft_chain *chain = &n->chains[i];
		enum nft_fate before = out->fate;
		struct nft_answer a;

		if (!chain->hook || strcmp(chain->hook, "output") ||
		    !sees_family(chain, v4) || is_of_iptables(chain))
			continue;
		a = walk_hook(n, i, v4, answer, looks);
		add_answer(out, &a);
		conflict = out->fate == NFT_UNCLEAR &&
			   (before == NFT_QUEUED || a.fate == NFT_QUEUED);
	}
}

void nft_walk(const struct nft *n, bool v4, const struct rules_packet *answer,
	      struct nft_answer *out)
{
	unsigned looks = LOOKS_MAX;

	*out = (struct nft_answer){.fate = NFT_NO_RULE};
	if (has_queue(n))
		walk_hooks(n, v4, answer, &looks, out);
}

/* ---- ports ---- */

struct search {
	const struct nft *n;
	uint16_t queue_num;
	uint16_t *ports;
	size_t count, max;
	unsigned looks;
};

static bool is_queued(struct search *s, unsigned port)
{
	const struct rules_packet p = {.sport = (uint16_t)port,
				       .queue_num = s->queue_num};
	struct nft_answer a = {.queue = false};

	for (int v4 = 0; v4 < 2 && !a.queue; v4++)
		walk_hooks(s->n, v4, &p, &s->looks, &a);
	return a.queue;
}

static bool is_known(const struct search *s, unsigned port)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->ports[i] == port)
			return true;
	return false;
}

/* Those behind "sport", one or in braces; of ranges the first. */
static void add_ports_of(struct search *s, const struct nft_rule *rule)
{
	unsigned first, last;

	for (unsigned at = 0; at < rule->count; at++) {
		if (strcmp(rule->words[at], "sport"))
			continue;
		at += !strcmp(nft_word(rule, at + 1), "{");
		while (nft_range(nft_word(rule, at + 1), &first, &last)) {
			at++;
			if (s->count < s->max && first <= UINT16_MAX &&
			    !is_known(s, first) && is_queued(s, first))
				s->ports[s->count++] = (uint16_t)first;
		}
	}
}

size_t nft_ports(const struct nft *n, uint16_t queue_num, uint16_t *ports,
		 size_t max)
{
	struct search s = {.n = n,
			   .queue_num = queue_num,
			   .ports = ports,
			   .max = max,
			   .looks = LOOKS_PORTS_MAX};

	if (!has_queue(n))
		return 0;
	for (size_t i = 0; i < n->rule_count; i++)
		add_ports_of(&s, &n->rules[i]);
	if (s.count == 0 && max > 0 && is_queued(&s, 0))
		ports[s.count++] = 0;
	return s.count;
}
