// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Each target gets a probe (probe.c), and where that was lost is said with what
 * may be the cause. If there was an answer, the same is done again with a SYN
 * of the largest size: what does not fit through the way is lost there.
 */
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include "base/privileges.h"
#include "tcpcopy/probe.h"

/* How far a probe without an answer came. */
enum lost {
	LOST_HERE,
	LOST_SOMEWHERE,
	LOST_AT_INTERCEPT,
	LOST_ON_THE_WAY,
	LOST_BEFORE_SERVER,
	LOST_IN_SERVER,
	LOST_PAST_QUEUE,
	LOST_BEFORE_QUEUE
};

static enum lost where_lost(const struct probe_result *p)
{
	const struct wire_probe_seen *s = &p->seen;

	if (p->error)
		return LOST_HERE;
	if (!p->has_seen || s->error)
		return LOST_SOMEWHERE;
	if (s->arrived == 0)
		return p->relayed ? LOST_AT_INTERCEPT : LOST_ON_THE_WAY;
	if (s->accepted == 0)
		return LOST_BEFORE_SERVER;
	if (s->answered == 0)
		return LOST_IN_SERVER;
	return s->left > 0 ? LOST_PAST_QUEUE : LOST_BEFORE_QUEUE;
}

enum named { NAMES_NOTHING, NAMES_CLIENT, NAMES_PORT, NAMES_ERROR };

struct lost_text {
	const char *cause; /* up to what it names */
	enum named named;
	const char *rest; /* of the cause; NULL: there is none */
	const char *fix;
	enum named fix_named; /* at its end */
};

static const struct lost_text lost_texts[] = {
	[LOST_HERE] = {.cause = "this host does not send it: ",
		       .named = NAMES_ERROR,
		       .fix = "the rules of OUTPUT here, conntrack"},
	[LOST_SOMEWHERE] = {.cause = "no answer, and intercept cannot say how "
				     "far it came: ",
			    .named = NAMES_ERROR,
			    .fix = "tcpdump on the target"},
	[LOST_AT_INTERCEPT] = {.cause = "intercept does not inject it",
			       .fix = "there: intercept --relay ",
			       .fix_named = NAMES_PORT},
	[LOST_ON_THE_WAY] = {.cause = "a packet from ",
			     .named = NAMES_CLIENT,
			     .rest = " leaves here and does not arrive there",
			     .fix = "let the network take packets with "
				    "clients' addresses as source, or -c with "
				    "addresses that may be sent from here"},
	[LOST_BEFORE_SERVER] = {.cause = "a packet from ",
				.named = NAMES_CLIENT,
				.rest = " arrives and is dropped before it "
					"reaches the server",
				.fix = "on the target: intercept check "
				       "(rp_filter, rules of INPUT)"},
	[LOST_IN_SERVER] = {.cause = "the server is given a packet from ",
			    .named = NAMES_CLIENT,
			    .rest = " and does not answer: its backlog is "
				    "full, or there is no way back",
			    .fix = "on the target: ss -ltn, nstat, ip route "
				   "get ",
			    .fix_named = NAMES_CLIENT},
	[LOST_PAST_QUEUE] = {.cause = "the answer goes out to ",
			     .named = NAMES_CLIENT,
			     .rest = " instead of to the queue: no rule, or "
				     "not the first",
			     .fix = "on the target: intercept --guard ",
			     .fix_named = NAMES_PORT},
	[LOST_BEFORE_QUEUE] = {.cause = "answered, but the answer does not "
					"come out of the queue: something "
					"drops it before, or there is no rule "
					"and the fence holds it",
			       .fix = "on the target: intercept check"},
};

static const char *error_text(const struct probe_result *p)
{
	if (p->error)
		return strerror(p->error);
	return p->seen.error ? strerror((int)p->seen.error)
			     : "it is of an older version";
}

