// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A target is up while some link to an intercept that sees its answers is, or
 * to each of its workers, if these see those of some ports alone. It is proven
 * when an answer has come back since then. Until that, one session a second is
 * opened to it and all others wait: where the answers go is not known yet.
 * While it is not up, or an intercept's guard does not stand (replay_vouch.c),
 * sessions are paused.
 *
 * Every route is told to one link of each of the target's intercepts, the one
 * that the session prefers or the next that is up. One that has said that it
 * gets the answers of some ports alone is told of these. All sessions prefer
 * the same one, since each link that has anything of a batch costs both sides a
 * system call and a wake-up. With relay those that begin while it is full or
 * gone prefer the next that is neither. When a link comes or goes, all routes
 * are told again, a batch at a time; telling twice does no harm. One that does
 * not answer while another one does is as good as gone: its sessions move, and
 * move back when it answers. Before the first and behind the last of them each
 * link is told that a round begins and has ended, so that intercept can forget
 * routes of which the end was lost with a link.
 */
#include "core/replay_internal.h"

#include "core/check.h"

#define OPEN_INTERVAL_US 1000000u
#define SILENT_US	 5000000u
/* Opened at one go; links and captures have their turn before the next ones. */
#define OPEN_BATCH	     256u
#define REREGISTER_BATCH     512u
#define REREGISTER_PERIOD_US 1000u

int replay_pick_link(const struct replay *r, unsigned group, unsigned number)
{
	for (unsigned i = 0; i < r->cfg.links_per_group; i++) {
		unsigned id = group * r->cfg.links_per_group +
			      (number + i) % r->cfg.links_per_group;

		if (r->link_up[id])
			return (int)id;
	}
	return -1;
}

/* Whether that intercept is to have the copy's route. */
static bool is_for(const struct replay *r, unsigned group, const struct copy *c)
{
	const struct split *ports = &r->splits[group];

	return ports->count < 2 ||
	       split_is_ours(ports, replay_client(r, c).port);
}

unsigned replay_relay_group(const struct replay *r, const struct copy *c)
{
	const struct replay_target *t = &r->targets[c->target].cfg;

	if (c->tuple == POOL_NONE || is_for(r, t->relay_group, c))
		return t->relay_group;
	for (unsigned g = 0; g < r->cfg.group_count; g++)
		if (t->relay_groups & 1u << g && is_for(r, g, c))
			return g;
	return t->relay_group;
}

uint8_t replay_new_link(struct replay *r, const struct copy *c)
{
	unsigned each = r->cfg.links_per_group, group;

	if (!r->cfg.relay)
		return r->used_link;
	group = replay_relay_group(r, c);
	for (unsigned i = 0; i < each; i++) {
		unsigned number = (r->used_link + i) % each;
		unsigned id = group * each + number;

		if (r->link_up[id] && !r->link_full[id]) {
			r->used_link = (uint8_t)number;
			break;
		}
	}
	return r->used_link;
}

static struct copy *pop_waiting(struct target *t)
{
	struct copy *c = copy_list_pop(&t->waiting, LIST_WAITING);

	c->in_waiting = false;
	return c;
}

/* Those at the head that have been given up meanwhile. */
static void drop_stale_waiting(struct replay *r, struct target *t,
			       uint64_t now_us)
{
	while (t->waiting.head &&
	       !session_wants_open(&t->waiting.head->work->session, now_us))
		replay_settle(r, pop_waiting(t), now_us);
}

/* The next one that is still to be opened. */
static struct copy *next_waiting(struct replay *r, struct target *t,
				 uint64_t now_us)
{
	drop_stale_waiting(r, t, now_us);
	return t->waiting.head ? pop_waiting(t) : NULL;
}

static void open_first(struct replay *r, struct target *t, uint64_t now_us)
{
	struct copy *c = next_waiting(r, t, now_us);

	if (!c)
		return;
	t->next_open_us = now_us + OPEN_INTERVAL_US;
	if (t->silent_at_us == TIME_NEVER && !t->silence_told)
		t->silent_at_us = now_us + SILENT_US;
	replay_open_copy(r, c, now_us);
}

void replay_pump_target(struct replay *r, struct target *t, uint64_t now_us)
{
	struct copy *c;

	drop_stale_waiting(r, t, now_us);
	if (!t->up || r->shut)
		return;
	if (!t->proven) {
		if (now_us >= t->next_open_us)
			open_first(r, t, now_us);
		return;
	}
	for (unsigned n = 0; n < OPEN_BATCH; n++) {
		c = next_waiting(r, t, now_us);
		if (!c)
			return;
		replay_open_copy(r, c, now_us);
	}
}

