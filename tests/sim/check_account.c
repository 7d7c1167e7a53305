// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * The ledger must balance after every event. At the end it must agree with the
 * world's own count: all of what was captured is known from the conversations,
 * all of what was delivered from the target's connections. Where nothing is
 * bound to get lost the agreement is exact.
 */
#include "tests/sim/check.h"
#include "tests/sim/copier.h"

#define SAME_TIME_MAX 200000u
#define CALM_US	      10000000u

static void check_unit(struct sim *sim, const char *name,
		       const struct ledger_unit *u)
{
	if (!ledger_balanced(u))
		sim_fail(sim, "ledger", "%s do not balance", name);
}

static void check_sample(struct sim *sim)
{
	const struct ledger_unit *u = &copier_ledger(sim)->conns;
	uint64_t share = (uint64_t)sim->p.copies * sim->p.targets;
	uint64_t copied = (u->expected - u->not_sampled) / share;
	uint64_t fair = u->captured * sim->p.sample_percent / 100;

	if (copied != fair && copied != fair + 1)
		sim_fail(sim, "sampling", "%llu of %llu connections copied",
			 (unsigned long long)copied,
			 (unsigned long long)u->captured);
}

void check_ledger(struct sim *sim)
{
	const struct ledger *l = copier_ledger(sim);

	if (sim->failed)
		return;
	check_unit(sim, "connections", &l->conns);
	check_unit(sim, "turns", &l->turns);
	check_unit(sim, "bytes", &l->bytes);
	check_sample(sim);
	if (sim->p.max_sessions && l->conns.in_flight > sim->p.max_sessions)
		sim_fail(sim, "limit", "%llu sessions, %u allowed",
			 (unsigned long long)l->conns.in_flight,
			 sim->p.max_sessions);
	if (l->packets_blocked)
		sim_fail(sim, "targets", "the send guard had to stop a packet");
	if (sim->check->violations > l->early_quiet + l->early_hold)
		sim_fail(sim, "gate",
			 "%llu turns left before their answer, %llu counted",
			 (unsigned long long)sim->check->violations,
			 (unsigned long long)(l->early_quiet + l->early_hold));
}

void check_deadline(struct sim *sim, bool progress, uint64_t next_us)
{
	struct check *c = sim->check;
	uint64_t live = copier_ledger(sim)->conns.in_flight;

	/* sessions that find no tuple end in silence, so many at a time */
	progress |= live != c->live;
	c->live = live;
	c->strikes = progress || next_us > sim->now_us ? 0 : c->strikes + 1;
	c->same_time = c->same_time_us == sim->now_us ? c->same_time + 1 : 0;
	c->same_time_us = sim->now_us;
	if (c->strikes > 1 || c->same_time > SAME_TIME_MAX)
		sim_fail(sim, "deadline", "the deadline stays in the past");
}

void check_shutdown(struct sim *sim)
{
	sim->check->shut = true;
}

bool check_is_settled(struct sim *sim)
{
	struct check *c = sim->check;
	const struct replay *r = copier_engine(sim);

	if (replay_sessions(r) > 0 || replay_flows(r) > 0)
		return false;
	if (!c->idle_since_us)
		c->idle_since_us = sim->now_us;
	return sim->now_us >= c->idle_since_us + CALM_US;
}

void check_goes_on(struct sim *sim)
{
	sim->check->idle_since_us = 0;
}

void check_not_settled(struct sim *sim)
{
	sim_fail(sim, "liveness", "%u sessions and %u connections never end",
		 replay_sessions(copier_engine(sim)),
		 replay_flows(copier_engine(sim)));
}

struct tally {
	uint64_t conns, turns, bytes;
};

/* What a conversation must add to `captured`, and to what is lost. */
static void count_conversation(const struct conversation *c,
			       struct tally *captured, struct tally *tls,
			       struct tally *midstream)
{
	struct tally one = {0}, before = {0};

