// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * The life of a copy: made with its flow, opened when its target may be
 * (replay_links.c), pulled for segments when it is on the ready list, freed
 * when its session is done, its last segment has gone and intercept has been
 * told. replay_settle() follows every event of a session and puts the copy on
 * the lists that its state asks for; it frees nothing, so that callers may
 * walk a flow's copies.
 */
#include "core/replay_internal.h"

#include "core/check.h"
#include "core/seq.h"

/* Within which the copies of one connection follow each other. */
#define SPREAD_US 10000ull

/* Lets go of what no copy needs any more. */
static void release_hold(struct replay *r, struct flow *f)
{
	uint32_t start = hold_start(&f->hold, &r->store);
	uint32_t seq = f->hold.end, turn = f->hold.end;

	for (const struct copy *c = f->copies; c; c = c->next) {
		if (!c->work)
			continue; /* it needs nothing of what there is */
		seq = seq_min(seq, session_keeps_from(&c->work->session));
		turn = seq_min(turn, session_turns_done(&c->work->session));
		if (seq == start)
			return;
	}
	if (seq_geq(seq, start))
		hold_release(&f->hold, &r->store, seq, turn);
}

void replay_arm_timer(struct replay *r, struct copy *c)
{
	const struct session *s = &c->work->session;
	uint64_t at = session_deadline_us(s, &r->targets[c->target].params);

	if (s->state == SESSION_WAITING && s->rst_left == 0 && !c->in_waiting &&
	    s->retry_at_us < at)
		at = s->retry_at_us;
	/* Also when it is later now: a deadline that has lost its meaning costs
	 * a turn of the loop, more than setting it costs. */
	if (at == TIME_NEVER)
		timers_cancel(r->copy_timers, &c->work->timer);
	else if (!timer_armed(&c->work->timer) ||
		 at != c->work->timer.deadline_us)
		timers_set(r->copy_timers, &c->work->timer, at);
}

void replay_trace_hold(struct replay *r, const struct copy *c,
		       enum trace_what what, enum trace_hold why)
{
	struct trace *t = replay_trace(r, c);

	if (t)
		trace_add(t, (struct trace_event){.what = (uint8_t)what,
						  .why = (uint8_t)why});
}

/* It stands behind others, which are opened now, or waits for the target. */
static void note_waiting(struct replay *r, const struct copy *c,
			 const struct target *t)
{
	r->ledger.held_back++;
	if (!t->up)
		replay_trace_hold(r, c, TRACE_NOT_OPENED, replay_paused_for(t));
	else if (!t->proven)
		replay_trace_hold(r, c, TRACE_NOT_OPENED, TRACE_HOLD_FIRST);
}

void replay_settle(struct replay *r, struct copy *c, uint64_t now_us)
{
	struct session *s = &c->work->session;

	if (session_wants_open(s, now_us) && !c->in_waiting) {
		struct target *t = &r->targets[c->target];

		c->in_waiting = true;
		copy_list_push(&t->waiting, LIST_WAITING, c);
		replay_pump_target(r, t, now_us);
		if (c->in_waiting)
			note_waiting(r, c, t);
	}
	/* With relay its last packets need the route (replay_packets.c). */
	if (s->state == SESSION_DONE && c->registered && !r->cfg.relay)
		replay_push_msg(r, c);
	release_hold(r, c->flow);
	/* When it leaves that list its timer is set. It may be held there; and
	 * while nothing can be told, since a link is full, those on it wait
	 * without one. */
	if (c->in_ready)
		replay_arm_timer(r, c);
	else
		replay_push_ready(r, c);
}

void replay_tell_copies(struct replay *r, struct flow *f,
			const struct hold_growth *growth, uint64_t now_us)
{
	/* all of them, before what one of them has done with is let go */
	replay_wake_all(r, f, now_us);
	for (struct copy *c = f->copies; c; c = c->next) {
		struct session_env env = replay_env(r, c);

		/* one that is traced says each time what holds it */
		if (!c->traced && session_is_behind(&c->work->session, growth))
			continue;
		session_on_growth(&c->work->session, &env, growth, now_us);
		replay_settle(r, c, now_us);
	}
}

