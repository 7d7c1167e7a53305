// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A copy has its work only while something is under way. It is woken by what
 * may change its session: its client, its target, a link. When it has left the
 * last list, with nothing more to send, nothing to tell and no deadline, it is
 * put to rest. An answer's ACK waits 10 ms for the next turn, so the copies of
 * clients that are busy do not rest between turns.
 *
 * There is a work for every copy, so that waking cannot fail; those never used
 * were never touched.
 */
#include "core/replay_internal.h"

#include "core/check.h"

void replay_take_work(struct replay *r, struct copy *c)
{
	uint32_t index = pool_take(&r->works);

	ASSERT(index != POOL_NONE && !c->work);
	c->work = pool_at(&r->works, index);
	*c->work = (struct copy_work){.copy = c};
}

void replay_give_work(struct replay *r, struct copy *c)
{
	pool_give(&r->works, pool_index(&r->works, c->work));
	c->work = NULL;
}

void replay_wake(struct replay *r, struct copy *c, uint64_t now_us)
{
	if (c->work)
		return;
	replay_take_work(r, c);
	session_wake(&c->work->session, &c->rest, &c->flow->hold, now_us);
}

void replay_wake_all(struct replay *r, const struct flow *f, uint64_t now_us)
{
	for (struct copy *c = f->copies; c; c = c->next)
		replay_wake(r, c, now_us);
}

void replay_let_rest(struct replay *r, struct copy *c)
{
	const struct session_params *params = &r->targets[c->target].params;

	if (c->in_ready || c->in_msgs || c->in_waiting ||
	    timer_armed(&c->work->timer) ||
	    !session_put_to_rest(&c->work->session, params, &c->rest))
		return;
	replay_give_work(r, c);
}

enum session_state replay_state(const struct copy *c)
{
	return (enum session_state)(c->work ? c->work->session.state
					    : c->rest.state);
}