	if (!c->captured_at_all)
		return;
	one.conns = 1;
	for (unsigned k = 0; k < c->turn_count; k++) {
		uint64_t bytes = 0;

		for (uint32_t b = c->turns[k].start; b < c->turns[k].end; b++)
			bytes += c->captured[b];
		one.turns += bytes > 0;
		one.bytes += bytes;
		if (c->turns[k].start < c->copied_from) {
			before.turns += bytes > 0;
			before.bytes += bytes;
		}
	}
	captured->conns += one.conns;
	captured->turns += one.turns;
	captured->bytes += one.bytes;
	if (c->tls) {
		tls->turns += one.turns;
		tls->bytes += one.bytes;
	}
	midstream->turns += before.turns;
	midstream->bytes += before.bytes;
}

static void expect(struct sim *sim, const char *what, uint64_t is,
		   uint64_t should)
{
	if (is != should)
		sim_fail(sim, "ledger", "%s: %llu, but it was %llu", what,
			 (unsigned long long)is, (unsigned long long)should);
}

/* Nothing is left out but for what the world has made so. */
static void check_left_out(struct sim *sim)
{
	const struct ledger *l = copier_ledger(sim);
	uint64_t shed = l->shed_sessions + l->shed_rate + l->shed_cpu;
	uint64_t share = (uint64_t)sim->p.copies * sim->p.targets;

	expect(sim, "copies of loops", l->conns.lost[LOSS_LOOP],
	       sim->check->loops * share);
	expect(sim, "copies left out", l->conns.lost[LOSS_LIMIT], shed * share);
	if (!sim->p.limited)
		expect(sim, "connections left out", shed, 0);
}

static void check_captured(struct sim *sim, struct tally *tls,
			   struct tally *midstream)
{
	const struct conversations *cs = sim->conversations;
	const struct ledger *l = copier_ledger(sim);
	struct tally captured = {0};

	for (unsigned i = 0; i < cs->count; i++)
		count_conversation(&cs->all[i], &captured, tls, midstream);
	if (sim->p.capture.loss || sim->check->restarted)
		return;
	if (!sim->p.short_of_memory) /* or some are seen twice, or never */
		expect(sim, "connections captured", l->conns.captured,
		       captured.conns + sim->check->loops);
	/* of connections not copied, late bytes count as repeated */
	if (sim->p.sample_percent < 100 || sim->p.short_of_memory ||
	    sim->p.limited) {
		if (l->bytes.captured > captured.bytes)
			sim_fail(sim, "ledger", "more captured than there was");
		return;
	}
	expect(sim, "turns captured", l->turns.captured, captured.turns);
	expect(sim, "bytes captured", l->bytes.captured, captured.bytes);
}

static void check_exact(struct sim *sim, const struct tally *tls,
			const struct tally *midstream)
{
	const struct ledger *l = copier_ledger(sim);
	uint64_t share = (uint64_t)sim->p.copies * sim->p.targets;

	for (int i = 0; i < LOSS_COUNT; i++)
		if (i != LOSS_TLS && i != LOSS_MIDSTREAM &&
		    !(i == LOSS_NO_TUPLE && sim->p.scarce))
			expect(sim, ledger_loss_key((enum loss)i),
			       l->turns.lost[i], 0);
	expect(sim, "turns delivered", l->turns.answered + l->turns.unanswered,
	       sim->check->turns_delivered);
	expect(sim, "bytes delivered", l->bytes.answered + l->bytes.unanswered,
	       sim->check->bytes_delivered);
	if (sim->p.sample_percent < 100)
		return;
	expect(sim, "turns of TLS", l->turns.lost[LOSS_TLS],
	       tls->turns * share);
	expect(sim, "bytes of TLS", l->bytes.lost[LOSS_TLS],
	       tls->bytes * share);
	expect(sim, "turns before the join", l->turns.lost[LOSS_MIDSTREAM],
	       midstream->turns * share);
	expect(sim, "bytes before the join", l->bytes.lost[LOSS_MIDSTREAM],
	       midstream->bytes * share);
}

