// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Answers leave by OUTPUT. Each flavour of iptables has tables of its own
 * there, and an ACCEPT in one does not end the other: one that sends all of a
 * port's answers to the queue is enough, and none may drop them before that. A
 * rule of native nftables (check_native.c) is looked for only when there is
 * none of these.
 */
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/count.h"
#include "base/privileges.h"
#include "check/host.h"
#include "intercept/check.h"
#include "io/guard_lock.h"
#include "io/tcp_sockets.h"

/* In the order in which a packet meets them. */
static const struct rules_place out_places[] = {{"raw", "OUTPUT"},
						{"mangle", "OUTPUT"},
						{"nat", "OUTPUT"},
						{"filter", "OUTPUT"},
						{"security", "OUTPUT"}};

const char *doctor_family_text(bool v4)
{
	return v4 ? "IPv4" : "IPv6";
}

static unsigned last_queue(const struct intercept_doctor *d)
{
	return d->o->queue_num + d->o->workers - 1;
}

char *doctor_insert_text(const struct intercept_doctor *d, bool v4,
			 uint16_t port, char fix[CHECK_TEXT_MAX])
{
	char number[8] = "PORT", queue[32] = "";

	if (port)
		snprintf(number, sizeof(number), "%u", port);
	if (d->o->workers > 1)
		snprintf(queue, sizeof(queue), " --queue-balance %u:%u",
			 d->o->queue_num, last_queue(d));
	else if (d->o->queue_num)
		snprintf(queue, sizeof(queue), " --queue-num %u",
			 d->o->queue_num);
	return check_text(fix,
			  "%s -I OUTPUT -p tcp --sport %s -j NFQUEUE%s, or "
			  "intercept --guard %s",
			  rules_tool(&d->rules, v4, RULES_NFT), number, queue,
			  number);
}

/* ---- one port, one family ---- */

void doctor_walk_out(const struct intercept_doctor *d, const struct rules *r,
		     uint16_t port, struct rules_answer *out)
{
	const struct rules_packet packet = {
		.sport = port,
		.exempt = d->o->passlist.items,
		.exempt_count = d->o->passlist.count,
		.queue_num = d->o->queue_num,
	};

	rules_walk(r, out_places, COUNT(out_places), &packet, out);
}

void doctor_say_queues(struct check *c, const struct intercept_doctor *d,
		       bool v4, uint16_t port, unsigned first, unsigned last)
{
	const char *family = doctor_family_text(v4);
	char fix[CHECK_TEXT_MAX];

	if (first < d->o->queue_num || last > last_queue(d))
		check_warn(c, doctor_insert_text(d, v4, port, fix),
			   "%s: answers of port %u go to queues %u to %u, of "
			   "which %u to %u are ours: what goes to the others "
			   "is lost, unless another intercept has them",
			   family, port, first, last, d->o->queue_num,
			   last_queue(d));
	else if (last < last_queue(d))
		check_warn(c, doctor_insert_text(d, v4, port, fix),
			   "%s: no answers of port %u go to queues %u to %u: "
			   "their workers have nothing to do",
			   family, port, last + 1, last_queue(d));
	else if (d->o->workers > 1)
		check_ok(c, "%s: answers of port %u go to queues %u to %u",
			 family, port, d->o->queue_num, last_queue(d));
	else
		check_ok(c, "%s: answers of port %u go to queue %u", family,
			 port, d->o->queue_num);
}

