// SPDX-License-Identifier: BSD-2-Clause
#include "tcpcopy/check.h"

#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>

#include "base/count.h"
#include "check/host.h"

static void look_capabilities(struct check *c, void *ctx)
{
	const struct tcpcopy_doctor *d = ctx;

	if (!plan_needs_raw(&d->plan, d->o))
		check_ok(c, "none are needed");
	else
		check_capability(c, CAP_NET_RAW, "cap_net_raw");
}

/* ---- paths ---- */

/* No intercept on its host guards its port. */
static bool is_left_out(const struct tcpcopy_doctor *d, size_t target)
{
	const struct replay_target *t = &d->plan.targets[target];
	uint32_t others = 0;

	for (unsigned i = 0; i < d->plan.replay.group_count; i++)
		if (wire_guards_others(&d->status[i], t->at.port))
			others |= 1u << i;
	return replay_left_out(t, others);
}

int doctor_group(const struct tcpcopy_doctor *d, size_t target)
{
	if (is_left_out(d, target))
		return -1;
	for (unsigned i = 0; i < d->plan.replay.group_count; i++)
		if (d->up[i] && d->plan.targets[target].groups >> i & 1)
			return (int)i;
	return -1;
}

enum tcpcopy_path doctor_path(const struct tcpcopy_doctor *d, size_t target)
{
	const struct ip_addr *to = &d->o->transfer.targets[target].addr;
	const struct next_hop *hop =
		d->hops ? next_hops_find(d->hops, to) : NULL;
	int group = doctor_group(d, target);

	if (d->o->path != PATH_AUTO)
		return d->o->path;
	if (group >= 0 && d->relays[group])
		return PATH_RELAY;
	return hop && next_hop_takes_frames(hop) ? PATH_LINK : PATH_RAW;
}

/* The neighbours are known by now: there was a link. */
static void open_hops(struct tcpcopy_doctor *d)
{
	struct ip_addr to[TRANSFERS_MAX];
	size_t count = d->o->transfer.target_count;

	for (size_t i = 0; i < count; i++)
		to[i] = d->o->transfer.targets[i].addr;
	if (d->o->path == PATH_RELAY || next_hops_open(&d->hops, to, count))
		d->hops = NULL;
}

/* ---- intercept ---- */

/* Whether anything may be sent. */
static bool say_status(struct check *c, const struct link_said *said,
		       const char *at)
{
	const struct wire_status *s = &said->status;

	if (!said->has_status)
		check_fail(c, "is it stopped? (ps, its log)",
			   "intercept at %s says nothing of its queue", at);
	else if (!s->queue_bound)
		check_fail(c, "start intercept again",
			   "intercept at %s has no queue", at);
	else if (s->guarded && !s->armed)
		check_fail(c, "there: what the log of intercept says",
			   "intercept at %s does not vouch that its guard "
			   "stands: nothing would be sent",
			   at);
	else if (s->queue_dropped > 0)
		check_warn(c, "there: a larger intercept -q",
			   "intercept at %s: the kernel found no room for "
			   "%" PRIu64 " packets",
			   at, s->queue_dropped);
	else
		check_ok(c, "intercept at %s has its queue%s", at,
			 s->guarded ? ", and its guard stands" : "");
	/* Who says nothing may have a guard that does not stand. */
	return said->has_status && (!s->guarded || s->armed);
}

static void look_at_workers(struct check *c, const struct tcpcopy_doctor *d,
			    const struct endpoint *at,
			    const struct link_said *said)
{
	unsigned has = wire_workers(said->features);
	unsigned known = plan_workers_at(&d->plan, &at->addr);
	char text[ENDPOINT_TEXT_MAX];

	if (has > known)
		check_fail(c, "-p FIRST-LAST here, with the ports of all",
			   "intercept at %s has %u workers, %u of them are "
			   "known here",
			   endpoint_text(at, text), has, known);
}

static void look_at_intercept(struct check *c, struct tcpcopy_doctor *d,
			      unsigned i)
{
	const struct endpoint *at = &d->plan.intercepts[i];
	char text[ENDPOINT_TEXT_MAX];
	struct link_said said;

	endpoint_text(at, text);
	if (!check_link(c, at, d->o->key, &said))
		return;
	d->up[i] = say_status(c, &said, text);
	d->status[i] = said.status;
	look_at_workers(c, d, at, &said);
	d->relays[i] = said.features & WIRE_FEATURE_RELAY;
	if (!d->relays[i] && d->o->path == PATH_RELAY)
		check_fail(c,
			   "there: intercept --relay with the port of the "
			   "target",
			   "intercept at %s takes no packets", text);
}

static void say_left_out(struct check *c, const struct endpoint *target)
{
	char text[ENDPOINT_TEXT_MAX], fix[CHECK_TEXT_MAX];

	check_fail(c,
		   check_text(fix, "there: add %u to --guard of intercept",
			      target->port),
		   "intercept guards other ports than that of %s: nothing "
		   "would be sent",
		   endpoint_text(target, text));
}

static void look_intercept(struct check *c, void *ctx)
{
	struct tcpcopy_doctor *d = ctx;

	if (d->o->dry_run) {
		check_ok(c, "a dry run needs none");
		return;
	}
	for (unsigned i = 0; i < d->plan.replay.group_count; i++)
		look_at_intercept(c, d, i);
	for (size_t i = 0; i < d->plan.replay.target_count; i++)
		if (is_left_out(d, i))
			say_left_out(c, &d->plan.targets[i].at);
	open_hops(d);
}

/* ---- the rest ---- */

static void look_conntrack(struct check *c, void *ctx)
{
	(void)ctx;
	check_conntrack(c);
}

int tcpcopy_check(const struct tcpcopy_options *o, bool json)
{
	static const struct check_item items[] = {
		{"capabilities", look_capabilities},
		{"intercept", look_intercept},
		{"way", check_way},
		{"output", check_output},
		{"conntrack", look_conntrack},
		{"probe", check_probe},
		{"devices", check_devices},
		{"server", check_server},
		{"capture", check_capture},
	};
	struct tcpcopy_doctor d = {.o = o};
	struct opts_fault fault;
	int rc = plan_make(&d.plan, o, &fault);

	if (rc == OPTS_EXIT_BAD_INPUT) {
		opts_complain("tcpcopy", "%s", fault.text);
	} else {
		rules_host_read(&d.rules);
		rc = check_run("tcpcopy", json, items, COUNT(items), &d);
		rules_host_free(&d.rules);
		if (d.hops)
			next_hops_close(d.hops);
	}
	plan_free(&d.plan);
	return rc;
}
