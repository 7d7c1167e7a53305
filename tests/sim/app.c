// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * The application reads requests and answers one after the other, as the
 * conversation says; it knows whose they are by their first bytes. Some close
 * the connection after a few answers, at once or a little later, and throw
 * away what has come meanwhile; some reset it.
 */
#include "tests/sim/check.h"
#include "tests/sim/target.h"

static void serve(struct sim *sim, struct target_connection *t);

static void greet(struct sim *sim, void *obj, uint64_t arg)
{
	struct target_connection *t = obj;

	(void)arg;
	if (t->state == T_CLOSED)
		return;
	target_write(sim, t, SIM_GREETING_BYTES);
	t->greeted = true;
	serve(sim, t);
}

void app_on_established(struct sim *sim, struct target_connection *t)
{
	t->greeted = t->tuple.dst.port != SIM_GREETING_PORT;
	if (!t->greeted)
		sim_at(sim,
		       sim->now_us + rng_between(&sim->target_dice, 50, 30000),
		       greet, t, 0);
}

static void close_now(struct sim *sim, void *obj, uint64_t arg)
{
	struct target_connection *t = obj;

	(void)arg;
	if (t->state == T_CLOSED || t->app_closed)
		return;
	/* unread bytes at that moment make it a reset, often */
	if (t->conv->app == APP_RESETS) {
		SIM_COVER(sim, target_reset_first);
		target_reset(sim, t);
	} else {
		SIM_COVER(sim, target_closed_first);
		target_close(sim, t);
	}
}

static void answered(struct sim *sim, struct target_connection *t)
{
	struct rng *dice = &sim->target_dice;

	t->busy = false;
	t->next_request++;
	t->answers++;
	if (t->conv->app != APP_LIKE_ONLINE &&
	    t->answers >= t->conv->close_after) {
		t->closing = true;
		sim_at(sim,
		       sim->now_us + (rng_chance(dice, 500)
					      ? 0
					      : rng_between(dice, 100, 60000)),
		       close_now, t, 0);
		return;
	}
	serve(sim, t);
}

static void answer_rest(struct sim *sim, void *obj, uint64_t arg)
{
	struct target_connection *t = obj;

	if (t->state == T_CLOSED)
		return;
	target_write(sim, t, (uint32_t)arg);
	answered(sim, t);
}

static void answer(struct sim *sim, void *obj, uint64_t arg)
{
	struct target_connection *t = obj;
	const struct request *q;
	uint32_t first;

	(void)arg;
	if (t->state == T_CLOSED)
		return;
	q = &t->conv->requests[t->next_request];
	first = q->pause_us ? q->target_answer / 2 : q->target_answer;
	if (first > 0)
		target_write(sim, t, first);
	if (q->pause_us)
		sim_at(sim, sim->now_us + q->pause_us, answer_rest, t,
		       q->target_answer - first);
	else
		answered(sim, t);
}

/* Begins the next request that is there as a whole, or ends. */
static void serve(struct sim *sim, struct target_connection *t)
{
	const struct request *q;

	if (t->busy || t->closing || t->app_closed || !t->greeted)
		return;
	if (t->conv && t->next_request < t->conv->request_count) {
		q = &t->conv->requests[t->next_request];
		if (q->end - t->conv_at <= t->read) {
			t->busy = true;
			sim_at(sim, sim->now_us + q->delay_us, answer, t, 0);
			return;
		}
	}
	if (t->fin_seen && t->read == t->received)
		target_close(sim, t);
}

static void find_out(struct sim *sim, struct target_connection *t)
{
	uint32_t start = 0;

	if (t->conv || t->received < SIM_TELLING_BYTES)
		return;
	t->conv = conversations_find(sim->conversations, t->bytes, &start);
	if (!t->conv) {
		sim_fail(sim, "prefix",
			 "the target got a stream that begins like nobody's "
			 "turn");
		return;
	}
	t->conv_at = start;
	while (t->next_request < t->conv->request_count &&
	       t->conv->requests[t->next_request].end <= start)
		t->next_request++;
	t->first_request = t->next_request;
	check_received(sim, t);
}

static void read_later(struct sim *sim, void *obj, uint64_t arg)
{
	struct target_connection *t = obj;

	(void)arg;
	t->paused = false;
	if (t->state == T_CLOSED)
		return;
	target_read(sim, t);
	serve(sim, t);
}

void app_on_bytes(struct sim *sim, struct target_connection *t)
{
	struct rng *dice = &sim->target_dice;

	find_out(sim, t);
	if (t->fin_seen)
		check_fin_received(sim, t);
	if (sim->failed || t->app_closed)
		return;
	if (t->paused)
		return;
	if (t->received > t->read && rng_chance(dice, sim->p.zero_windows)) {
		t->paused = true;
		sim_at(sim, sim->now_us + rng_between(dice, 20000, 900000),
		       read_later, t, 0);
		return;
	}
	target_read(sim, t);
	serve(sim, t);
}