static void say_queued(struct check *c, const struct intercept_doctor *d,
		       bool v4, uint16_t port, enum rules_flavour flavour,
		       const struct rules_answer *a)
{
	const char *tool = rules_tool(&d->rules, v4, flavour);
	char fix[CHECK_TEXT_MAX];

	if (a->bypass)
		check_fail(c,
			   check_text(fix,
				      "%s -t %s -D%s, and again without "
				      "--queue-bypass",
				      tool, a->table, a->rule + 2),
			   "%s: the rule of port %u has --queue-bypass: "
			   "without intercept, answers reach real clients",
			   doctor_family_text(v4), port);
	else if (a->before[0])
		check_fail(c, doctor_insert_text(d, v4, port, fix),
			   "%s: the rule of port %u is not the first: before "
			   "it stands \"%s\" (table %s), which lets answers "
			   "out",
			   doctor_family_text(v4), port, a->before, a->table);
	else if (a->some)
		check_warn(c, doctor_insert_text(d, v4, port, fix),
			   "%s: only some answers of port %u go to the queue: "
			   "\"%s\"",
			   doctor_family_text(v4), port, a->rule);
	else
		doctor_say_queues(c, d, v4, port, a->first_queue,
				  a->last_queue);
}

/* let_go: what lets them go before a rule that would. */
static void say_missing(struct check *c, const struct intercept_doctor *d,
			bool v4, uint16_t port,
			const struct rules_answer *let_go)
{
	char fix[CHECK_TEXT_MAX];

	if (check_native(c, d, v4, port))
		return;
	if (let_go->before[0])
		check_fail(c, doctor_insert_text(d, v4, port, fix),
			   "%s: the rule of port %u is not the first: before "
			   "it stands \"%s\" (table %s), which lets all "
			   "answers out",
			   doctor_family_text(v4), port, let_go->before,
			   let_go->table);
	else
		check_fail(c, doctor_insert_text(d, v4, port, fix),
			   "%s: no rule sends the answers of port %u to queue "
			   "%u: they reach real clients",
			   doctor_family_text(v4), port, d->o->queue_num);
}

static size_t place_of(const char *table)
{
	size_t i = 0;

	while (i < COUNT(out_places) && strcmp(out_places[i].table, table))
		i++;
	return i;
}

/* Whether it was said that packets do not come as far as this place. */
static bool say_dropped(struct check *c, const struct intercept_doctor *d,
			bool v4, uint16_t port, size_t place)
{
	struct rules_answer a;
	char fix[CHECK_TEXT_MAX];

	for (int f = 0; f < RULES_FLAVOURS; f++) {
		const struct rules *r = d->rules.flavours[!v4][f];

		if (!r)
			continue;
		doctor_walk_out(d, r, port, &a);
		if ((a.fate != RULES_DROPPED && a.fate != RULES_OTHER_QUEUE) ||
		    a.some || place_of(a.table) > place)
			continue;
		check_text(fix, "%s -t %s -D%s", rules_tool(&d->rules, v4, f),
			   a.table, a.rule + 2);
		check_fail(c, fix,
			   "%s: answers of port %u %s: \"%s\" (table %s)",
			   doctor_family_text(v4), port,
			   a.fate == RULES_DROPPED
				   ? "are dropped before they are queued"
				   : "go to another queue",
			   a.rule, a.table);
		return true;
	}
	return false;
}

static void look_at_port(struct check *c, const struct intercept_doctor *d,
			 bool v4, uint16_t port)
{
	struct rules_answer a, queued = {.fate = RULES_THROUGH};
	struct rules_answer let_go = {.fate = RULES_THROUGH};
	enum rules_flavour flavour = RULES_NFT;

	for (int f = 0; f < RULES_FLAVOURS; f++) {
		const struct rules *r = d->rules.flavours[!v4][f];

		if (!r || queued.fate == RULES_QUEUED)
			continue;
		doctor_walk_out(d, r, port, &a);
		if (a.fate == RULES_THROUGH && a.before[0])
			let_go = a;
		if (a.fate != RULES_QUEUED)
			continue;
		queued = a;
		flavour = f;
	}
	if (say_dropped(c, d, v4, port, place_of(queued.table)))
		return;
	if (queued.fate == RULES_QUEUED)
		say_queued(c, d, v4, port, flavour, &queued);
	else
		say_missing(c, d, v4, port, &let_go);
}

/* ---- a guard ---- */

static bool guard_has_fallen(const struct intercept_doctor *d)
{
	return d->link.has_status && d->link.status.guarded &&
	       !d->link.status.armed;
}

