// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * The engine is its tables (replay_new.c) and four doors: captured packets
 * (replay_arrivals.c), link messages (here), link changes and first contact
 * with a target (replay_links.c), timers (here). Whatever they change is
 * settled (replay_copies.c) and then pulled: messages (replay_links.c), packets
 * (replay_packets.c), notices (replay_notices.c).
 */
#include "core/replay_internal.h"

#include "core/check.h"
#include "core/fetch.h"

static struct copy *copy_of_route(struct replay *r, uint64_t route_id)
{
	uint32_t index = (uint32_t)route_id;
	struct copy *c;

	if (index >= r->copies.fresh)
		return NULL;
	c = replay_copy_at(r, index);
	if (!c->live || c->generation != route_id >> 32)
		return NULL;
	return c;
}

static void trace_response(struct replay *r, const struct copy *c,
			   const struct wire_response *resp)
{
	struct trace *t = replay_trace(r, c);

	if (t)
		trace_add(t, (struct trace_event){.what = TRACE_RESPONSE,
						  .seq = resp->seq,
						  .ack = resp->ack,
						  .len = resp->payload_len,
						  .need = resp->wnd,
						  .flags = resp->flags});
}

static void on_response(struct replay *r, const struct wire_response *resp,
			uint64_t now_us)
{
	struct copy *c = copy_of_route(r, resp->route_id);
	struct session_env env;

	r->ledger.responses++;
	if (!c) {
		r->ledger.responses_stale++;
		return;
	}
	env = replay_env(r, c);
	trace_response(r, c, resp);
	replay_wake(r, c, now_us);
	session_on_response(&c->work->session, &env, resp, now_us);
	/* after it: this may open the session anew, under another route id */
	if (!r->targets[c->target].proven)
		replay_on_first_response(r, &r->targets[c->target], now_us);
	replay_settle(r, c, now_us);
}

/* Their copies are all over the memory, and each step to what a response needs
 * waits for the one before: all of them take each step together. */
static void fetch_ahead(struct replay *r, const struct wire_response *resps,
			size_t count)
{
	const struct copy *copies[REPLAY_RESPONSES];
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if ((uint32_t)resps[i].route_id < r->copies.fresh)
			fetch_bytes(
				replay_copy_at(r, (uint32_t)resps[i].route_id),
				sizeof(struct copy));
	for (size_t i = 0; i < count; i++) {
		const struct copy *c = copy_of_route(r, resps[i].route_id);

		if (!c)
			continue;
		copies[n++] = c;
		fetch_bytes(c->flow, sizeof(*c->flow));
		if (c->work)
			fetch_bytes(c->work, sizeof(*c->work));
	}
	for (unsigned step = 0; step < HOLD_FETCH_STEPS; step++)
		for (size_t i = 0; i < n; i++)
			hold_fetch(&copies[i]->flow->hold, &r->store, step);
}

void replay_on_responses(struct replay *r, const struct wire_response *resps,
			 size_t count, uint64_t now_us)
{
	ASSERT(count <= REPLAY_RESPONSES);
	r->now_us = now_us;
	fetch_ahead(r, resps, count);
	for (size_t i = 0; i < count; i++)
		on_response(r, &resps[i], now_us);
}

/* Another tcpcopy has the tuple: take one from the pool. Our SYN may have
 * opened something at the target all the same, so an RST goes on the old tuple
 * before it is given up. */
static void on_refused(struct replay *r, uint64_t route_id, uint64_t now_us)
{
	struct copy *c = copy_of_route(r, route_id);
	struct session_env env;

	if (!c || c->tuple == POOL_NONE ||
	    !session_state_is_open(replay_state(c)))
		return; /* over, or refused before: routes are told twice */
	env = replay_env(r, c);
	replay_wake(r, c, now_us);
	r->ledger.routes_refused++;
	replay_trace_tuple(r, c, TRACE_REFUSED);
	c->registered = false;
	if (c->work->session.state == SESSION_SYN_SENT &&
	    c->refusals < REPLAY_REFUSALS_MAX) {
		c->refusals++;
		c->tuple_refused = true;
		session_send_rst(&c->work->session);
		session_retry_open(&c->work->session,
				   now_us + REPLAY_REFUSED_US);
		/* what it sent led nowhere: the next try is the same session */
		r->targets[c->target].next_open_us = now_us;
	} else {
		session_give_up(&c->work->session, &env, LOSS_NO_TUPLE, now_us);
	}
	replay_settle(r, c, now_us);
}

void replay_on_msg(struct replay *r, unsigned link_id,
		   const struct wire_msg *msg, uint64_t now_us)
{
	r->now_us = now_us;
	if (msg->type == WIRE_RESPONSE)
		replay_on_responses(r, &msg->response, 1, now_us);
	else if (msg->type == WIRE_ROUTE_REFUSED)
		on_refused(r, msg->route.route_id, now_us);
	else if (msg->type == WIRE_STATUS)
		replay_on_status(r, link_id, &msg->status, now_us);
}

#define OWNER(timer_ptr, type)                                                 \
	((type *)(void *)((uint8_t *)(timer_ptr)-offsetof(type, timer)))

void replay_on_timer(struct replay *r, uint64_t now_us)
{
	struct timer *timer;

	r->now_us = now_us;
	while ((timer = timers_expired(r->copy_timers, now_us))) {
		struct copy *c = OWNER(timer, struct copy_work)->copy;
		struct session_env env = replay_env(r, c);

		if (!replay_may_send(r, c))
			session_defer_rto(&c->work->session, now_us);
		session_on_timer(&c->work->session, &env, now_us);
		replay_settle(r, c, now_us);
	}
	while ((timer = timers_expired(r->flow_timers, now_us)))
		replay_on_flow_timer(r, OWNER(timer, struct flow), now_us);
	replay_on_links_timer(r, now_us);
}

void replay_on_capture_end(struct replay *r, uint64_t now_us)
{
	r->now_us = now_us;
	for (struct flow *f = NULL; (f = flow_table_next(&r->flows, f));) {
		replay_close_flow(r, f, now_us);
		replay_free_flow_if_done(r, f, now_us);
	}
}

void replay_shutdown(struct replay *r, uint64_t now_us)
{
	r->shut = true;
	for (uint32_t i = 0; i < r->copies.fresh; i++) {
		struct copy *c = replay_copy_at(r, i);
		struct session_env env;

		if (!c->live)
			continue;
		env = replay_env(r, c);
		replay_wake(r, c, now_us);
		session_end(&c->work->session, &env, LOSS_SHUTDOWN, now_us);
		replay_settle(r, c, now_us);
	}
	replay_on_capture_end(r, now_us);
}

bool replay_next_trace(struct replay *r, struct trace_event *event,
		       uint64_t *missed)
{
	*missed = 0;
	return r->trace && trace_next(r->trace, event, missed);
}

uint64_t replay_deadline_us(const struct replay *r)
{
	uint64_t at = timers_next_us(r->copy_timers);
	uint64_t flows = timers_next_us(r->flow_timers);
	uint64_t links = replay_links_deadline_us(r);

	at = flows < at ? flows : at;
	return links < at ? links : at;
}

const struct ledger *replay_ledger(const struct replay *r)
{
	return &r->ledger;
}

uint32_t replay_flows(const struct replay *r)
{
	return r->flows.flows.used;
}

bool replay_is_half_full(const struct replay *r)
{
	return hold_store_is_half_full(&r->store);
}

uint32_t replay_sessions(const struct replay *r)
{
	return (uint32_t)r->ledger.conns.in_flight;
}