static bool make_copy(struct replay *r, struct flow *f, uint32_t target,
		      unsigned number, uint32_t seq, uint64_t now_us)
{
	uint32_t index = pool_take(&r->copies);
	struct copy *c;

	if (index == POOL_NONE)
		return false;
	c = replay_copy_at(r, index);
	*c = (struct copy){
		.flow = f,
		.next = f->copies,
		.tuple = POOL_NONE,
		.number = (uint16_t)number,
		.target = (uint16_t)target,
		.live = true,
		.traced = f->traced,
	};
	replay_take_work(r, c);
	session_init(&c->work->session, &f->hold, seq, f->whole, now_us);
	session_spread(&c->work->session,
		       (uint32_t)(number * SPREAD_US / r->cfg.copies));
	c->work->session.paused = !r->targets[target].up;
	f->copies = c;
	if (c->work->session.spread_us > 0)
		replay_trace_hold(r, c, TRACE_NOT_OPENED, TRACE_HOLD_SPREAD);
	return true;
}

void replay_make_copies(struct replay *r, struct flow *f, uint32_t seq,
			uint64_t now_us)
{
	struct ledger *l = &r->ledger;

	f->joined = true;
	for (size_t i = r->cfg.mapping_count; i-- > 0;) {
		const struct replay_mapping *m = &r->mappings[i];

		if (!replay_is_copied_to(m, &f->tuple.dst))
			continue;
		for (unsigned n = r->cfg.copies; n-- > 0;)
			if (!make_copy(r, f, m->target, n, seq, now_us))
				f->missing++;
	}
	if (f->missing > 0) {
		l->conns.in_flight -= f->missing;
		l->conns.lost[LOSS_MEMORY] += f->missing;
		replay_tell(r, NOTICE_MEMORY, 0);
	}
	for (struct copy *c = f->copies; c; c = c->next)
		replay_settle(r, c, now_us);
}

static bool is_own(const struct replay *r, const struct ip_addr *addr)
{
	if (addr_is_loopback(addr) || addr_is_link_local(addr))
		return true;
	for (size_t i = 0; i < r->cfg.own_addr_count; i++)
		if (addr_equal(&r->own_addrs[i], addr))
			return true;
	return false;
}

/* The listed client addresses that a target can have. */
struct listed {
	const struct addr_range *ranges;
	size_t count;
};

static struct listed listed_for(const struct replay *r,
				const struct replay_target *t)
{
	size_t v4 = r->v4_client_count;

	if (addr_is_v4(&t->at.addr))
		return (struct listed){r->clients, v4};
	return (struct listed){r->clients + v4, r->cfg.client_count - v4};
}

/* The one of them that stands for addr, always the same. */
static struct ip_addr listed_address(const struct replay *r,
				     const struct listed *l,
				     const struct ip_addr *addr)
{
	uint64_t total = 0, pick;

	for (size_t i = 0; i < l->count; i++)
		total += l->ranges[i].count;
	pick = keyed_hash(&r->cfg.hash_key, addr, sizeof(*addr)) % total;
	for (size_t i = 0;; i++) {
		if (pick < l->ranges[i].count)
			return addr_range_at(&l->ranges[i], (uint32_t)pick);
		pick -= l->ranges[i].count;
	}
}

/* What the client appears as if nobody else does. */
static struct endpoint preferred_client(const struct replay *r,
					const struct copy *c)
{
	const struct replay_target *t = &r->targets[c->target].cfg;
	struct listed listed = listed_for(r, t);
	struct endpoint client = c->flow->tuple.src;

	if (listed.count > 0)
		client.addr = listed_address(r, &listed, &client.addr);
	else if (is_own(r, &client.addr))
		client.addr = t->local_source;
	if (addr_is_v4(&client.addr) != addr_is_v4(&t->at.addr))
		client.addr = t->local_source;
	return client;
}