void replay_on_first_response(struct replay *r, struct target *t,
			      uint64_t now_us)
{
	t->proven = true;
	t->silent_at_us = TIME_NEVER;
	replay_tell(r, NOTICE_FIRST_RESPONSE, (uint32_t)(t - r->targets));
	replay_pump_target(r, t, now_us);
}

void replay_push_msg(struct replay *r, struct copy *c)
{
	if (c->in_msgs)
		return;
	c->in_msgs = true;
	copy_list_push(&r->msgs, LIST_MSGS, c);
}

static void fill_route(const struct replay *r, struct copy *c,
		       struct wire_msg *msg)
{
	bool over = c->work->session.state == SESSION_DONE;

	*msg = (struct wire_msg){
		.type = over ? WIRE_ROUTE_DEL : WIRE_ROUTE_ADD,
		.route =
			{
				.route_id = (uint64_t)c->generation << 32 |
					    pool_index(&r->copies, c),
				.client = replay_client(r, c),
				.target = r->targets[c->target].cfg.at,
				.iss = c->work->session.target.iss +
				       c->work->session.delta,
			},
	};
	c->registered = !over;
}

/* What is to be said on each link that is up, from link *next on. */
static bool next_round_msg(const struct replay *r, uint32_t *next, bool ended,
			   unsigned *link_id, struct wire_msg *msg)
{
	while (*next < replay_link_count(&r->cfg)) {
		*link_id = (*next)++;
		if (!r->link_up[*link_id])
			continue;
		*msg = (struct wire_msg){
			.type = WIRE_ROUND,
			.round = {.number = r->round, .ended = ended},
		};
		return true;
	}
	return false;
}

/* The next word about a route. */
static bool next_route_msg(struct replay *r, unsigned *link_id,
			   struct wire_msg *msg)
{
	struct copy *c;

	while ((c = r->msgs.head)) {
		const struct target *t = &r->targets[c->target];

		while (c->tuple != POOL_NONE &&
		       r->msg_group < r->cfg.group_count) {
			unsigned group = r->msg_group++;
			int link = replay_pick_link(r, group, c->link);

			if (!(t->cfg.groups & 1u << group) || link < 0 ||
			    !is_for(r, group, c))
				continue;
			fill_route(r, c, msg);
			*link_id = (unsigned)link;
			return true;
		}
		r->msg_group = 0;
		copy_list_pop(&r->msgs, LIST_MSGS);
		c->in_msgs = false;
		replay_put_down(r, c, r->now_us);
	}
	return false;
}

bool replay_next_msg(struct replay *r, unsigned *link_id, struct wire_msg *msg)
{
	return next_round_msg(r, &r->round_begins, false, link_id, msg) ||
	       next_route_msg(r, link_id, msg) ||
	       next_round_msg(r, &r->round_ends, true, link_id, msg);
}

static bool sees(const struct replay *r, unsigned group, const struct target *t)
{
	return t->cfg.groups & 1u << group &&
	       replay_pick_link(r, group, 0) >= 0;
}

/* Among so many workers of intercept somebody has each port's sessions. */
static bool all_seen(const struct replay *r, const struct target *t,
		     unsigned count)
{
	uint32_t seen = 0;

	for (unsigned g = 0; g < r->cfg.group_count; g++)
		if (sees(r, g, t) && r->splits[g].count == count)
			seen |= 1u << r->splits[g].index;
	return count < 2 || seen == UINT32_MAX >> (32 - count);
}

static bool target_linked(const struct replay *r, const struct target *t)
{
	for (unsigned g = 0; g < r->cfg.group_count; g++)
		if (sees(r, g, t) && all_seen(r, t, r->splits[g].count))
			return true;
	return false;
}

static void pause_copies(struct replay *r, const struct target *t,
			 uint64_t now_us)
{
	for (uint32_t i = 0; i < r->copies.fresh; i++) {
		struct copy *c = replay_copy_at(r, i);

		if (!c->live || &r->targets[c->target] != t)
			continue;
		if (!c->work) {
			session_rest_set_paused(&c->rest, !t->up, now_us);
			continue;
		}
		session_set_paused(&c->work->session, !t->up, now_us);
		replay_settle(r, c, now_us);
	}
}

void replay_forget_proof(struct target *t, uint64_t now_us)
{
	t->proven = false;
	t->silence_told = false;
	t->silent_at_us = TIME_NEVER;
	t->next_open_us = now_us;
}

