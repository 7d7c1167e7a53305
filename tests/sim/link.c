// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A link is two pipes of bytes. What a peer writes is cut into chunks of any
 * size, which arrive in order and late; a pipe takes only so much at a time,
 * so that a stalled one fills the peer's buffer. A reset loses what is under
 * way, ends both peers, and some time later there are two new ones.
 */
#include "tests/sim/link.h"

#include <stdlib.h>
#include <string.h>

#include "core/peer.h"
#include "tests/sim/client.h"
#include "tests/sim/copier.h"
#include "tests/sim/intercept.h"

#define LINKS_MAX    6u
#define OUR_INSTANCE 0xc0de00u /* and one more each time it starts anew */

struct end {
	struct peer *peer;
	bool up;
	uint32_t under_way; /* bytes it has written that have not arrived */
	uint64_t last_us;   /* arrival of the chunk before */
};

struct link {
	unsigned id;
	unsigned generation;
	struct end ends[2]; /* tcpcopy's, intercept's */
	uint64_t stalled_until_us;
	bool silent; /* tcpcopy has been told so */
	uint64_t timer, timer_us;
};

struct links {
	struct link all[LINKS_MAX];
	unsigned count, restarts;
	struct mem mem;
	bool pumping;
};

struct chunk {
	struct link *link;
	unsigned generation, to;
	uint32_t len;
	uint8_t bytes[];
};

static unsigned group_of(const struct sim *sim, const struct link *l)
{
	return l->id / sim->p.links_per_group;
}

static unsigned number_of(const struct sim *sim, const struct link *l)
{
	return l->id % sim->p.links_per_group;
}

static void connect_link(struct sim *sim, void *obj, uint64_t arg);
static void arm(struct sim *sim, struct link *l);

static void tell(struct sim *sim, struct link *l, unsigned side, bool up)
{
	struct end *e = &l->ends[side];

	if (e->up == up)
		return;
	e->up = up;
	if (side == 0)
		copier_on_link(sim, l->id, up);
	else
		intercept_on_link(sim, group_of(sim, l), number_of(sim, l), up,
				  up ? peer_remote(e->peer)->instance : 0);
}

static void set_silent(struct sim *sim, struct link *l, bool silent)
{
	if (l->silent == silent)
		return;
	l->silent = silent;
	sim->coverage[COVER_link_silences] += silent;
	copier_on_link_silence(sim, l->id, silent);
}

static bool lags(const struct sim *sim, const struct link *l)
{
	const struct links *ls = sim->links;

	for (unsigned i = 0; l->ends[0].up && i < ls->count; i++)
		if (group_of(sim, &ls->all[i]) == group_of(sim, l) &&
		    ls->all[i].ends[0].up &&
		    peer_lags(l->ends[0].peer, ls->all[i].ends[0].peer,
			      sim->now_us))
			return true;
	return false;
}

static void find_silent(struct sim *sim)
{
	struct links *ls = sim->links;

	for (unsigned i = 0; i < ls->count; i++)
		if (!lags(sim, &ls->all[i]))
			set_silent(sim, &ls->all[i], false);
	for (unsigned i = 0; i < ls->count; i++)
		if (lags(sim, &ls->all[i]))
			set_silent(sim, &ls->all[i], true);
}

static void disconnect(struct sim *sim, struct link *l)
{
	l->generation++;
	l->timer++;
	l->silent = false;
	for (unsigned side = 0; side < 2; side++) {
		if (!l->ends[side].peer)
			continue;
		tell(sim, l, side, false);
		peer_free(l->ends[side].peer, &sim->links->mem);
		l->ends[side] = (struct end){0};
	}
}

static void reset_for(struct sim *sim, struct link *l, uint32_t us)
{
	disconnect(sim, l);
	sim_at(sim, sim->now_us + us, connect_link, l, l->generation);
}

static void reset(struct sim *sim, struct link *l)
{
	reset_for(sim, l, rng_between(&sim->link_dice, 20000, 700000));
}

static void connect_link(struct sim *sim, void *obj, uint64_t arg)
{
	struct link *l = obj;
	struct peer_config cfg = {
		.instance = OUR_INSTANCE + sim->links->restarts,
		.max_records = rng_between(&sim->link_dice, 1, 64),
		.tx_bytes = 2 * WIRE_FRAME_MAX,
	};

	if (arg != l->generation || l->ends[0].peer)
		return;
	for (unsigned side = 0; side < 2; side++) {
		cfg.role = side == 0 ? PEER_CLIENT : PEER_SERVER;
		l->ends[side] = (struct end){
			.peer = peer_new(&cfg, &sim->links->mem, sim->now_us)};
		cfg.instance++;
	}
	l->timer_us = UINT64_MAX;
	links_pump(sim);
	arm(sim, l);
}