static struct tuple_claim take_tuple(struct replay *r, const struct copy *c,
				     uint64_t now_us)
{
	struct endpoint client = preferred_client(r, c);
	struct addr_range own = {.first = client.addr, .count = 1};
	struct tuple_claim claim = {.id = POOL_NONE};
	struct listed listed = listed_for(r, &r->targets[c->target].cfg);

	if (c->number == 0 && c->refusals == 0)
		claim = tuples_claim(r->tuples, c->target, &client, now_us);
	if (claim.id != POOL_NONE)
		return claim;
	if (listed.count > 0)
		return tuples_find(r->tuples, c->target, listed.ranges,
				   listed.count, c->refusals, now_us);
	return tuples_find(r->tuples, c->target, &own, 1, c->refusals, now_us);
}

/* The SYN's sequence number: the client's own, or one above what the tuple has
 * been used for. */
static bool give_tuple(struct replay *r, struct copy *c, uint32_t *iss,
		       uint64_t now_us)
{
	struct tuple_claim claim;
	struct endpoint client;

	*iss = session_own_iss(&c->work->session);
	if (c->tuple_refused) {
		tuples_bar(r->tuples, c->tuple, now_us);
		c->tuple = POOL_NONE;
		c->tuple_refused = false;
	}
	if (c->tuple != POOL_NONE)
		return true;
	claim = take_tuple(r, c, now_us);
	c->tuple = claim.id;
	if (claim.id == POOL_NONE)
		return false;
	if (claim.used_before && seq_leq(*iss, claim.snd_nxt))
		*iss = claim.snd_nxt + 1;
	client = tuples_client(r->tuples, c->tuple);
	c->remapped = !endpoint_equal(&client, &c->flow->tuple.src);
	r->ledger.remapped += c->remapped;
	return true;
}

void replay_trace_tuple(struct replay *r, const struct copy *c,
			enum trace_what what)
{
	struct trace *t = replay_trace(r, c);

	if (t)
		trace_add(t, (struct trace_event){.what = (uint8_t)what,
						  .at = replay_client(r, c),
						  .seq = session_own_iss(
							  &c->work->session)});
}

void replay_open_copy(struct replay *r, struct copy *c, uint64_t now_us)
{
	struct session_env env = replay_env(r, c);
	uint32_t iss;

	if (!give_tuple(r, c, &iss, now_us)) {
		replay_tell(r, NOTICE_NO_TUPLE, c->target);
		session_give_up(&c->work->session, &env, LOSS_NO_TUPLE, now_us);
		replay_settle(r, c, now_us);
		return;
	}
	c->generation = r->next_generation++;
	c->link = replay_new_link(r, c);
	tuples_note_syn(r->tuples, c->tuple, iss);
	replay_note_syn(r, c->target, iss, now_us);
	session_open(&c->work->session, iss, now_us);
	replay_trace_tuple(r, c, TRACE_OPENED);
	replay_push_msg(r, c);
	replay_settle(r, c, now_us);
}

void replay_put_down(struct replay *r, struct copy *c, uint64_t now_us)
{
	struct flow *f = c->flow;
	struct copy **link = &f->copies;

	replay_let_rest(r, c);
	if (replay_state(c) != SESSION_DONE || c->in_ready || c->in_msgs ||
	    c->in_waiting)
		return;
	timers_cancel(r->copy_timers, &c->work->timer);
	if (c->tuple != POOL_NONE)
		tuples_release(r->tuples, c->tuple,
			       session_wire_snd_nxt(&c->work->session), now_us);
	while (*link != c)
		link = &(*link)->next;
	*link = c->next;
	replay_give_work(r, c);
	c->live = false;
	pool_give(&r->copies, pool_index(&r->copies, c));
	replay_free_flow_if_done(r, f, now_us);
}