static void note_guard(struct replay *r, struct target *t, enum guarded guarded)
{
	static const enum replay_notice_type notices[] = {
		[GUARDED] = NOTICE_GUARDED,
		[NOT_VOUCHED] = NOTICE_UNGUARDED,
		[OTHER_PORTS] = NOTICE_PORT_UNGUARDED,
	};

	if (guarded == t->guarded)
		return;
	r->ledger.guard_pauses += t->guarded == GUARDED;
	t->guarded = guarded;
	replay_tell(r, notices[guarded], (uint32_t)(t - r->targets));
}

void replay_refresh_target(struct replay *r, struct target *t, uint64_t now_us)
{
	bool linked = target_linked(r, t), was_up = t->up;
	enum guarded guarded = linked ? replay_guarded(r, t, now_us) : GUARDED;

	if (linked != t->linked)
		replay_forget_proof(t, now_us);
	t->linked = linked;
	if (guarded != NOT_HEARD)
		note_guard(r, t, guarded);
	t->up = linked && guarded == GUARDED;
	if (t->up == was_up)
		return;
	if (!t->up)
		t->silent_at_us = TIME_NEVER; /* its silence is our doing */
	pause_copies(r, t, now_us);
	replay_pump_target(r, t, now_us);
}

void replay_set_ports(struct replay *r, unsigned link_id,
		      const struct split *ports)
{
	r->splits[link_id / r->cfg.links_per_group] = *ports;
}

static void use_link(struct replay *r, unsigned link_id, bool use,
		     uint64_t now_us)
{
	ASSERT(link_id < replay_link_count(&r->cfg));
	r->link_up[link_id] = use;
	replay_link_vouches_no_more(r, link_id);
	replay_on_leases(r, now_us);
	r->round++;
	r->round_begins = 0;
	r->round_ends = replay_link_count(&r->cfg);
	r->reregister_at = 0;
	r->reregister_us = now_us;
}

void replay_on_link(struct replay *r, unsigned link_id, bool up,
		    uint64_t now_us)
{
	use_link(r, link_id, up, now_us);
	replay_on_link_room(r, link_id, true);
}

/* It is as full as it was. */
void replay_on_link_silence(struct replay *r, unsigned link_id, bool silent,
			    uint64_t now_us)
{
	use_link(r, link_id, !silent, now_us);
	replay_release_held(r);
}

/* intercept has its route, or is about to. */
static bool has_route(const struct copy *c)
{
	return c->live && replay_state(c) != SESSION_DONE &&
	       (c->registered || session_state_is_open(replay_state(c)));
}

static void reregister(struct replay *r, uint64_t now_us)
{
	uint32_t end = r->reregister_at + REREGISTER_BATCH;

	for (; r->reregister_at < end; r->reregister_at++) {
		struct copy *c;

		if (r->reregister_at >= r->copies.fresh) {
			r->reregister_at = POOL_NONE;
			r->round_ends = 0;
			return;
		}
		c = replay_copy_at(r, r->reregister_at);
		if (!has_route(c))
			continue;
		replay_wake(r, c, now_us);
		replay_push_msg(r, c);
	}
	r->reregister_us = now_us + REREGISTER_PERIOD_US;
}

void replay_on_links_timer(struct replay *r, uint64_t now_us)
{
	if (now_us >= r->lease_us)
		replay_on_leases(r, now_us);
	if (r->reregister_at != POOL_NONE && now_us >= r->reregister_us)
		reregister(r, now_us);
	for (size_t i = 0; i < r->cfg.target_count; i++) {
		struct target *t = &r->targets[i];

		if (now_us >= t->silent_at_us) {
			t->silent_at_us = TIME_NEVER;
			t->silence_told = true;
			replay_tell(r, NOTICE_NO_RESPONSE, (uint32_t)i);
		}
		replay_pump_target(r, t, now_us);
	}
}

uint64_t replay_links_deadline_us(const struct replay *r)
{
	uint64_t at = r->lease_us;

	if (r->reregister_at != POOL_NONE && r->reregister_us < at)
		at = r->reregister_us;
	for (size_t i = 0; i < r->cfg.target_count; i++) {
		const struct target *t = &r->targets[i];

		if (t->silent_at_us < at)
			at = t->silent_at_us;
		if (t->up && t->waiting.head && !r->shut) {
			uint64_t open_us =
				t->proven ? r->now_us : t->next_open_us;

			at = open_us < at ? open_us : at;
		}
	}
	return at;
}