static void look(struct sim *sim, struct link *l, unsigned side)
{
	struct end *e = &l->ends[side];
	enum peer_fault fault = peer_fault(e->peer);

	if (fault != PEER_FINE) {
		sim_trace(sim, "link %u: %s", l->id, peer_fault_text(fault));
		if (fault != PEER_SILENT)
			sim_fail(sim, "link", "link %u: %s", l->id,
				 peer_fault_text(fault));
		reset(sim, l);
	} else if (peer_is_up(e->peer)) {
		tell(sim, l, side, true);
	}
}

static void arrive(struct sim *sim, void *obj, uint64_t arg)
{
	struct chunk *c = obj;
	struct link *l = c->link;
	struct wire_msg msg;

	(void)arg;
	if (c->generation != l->generation)
		return;
	l->ends[!c->to].under_way -= c->len;
	peer_on_bytes(l->ends[c->to].peer, c->bytes, c->len, sim->now_us);
	while (c->generation == l->generation) {
		bool more = peer_next_msg(l->ends[c->to].peer, &msg);

		look(sim, l, c->to);
		if (!more || c->generation != l->generation)
			break;
		if (c->to == 0)
			set_silent(sim, l, false);
		if (c->to == 0)
			copier_on_msg(sim, l->id, &msg);
		else
			intercept_on_msg(sim, group_of(sim, l),
					 number_of(sim, l), &msg);
	}
	links_pump(sim);
	arm(sim, l);
}

static void write_some(struct sim *sim, struct link *l, unsigned from)
{
	struct end *e = &l->ends[from];
	struct rng *dice = &sim->link_dice;
	const uint8_t *bytes;
	size_t n;

	while (e->peer && e->under_way < 20000 &&
	       (n = peer_tx_peek(e->peer, &bytes)) > 0) {
		uint32_t len = rng_between(dice, 1, 3000);
		struct chunk *c;
		uint64_t at;

		len = n < len ? (uint32_t)n : len;
		c = sim_alloc(sim, sizeof(*c) + len);
		*c = (struct chunk){.link = l,
				    .generation = l->generation,
				    .to = !from,
				    .len = len};
		memcpy(c->bytes, bytes, len);
		peer_tx_advance(e->peer, len);
		e->under_way += len;
		at = sim->now_us + sim->p.link_delay_us / 2 +
		     rng_below(dice, sim->p.link_delay_us + 1);
		at = at < e->last_us ? e->last_us : at;
		at = at < l->stalled_until_us ? l->stalled_until_us : at;
		e->last_us = at;
		sim_at(sim, at, arrive, c, 0);
	}
}

void links_pump(struct sim *sim)
{
	struct links *ls = sim->links;

	if (!ls || ls->pumping)
		return;
	ls->pumping = true;
	for (unsigned i = 0; i < ls->count; i++)
		for (unsigned side = 0; side < 2; side++)
			write_some(sim, &ls->all[i], side);
	ls->pumping = false;
	copier_look_for_room(sim);
}

static uint64_t deadline(const struct link *l)
{
	uint64_t a = peer_deadline_us(l->ends[0].peer);
	uint64_t b = peer_deadline_us(l->ends[1].peer);

	return a < b ? a : b;
}

static void on_timer(struct sim *sim, void *obj, uint64_t arg)
{
	struct link *l = obj;
	unsigned generation = l->generation;

	if (arg != l->timer || !l->ends[0].peer)
		return;
	l->timer_us = UINT64_MAX;
	for (unsigned side = 0; side < 2; side++)
		peer_on_timer(l->ends[side].peer, sim->now_us);
	if (deadline(l) <= sim->now_us &&
	    peer_fault(l->ends[0].peer) == PEER_FINE &&
	    peer_fault(l->ends[1].peer) == PEER_FINE)
		sim_fail(sim, "deadline",
			 "a peer's deadline stays in the past");
	for (unsigned side = 0; side < 2 && generation == l->generation; side++)
		look(sim, l, side);
	find_silent(sim);
	links_pump(sim);
	if (generation == l->generation)
		arm(sim, l);
}

static void arm(struct sim *sim, struct link *l)
{
	uint64_t at;

	if (!l->ends[0].peer)
		return;
	at = deadline(l);
	if (at == l->timer_us || at == UINT64_MAX)
		return;
	l->timer_us = at;
	sim_at(sim, at, on_timer, l, ++l->timer);
}

void links_send(struct sim *sim, unsigned link_id, const struct wire_msg *msg)
{
	struct end *e = &sim->links->all[link_id].ends[0];

	if (e->up)
		peer_send(e->peer, msg);
}

uint8_t *links_slot(struct sim *sim, unsigned link_id, size_t len)
{
	struct end *e = &sim->links->all[link_id].ends[0];

	return e->up ? peer_relay_slot(e->peer, len) : NULL;
}