/* The target answers each turn within the timeout, and so does nobody leave
 * before that but who was ended by a reset, of which no answer is known. */
static void check_prompt(struct sim *sim)
{
	const struct conversations *cs = sim->conversations;
	const struct ledger *l = copier_ledger(sim);
	uint64_t may = 0;

	for (unsigned i = 0; i < cs->count; i++)
		may += cs->all[i].close == CLIENT_RST ||
		       cs->all[i].close == CLIENT_STAYS;
	may *= (uint64_t)sim->p.copies * sim->p.targets;
	expect(sim, "turns let go early", l->early_quiet + l->early_hold, 0);
	if (l->turns.unanswered > may)
		sim_fail(sim, "prompt", "%llu turns without an answer, of %llu",
			 (unsigned long long)l->turns.unanswered,
			 (unsigned long long)may);
}

/* Every turn of a conversation that is copied came the same number of times,
 * everywhere. */
static void check_whole(struct sim *sim, const struct conversation *c)
{
	const struct check_conversation *n = c->checked;
	bool all = sim->p.sample_percent == 100;
	bool without =
		sim->p.scarce && copier_ledger(sim)->conns.lost[LOSS_NO_TUPLE];

	if (c->tls || c->copied_from == c->len)
		return;
	if (!n && (!all || without || sim->p.limited || !c->captured_at_all))
		return;
	for (unsigned h = 0; h < sim->p.targets; h++)
		for (unsigned k = 0; k < c->turn_count; k++) {
			unsigned times = n ? n->delivered[h][k] : 0;

			if (c->turns[k].start < c->copied_from ||
			    times == sim->p.copies ||
			    (without && times < sim->p.copies))
				continue;
			sim_fail(sim, "whole",
				 "turn %u of conversation %u came %u times", k,
				 c->id, times);
			return;
		}
}

static void check_left_open(struct sim *sim)
{
	const struct target_connection *t = target_all(sim);
	char text[ENDPOINT_TEXT_MAX];

	for (; t; t = t->next)
		if (t->ours && t->state != T_CLOSED && t->state != T_TIME_WAIT)
			sim_fail(sim, "open",
				 "the target's connection from %s was left in "
				 "state %d",
				 endpoint_text(&t->tuple.src, text),
				 (int)t->state);
}

void check_end(struct sim *sim)
{
	const struct ledger *l = copier_ledger(sim);
	struct tally tls = {0}, midstream = {0};
	bool later;
	size_t memory = copier_memory(sim, &later);

	check_ledger(sim);
	expect(sim, "connections in flight", l->conns.in_flight, 0);
	expect(sim, "turns in flight", l->turns.in_flight, 0);
	expect(sim, "bytes in flight", l->bytes.in_flight, 0);
	check_captured(sim, &tls, &midstream);
	check_left_out(sim);
	if (sim->check->bytes_delivered <
	    l->bytes.answered + l->bytes.unanswered)
		sim_fail(sim, "ledger", "more bytes delivered than arrived");
	/* a turn that is answered may still grow, and its end be lost */
	if (!sim->p.capture.loss &&
	    sim->check->turns_begun < l->turns.answered + l->turns.unanswered)
		sim_fail(sim, "ledger", "more turns delivered than arrived");
	if (sim->p.exact)
		check_exact(sim, &tls, &midstream);
	if (sim->p.prompt)
		check_prompt(sim);
	for (unsigned i = 0; i < sim->conversations->count; i++)
		if (sim->p.exact || sim->conversations->all[i].fresh)
			check_whole(sim, &sim->conversations->all[i]);
	if (sim->p.quiet_net)
		check_left_open(sim);
	if (later)
		sim_fail(sim, "memory", "memory was asked for after the start");
	if (memory > sim->p.memory_bytes + sim->p.memory_bytes / 2 + (1u << 20))
		sim_fail(sim, "memory", "%zu bytes for a limit of %zu", memory,
			 sim->p.memory_bytes);
}