static const char *name(const struct probe_result *p, enum named named,
			char buf[ADDR_TEXT_MAX])
{
	switch (named) {
	case NAMES_CLIENT:
		return addr_text(&p->client.addr, buf);
	case NAMES_PORT:
		snprintf(buf, ADDR_TEXT_MAX, "%u", p->target.port);
		return buf;
	case NAMES_ERROR:
		return error_text(p);
	case NAMES_NOTHING:
		break;
	}
	return "";
}

static void say_lost(struct check *c, const struct probe_result *p,
		     const char *at)
{
	const struct lost_text *t = &lost_texts[where_lost(p)];
	char in_cause[ADDR_TEXT_MAX], in_fix[ADDR_TEXT_MAX];
	char fix[CHECK_TEXT_MAX];

	check_text(fix, "%s%s", t->fix, name(p, t->fix_named, in_fix));
	check_fail(c, fix, "%s: %s%s%s", at, t->cause,
		   name(p, t->named, in_cause), t->rest ? t->rest : "");
}

static void say_answered(struct check *c, const struct probe_result *p,
			 const char *at)
{
	char fix[CHECK_TEXT_MAX], client[ADDR_TEXT_MAX];

	addr_text(&p->client.addr, client);
	if (p->flags & TCP_RST)
		check_fail(c,
			   check_text(fix, "start the server on port %u there",
				      p->target.port),
			   "%s refuses connections: nothing listens there", at);
	else if (p->has_seen && p->seen.left > 0)
		check_fail(c,
			   check_text(fix,
				      "on the target: intercept --guard "
				      "%u",
				      p->target.port),
			   "%s: answers come through intercept, but go out to "
			   "%s as well",
			   at, client);
	else
		check_ok(c,
			 "%s: a SYN from %s is answered, and the answer comes "
			 "through intercept",
			 at, client);
}

static void look_at_size(struct check *c, const struct tcpcopy_doctor *d,
			 size_t target, const struct endpoint *intercept,
			 const char *at)
{
	size_t bytes = d->plan.replay.mtu_bytes;
	struct probe_result p;

	if (!probe_run(&p, d, target, intercept, bytes))
		return;
	if (p.answered || (p.has_seen && !p.seen.error && p.seen.arrived > 0))
		check_ok(c, "%s: packets of %zu bytes arrive", at, bytes);
	else
		check_fail(c,
			   "a smaller -M (1400, 1280), or the MTU of the way",
			   "%s: packets of %zu bytes do not arrive, small ones "
			   "do%s%s",
			   at, bytes, p.error ? ": " : "",
			   p.error ? strerror(p.error) : "");
}

static void probe_target(struct check *c, const struct tcpcopy_doctor *d,
			 size_t target, const struct endpoint *intercept)
{
	char at[ENDPOINT_TEXT_MAX];
	struct probe_result p;

	endpoint_text(&d->o->transfer.targets[target], at);
	if (!probe_run(&p, d, target, intercept, 0)) {
		check_fail(c, "try again", "%s: the link was lost", at);
		return;
	}
	if (!p.answered) {
		say_lost(c, &p, at);
		return;
	}
	say_answered(c, &p, at);
	/* Between the two is no network when it goes by the link. */
	if (p.flags & TCP_SYN && !p.relayed)
		look_at_size(c, d, target, intercept, at);
}

/* The links take packets from anybody. */
static bool can_send(const struct tcpcopy_doctor *d, size_t target)
{
	return doctor_path(d, target) == PATH_RELAY ||
	       privileges_have(CAP_NET_RAW);
}

void check_probe(struct check *c, void *ctx)
{
	const struct tcpcopy_doctor *d = ctx;

	if (d->o->dry_run)
		return;
	for (size_t i = 0; i < d->o->transfer.target_count; i++) {
		int group = doctor_group(d, i);

		if (group >= 0 && can_send(d, i))
			probe_target(c, d, i, &d->plan.intercepts[group]);
	}
}