size_t links_room(const struct sim *sim, unsigned link_id)
{
	const struct end *e = &sim->links->all[link_id].ends[0];

	return e->up ? peer_relay_room(e->peer) : 0;
}

void links_reply(struct sim *sim, unsigned group, unsigned number,
		 const struct wire_msg *msg)
{
	struct link *l =
		&sim->links->all[group * sim->p.links_per_group + number];

	if (l->ends[1].up)
		peer_send(l->ends[1].peer, msg);
}

static struct link *any_link(struct sim *sim)
{
	return &sim->links->all[rng_below(&sim->link_dice, sim->links->count)];
}

static void reset_one(struct sim *sim, void *obj, uint64_t arg)
{
	(void)obj;
	(void)arg;
	if (!sim->faults_on)
		return;
	SIM_COVER(sim, link_resets);
	reset(sim, any_link(sim));
}

static void stall_one(struct sim *sim, void *obj, uint64_t arg)
{
	(void)obj;
	(void)arg;
	if (!sim->faults_on)
		return;
	SIM_COVER(sim, link_stalls);
	any_link(sim)->stalled_until_us =
		sim->now_us +
		rng_between(&sim->link_dice, 10000,
			    sim->p.prompt ? (uint32_t)sim->p.timeout_us / 8
					  : 2000000);
}

/* Longer than intercept keeps the routes of a tcpcopy without a link; or nearly
 * as long as a target may be silent. */
static void cut_all(struct sim *sim, void *obj, uint64_t arg)
{
	uint32_t timeout_us = (uint32_t)sim->p.timeout_us;
	uint32_t us =
		sim->p.prompt
			? rng_between(&sim->link_dice, timeout_us / 2,
				      timeout_us - 1000000)
			: rng_between(&sim->link_dice, 31000000, 45000000);

	(void)obj;
	(void)arg;
	if (!sim->faults_on)
		return;
	SIM_COVER(sim, link_outages);
	for (unsigned i = 0; i < sim->links->count; i++)
		reset_for(sim, &sim->links->all[i], us);
}

static void restart_one(struct sim *sim, void *obj, uint64_t arg)
{
	struct links *ls = sim->links;
	unsigned group = rng_below(&sim->link_dice, sim->p.groups);

	(void)obj;
	(void)arg;
	if (!sim->faults_on)
		return;
	SIM_COVER(sim, intercept_restarts);
	sim_trace(sim, "intercept %u starts anew", group);
	for (unsigned i = 0; i < ls->count; i++)
		if (group_of(sim, &ls->all[i]) == group)
			reset(sim, &ls->all[i]);
	intercept_restart(sim, group);
}

static void restart_tcpcopy(struct sim *sim, void *obj, uint64_t arg)
{
	struct links *ls = sim->links;

	(void)obj;
	(void)arg;
	if (!sim->faults_on)
		return;
	SIM_COVER(sim, tcpcopy_restarts);
	ls->restarts++;
	for (unsigned i = 0; i < ls->count; i++)
		reset(sim, &ls->all[i]);
	copier_restart(sim);
}

static void plan(struct sim *sim, sim_fn *fn, unsigned count)
{
	uint64_t span_us =
		conversations_end_us(sim->conversations) - sim->now_us;

	for (unsigned i = 0; i < count; i++)
		sim_at(sim,
		       sim->now_us +
			       rng_below(&sim->link_dice, (uint32_t)span_us),
		       fn, NULL, 0);
}

void links_new(struct sim *sim)
{
	struct links *ls = sim_alloc(sim, sizeof(*ls));

	sim->links = ls;
	ls->mem = sim_plain_mem;
	ls->count = sim->p.groups * sim->p.links_per_group;
	for (unsigned i = 0; i < ls->count; i++) {
		ls->all[i].id = i;
		sim_at(sim, sim->now_us + rng_below(&sim->link_dice, 50000),
		       connect_link, &ls->all[i], 0);
	}
	plan(sim, reset_one, sim->p.link_resets);
	plan(sim, stall_one, sim->p.link_stalls);
	plan(sim, cut_all, sim->p.outages);
	plan(sim, restart_one, sim->p.intercept_restarts);
	plan(sim, restart_tcpcopy, sim->p.tcpcopy_restarts);
}

void links_free(struct sim *sim)
{
	struct links *ls = sim->links;

	for (unsigned i = 0; i < ls->count; i++)
		for (unsigned side = 0; side < 2; side++)
			if (ls->all[i].ends[side].peer)
				peer_free(ls->all[i].ends[side].peer, &ls->mem);
}

void links_mend(struct sim *sim)
{
	for (unsigned i = 0; i < sim->links->count; i++)
		sim->links->all[i].stalled_until_us = 0;
}
