// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * An intercept that guards rule and fence says so in every STATUS. Each STATUS
 * that says they stand is a lease: for REPLAY_LEASE_US packets may go to the
 * targets that it sees the answers of. One that says they do not stand ends it
 * at once, and no other link's word, which may be older, brings it back before
 * that link says so, too. An intercept that was heard to have a guard is held
 * to it until it says otherwise, also while it has no link. One that says it
 * has none needs no lease. Before its first STATUS, and again when the first of
 * its links is back, it is not known which of the two it is: nothing is sent.
 *
 * A guard is for some ports of its host. Where a target's own intercept guards
 * others, its answers would get out: nothing is sent to it at all. One of
 * several on its host must guard its port, or have no guard. When it is not
 * known which are, none of all may guard others.
 */
#include "core/replay_internal.h"

static unsigned group_of(const struct replay *r, unsigned link_id)
{
	return link_id / r->cfg.links_per_group;
}

static bool group_unarmed(const struct replay *r, unsigned group)
{
	unsigned first = group * r->cfg.links_per_group;

	for (unsigned i = 0; i < r->cfg.links_per_group; i++)
		if (r->link_unarmed[first + i])
			return true;
	return false;
}

static bool group_linked(const struct replay *r, unsigned group)
{
	return replay_pick_link(r, group, 0) >= 0;
}

/* Or there is nothing to be heard. */
static bool group_heard(const struct replay *r, unsigned group)
{
	return r->vouches[group].heard || !group_linked(r, group);
}

static bool group_vouches(const struct replay *r, unsigned group,
			  uint64_t now_us)
{
	const struct vouch *v = &r->vouches[group];

	if (!v->last.guarded)
		return group_heard(r, group);
	return now_us < v->until_us && !group_unarmed(r, group);
}

static bool is_left_out(const struct replay *r, const struct target *t)
{
	uint32_t others = 0;

	for (unsigned g = 0; g < r->cfg.group_count; g++)
		if (wire_guards_others(&r->vouches[g].last, t->cfg.at.port))
			others |= 1u << g;
	return replay_left_out(&t->cfg, others);
}

enum guarded replay_guarded(const struct replay *r, const struct target *t,
			    uint64_t now_us)
{
	if (is_left_out(r, t))
		return OTHER_PORTS;
	for (unsigned g = 0; g < r->cfg.group_count; g++)
		if (t->cfg.groups & 1u << g && !group_vouches(r, g, now_us))
			return group_heard(r, g) ? NOT_VOUCHED : NOT_HEARD;
	return GUARDED;
}

static void find_next_end(struct replay *r, uint64_t now_us)
{
	r->lease_us = TIME_NEVER;
	for (unsigned g = 0; g < r->cfg.group_count; g++) {
		const struct vouch *v = &r->vouches[g];

		if (v->last.guarded && v->until_us > now_us &&
		    v->until_us < r->lease_us)
			r->lease_us = v->until_us;
	}
}

void replay_on_leases(struct replay *r, uint64_t now_us)
{
	find_next_end(r, now_us);
	for (size_t i = 0; i < r->cfg.target_count; i++)
		replay_refresh_target(r, &r->targets[i], now_us);
}

void replay_link_vouches_no_more(struct replay *r, unsigned link_id)
{
	struct vouch *v = &r->vouches[group_of(r, link_id)];

	if (r->link_unarmed[link_id])
		v->until_us = 0;
	r->link_unarmed[link_id] = false;
	v->heard = v->heard && group_linked(r, group_of(r, link_id));
}

void replay_on_status(struct replay *r, unsigned link_id,
		      const struct wire_status *status, uint64_t now_us)
{
	struct vouch *v = &r->vouches[group_of(r, link_id)];

	v->heard = true;
	v->last = *status;
	r->link_unarmed[link_id] = status->guarded && !status->armed;
	v->until_us = status->armed ? now_us + REPLAY_LEASE_US : 0;
	replay_on_leases(r, now_us);
}