static void look_at_guard(struct check *c, const struct intercept_doctor *d,
			  uint16_t port)
{
	char fix[CHECK_TEXT_MAX];

	check_text(fix, "intercept --guard %u", port);
	if (!d->running)
		check_warn(c, fix,
			   "port %u: intercept does not run, which makes the "
			   "rule and keeps watch over it",
			   port);
	else if (!guard_is_locked(port))
		check_fail(c, fix,
			   "port %u: the intercept that runs does not guard it",
			   port);
	else if (!guard_has_fallen(d))
		check_ok(c, "port %u: intercept keeps watch over its rule",
			 port);
	/* Its rule stands between the tables raw and mangle. */
	say_dropped(c, d, true, port, 0);
	if (host_has_ipv6())
		say_dropped(c, d, false, port, 0);
}

/* ---- all of them ---- */

static void add_port(struct intercept_doctor *d, uint16_t port)
{
	size_t at = 0;

	while (at < d->port_count && d->ports[at] != port)
		at++;
	if (at == d->port_count && at < CHECK_PORTS_MAX)
		d->ports[d->port_count++] = port;
}

static void add_ports(struct intercept_doctor *d, const struct rules *r)
{
	uint16_t found[CHECK_PORTS_MAX];
	size_t count = 0;

	if (r)
		count = rules_ports(r, d->o->queue_num, found, CHECK_PORTS_MAX);
	for (size_t i = 0; i < count; i++)
		add_port(d, found[i]);
}

/* A guard that was not asked for now, for one. */
static void add_native_ports(struct intercept_doctor *d)
{
	uint16_t found[CHECK_PORTS_MAX];
	size_t count = 0;

	if (d->rules.native)
		count = nft_ports(d->rules.native, d->o->queue_num, found,
				  CHECK_PORTS_MAX);
	for (size_t i = 0; i < count; i++)
		add_port(d, found[i]);
}

static void find_ports(struct intercept_doctor *d)
{
	for (size_t i = 0; i < d->o->guard_count && i < CHECK_PORTS_MAX; i++)
		d->ports[d->port_count++] = d->o->guard_ports[i];
	if (d->port_count > 0)
		return;
	for (int i = 0; i < 2; i++)
		for (int f = 0; f < RULES_FLAVOURS; f++)
			add_ports(d, d->rules.flavours[i][f]);
	add_native_ports(d);
}

/* Without the capability a tool may print nothing, and end well. */
static bool can_read(const struct intercept_doctor *d, bool v4)
{
	if (!privileges_have(CAP_NET_ADMIN))
		return false;
	return d->rules.flavours[!v4][RULES_NFT] ||
	       d->rules.flavours[!v4][RULES_LEGACY];
}

bool doctor_has_family(bool v4, uint16_t port)
{
	if (v4)
		return true;
	return host_has_ipv6() &&
	       (port == 0 || tcp_sockets_listening(port) & TCP_SOCKETS_V6);
}

static void look_at_rules(struct check *c, const struct intercept_doctor *d)
{
	char fix[CHECK_TEXT_MAX];

	for (size_t i = 0; i < d->port_count; i++)
		for (int v4 = 1; v4 >= 0; v4--)
			if (doctor_has_family(v4, d->ports[i]) &&
			    can_read(d, v4))
				look_at_port(c, d, v4, d->ports[i]);
	if (d->port_count == 0)
		check_fail(c, doctor_insert_text(d, true, 0, fix),
			   "no rule sends packets to queue %u",
			   d->o->queue_num);
}

void check_rules(struct check *c, void *ctx)
{
	struct intercept_doctor *d = ctx;

	if (guard_has_fallen(d))
		check_fail(c, "what its log says",
			   "the guard of the intercept that runs does not "
			   "stand");
	find_ports(d);
	for (size_t i = 0; d->o->guard && i < d->port_count; i++)
		look_at_guard(c, d, d->ports[i]);
	if (d->o->guard)
		return;
	if (can_read(d, true))
		look_at_rules(c, d);
	else
		check_warn(c, "run the check as root, with iptables installed",
			   "the firewall's rules cannot be read");
}
