// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * The engine is its tables and four doors: captured packets (replay_flows.c),
 * link messages (here), link changes and first contact with a target
 * (replay_links.c), timers (here). Whatever they change is settled
 * (replay_copies.c) and then pulled from here: messages, packets, notices.
 *
 * With relay, packets go by the link of their session's route, behind its
 * registration and before its end. Copies whose link takes no packets now are
 * held: they leave the list of those that are ready, and come back to its head
 * when any link has room, or has come or gone. Meanwhile nothing is lost but
 * time, so their retransmission timers begin anew instead of going off.
 */
#include "core/replay_internal.h"

#include "core/check.h"

#define COPIES_MAX (1u << 22)

static void *take(const struct mem *mem, size_t count, size_t size, bool *ok)
{
	void *p = mem->alloc(mem->ctx, count * size + 1);

	if (!p)
		*ok = false;
	return p;
}

static void give(const struct mem *mem, void *p, size_t count, size_t size)
{
	if (p)
		mem->free(mem->ctx, p, count * size + 1);
}

static size_t link_count(const struct replay_config *cfg)
{
	return (size_t)cfg->group_count * cfg->links_per_group;
}

/* Those of IPv4 first: each target can have only its own family's. */
static void copy_clients(struct replay *r, const struct replay_config *cfg)
{
	size_t n = 0;

	for (int v4 = 1; v4 >= 0; v4--)
		for (size_t i = 0; i < cfg->client_count; i++)
			if (addr_is_v4(&cfg->clients[i].first) == v4) {
				r->clients[n++] = cfg->clients[i];
				r->v4_client_count += (size_t)v4;
			}
}

static bool copy_config(struct replay *r, const struct replay_config *cfg,
			const struct mem *mem)
{
	bool ok = true;

	r->cfg = *cfg;
#define TAKE(field, count) take(mem, count, sizeof(*r->field), &ok)
	r->mappings = TAKE(mappings, cfg->mapping_count);
	r->targets = TAKE(targets, cfg->target_count);
	r->target_ports = TAKE(target_ports, cfg->target_count);
	r->clients = TAKE(clients, cfg->client_count);
	r->own_addrs = TAKE(own_addrs, cfg->own_addr_count);
	r->link_up = TAKE(link_up, link_count(cfg));
	r->link_full = TAKE(link_full, link_count(cfg));
	r->link_unarmed = TAKE(link_unarmed, link_count(cfg));
	r->vouches = TAKE(vouches, cfg->group_count);
#undef TAKE
	if (!ok)
		return false;
	for (size_t i = 0; i < cfg->mapping_count; i++)
		r->mappings[i] = cfg->mappings[i];
	copy_clients(r, cfg);
	for (size_t i = 0; i < cfg->own_addr_count; i++)
		r->own_addrs[i] = cfg->own_addrs[i];
	return true;
}

static void init_target(struct replay *r, uint32_t i,
			const struct replay_config *cfg)
{
	struct target *t = &r->targets[i];
	uint16_t headers = addr_is_v4(&cfg->targets[i].at.addr) ? 40 : 60;

	*t = (struct target){
		.cfg = cfg->targets[i],
		.silent_at_us = TIME_NEVER,
		.params =
			{
				.mss_bytes =
					(uint16_t)(cfg->mtu_bytes - headers),
				.timeout_us = cfg->timeout_us,
				.max_hold_us = cfg->max_hold_us,
				.resend = cfg->resend,
			},
	};
	if (cfg->mss_bytes && cfg->mss_bytes < t->params.mss_bytes)
		t->params.mss_bytes = cfg->mss_bytes;
	r->target_ports[i] = t->cfg.at.port;
}

static bool make_trace(struct replay *r, const struct mem *mem)
{
	if (addr_is_none(&r->cfg.trace.addr))
		return true;
	r->trace = trace_new(&r->cfg.trace, mem);
	r->trace_bytes = trace_bytes();
	return r->trace != NULL;
}

/* Half of the memory for connections, the rest for what they hold. */
static bool make_tables(struct replay *r, const struct replay_config *cfg,
			const struct mem *mem, uint64_t now_us)
{
	size_t each = sizeof(struct copy) + sizeof(struct copy_work) +
		      sizeof(struct flow) + FLOW_BUCKET_BYTES +
		      TUPLES_EACH_BYTES * 3 / 2;
	size_t memory_bytes = cfg->memory_bytes - r->trace_bytes;
	size_t connections = memory_bytes / 2 / each;
	uint32_t n =
		connections > COPIES_MAX ? COPIES_MAX : (uint32_t)connections;
	size_t left = memory_bytes - n * each;
	struct tuples_config tuples = {
		.count = n + n / 2,
		.port_slice = cfg->port_slice,
		.barred_ports = r->target_ports,
		.barred_port_count = cfg->target_count,
		.split = cfg->split,
		.hash_key = cfg->hash_key,
	};

	if (cfg->memory_bytes < r->trace_bytes || n == 0)
		return false;
	r->flow_timers = timers_new(mem, now_us);
	r->copy_timers = timers_new(mem, now_us);
	r->tuples = tuples_new(&tuples, mem);
	return r->flow_timers && r->copy_timers && r->tuples &&
	       pool_init(&r->copies, mem, sizeof(struct copy), n) &&
	       pool_init(&r->works, mem, sizeof(struct copy_work), n) &&
	       flow_table_init(&r->flows, mem, n, cfg->hash_key) &&
	       hold_store_init(&r->store, mem,
			       (uint32_t)(left * 7 / 8 / HOLD_EACH_BYTES),
			       (uint32_t)(left / 8 / sizeof(struct hold_turn)));
}

struct replay *replay_new(const struct replay_config *cfg,
			  const struct mem *mem, uint64_t now_us)
{
	struct replay *r = mem->alloc(mem->ctx, sizeof(*r));

	if (!r)
		return NULL;
	if (!copy_config(r, cfg, mem)) {
		replay_free(r, mem);
		return NULL;
	}
	for (uint32_t i = 0; i < cfg->target_count; i++)
		init_target(r, i, cfg);
	if (!make_trace(r, mem) || !make_tables(r, cfg, mem, now_us)) {
		replay_free(r, mem);
		return NULL;
	}
	replay_init_limits(r, now_us);
	r->sample_owed = 100 - cfg->sample_percent;
	r->reregister_at = POOL_NONE;
	r->round_begins = r->round_ends = (uint32_t)link_count(cfg);
	r->lease_us = TIME_NEVER;
	r->next_generation = 1;
	r->now_us = now_us;
	return r;
}

void replay_free(struct replay *r, const struct mem *mem)
{
	hold_store_fini(&r->store, mem);
	if (r->trace)
		trace_free(r->trace, mem);
	if (r->flows.buckets)
		flow_table_fini(&r->flows, mem);
	pool_fini(&r->copies, mem);
	pool_fini(&r->works, mem);
	if (r->tuples)
		tuples_free(r->tuples, mem);
	if (r->copy_timers)
		timers_free(r->copy_timers, mem);
	if (r->flow_timers)
		timers_free(r->flow_timers, mem);
#define GIVE(field, count) give(mem, r->field, count, sizeof(*r->field))
	GIVE(mappings, r->cfg.mapping_count);
	GIVE(targets, r->cfg.target_count);
	GIVE(target_ports, r->cfg.target_count);
	GIVE(clients, r->cfg.client_count);
	GIVE(own_addrs, r->cfg.own_addr_count);
	GIVE(link_up, link_count(&r->cfg));
	GIVE(link_full, link_count(&r->cfg));
	GIVE(link_unarmed, link_count(&r->cfg));
	GIVE(vouches, r->cfg.group_count);
#undef GIVE
	mem->free(mem->ctx, r, sizeof(*r));
}

/* Copies that a connection to this address and port should have. */
static uint32_t share_of(const struct replay *r, const struct endpoint *online)
{
	uint32_t targets = 0;

	for (size_t i = 0; i < r->cfg.mapping_count; i++)
		targets += replay_is_copied_to(&r->mappings[i], online);
	return targets * r->cfg.copies;
}

void replay_on_packet(struct replay *r, const uint8_t *l3, size_t cap_len,
		      size_t wire_len, uint64_t now_us)
{
	struct segment seg;
	uint32_t share;

	if (r->shut)
		return;
	r->now_us = now_us;
	r->ledger.packets_captured++;
	if (packet_parse(&seg, l3, cap_len, wire_len) != PACKET_OK ||
	    seg.payload_cap != seg.payload_len) {
		r->ledger.packets_malformed++;
		return;
	}
	share = share_of(r, &seg.tuple.dst);
	if (share == 0)
		r->ledger.packets_not_ours++;
	else
		replay_on_segment(r, &seg, share, now_us);
}

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
		session_retry_open(&c->work->session, now_us);
		c->work->session.retry_at_us = now_us + REPLAY_REFUSED_US;
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
		on_response(r, &msg->response, now_us);
	else if (msg->type == WIRE_ROUTE_REFUSED)
		on_refused(r, msg->route.route_id, now_us);
	else if (msg->type == WIRE_STATUS)
		replay_on_status(r, link_id, &msg->status, now_us);
}

/* Where a copy's packets go now, -1: nowhere. */
static int relay_link(const struct replay *r, const struct copy *c)
{
	unsigned group = r->targets[c->target].cfg.relay_group;
	int link = replay_pick_link(r, group, c->link);

	return link >= 0 && r->link_full[link] ? -1 : link;
}

static void release_held(struct replay *r)
{
	if (!r->held.head)
		return;
	r->held.tail->work->ready_next = r->ready.head;
	if (!r->ready.head)
		r->ready.tail = r->held.tail;
	r->ready.head = r->held.head;
	r->held = (struct copy_list){0};
}

void replay_on_link_room(struct replay *r, unsigned link_id, bool room)
{
	r->link_full[link_id] = !room;
	if (room)
		release_held(r);
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

		if (r->cfg.relay && relay_link(r, c) < 0)
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

/* The last line: nothing goes anywhere but to a configured target. */
static bool may_send_to(const struct replay *r, const struct endpoint *to)
{
	for (size_t i = 0; i < r->cfg.target_count; i++)
		if (endpoint_equal(&r->targets[i].cfg.at, to))
			return true;
	return false;
}

static size_t build(struct replay *r, struct copy *c,
		    struct session_segment *out, uint8_t *slot, size_t cap)
{
	struct segment *seg = &out->seg;
	struct trace *t;
	size_t header;

	seg->tuple.src = tuples_client(r->tuples, c->tuple);
	seg->tuple.dst = r->targets[c->target].cfg.at;
	if (!may_send_to(r, &seg->tuple.dst)) {
		r->ledger.packets_blocked++;
		return 0;
	}
	header = packet_header_len(seg);
	ASSERT(header + seg->payload_len <= cap);
	seg->payload_cap = seg->payload_len;
	seg->payload = slot + header;
	if (seg->payload_len)
		hold_read(&c->flow->hold, &r->store, out->from, slot + header,
			  seg->payload_len);
	r->ledger.packets_sent++;
	r->ledger.packets_resent += out->again;
	if (seg->flags & TCP_SYN && out->again)
		replay_push_msg(r, c);
	t = replay_trace(r, c);
	if (t)
		trace_segment(t, out->again ? TRACE_RESENT : TRACE_SENT, seg);
	return packet_build(slot, cap, seg, r->ip_id++);
}

static struct copy *take_ready(struct replay *r)
{
	struct copy *c = r->ready.head;

	r->ready.head = c->work->ready_next;
	if (!r->ready.head)
		r->ready.tail = NULL;
	return c;
}

/* The head of the list is ready, but its link is not. */
static void hold_back(struct replay *r)
{
	struct copy *c = take_ready(r);

	c->work->ready_next = NULL;
	if (r->held.tail)
		r->held.tail->work->ready_next = c;
	else
		r->held.head = c;
	r->held.tail = c;
}

/* Whether its packets can go, and by which link. */
static bool may_go(struct replay *r, const struct copy *c)
{
	int link = r->cfg.relay ? relay_link(r, c) : 0;

	if (link >= 0)
		r->packet_link = (unsigned)link;
	return link >= 0;
}

static void pop_ready(struct replay *r, uint64_t now_us)
{
	struct copy *c = take_ready(r);

	c->in_ready = false;
	/* With relay, or when it was given up since. */
	if (c->registered && c->work->session.state == SESSION_DONE)
		replay_push_msg(r, c);
	replay_arm_timer(r, c);
	replay_put_down(r, c, now_us);
}

size_t replay_next_packet(struct replay *r, uint8_t *slot, size_t slot_cap,
			  uint64_t now_us)
{
	struct session_segment out;
	struct copy *c;
	size_t len;

	if (now_us >= r->lease_us) /* not one packet more */
		replay_on_leases(r, now_us);
	while ((c = r->ready.head)) {
		struct session_env env = replay_env(r, c);

		if (!may_go(r, c)) {
			hold_back(r);
			continue;
		}
		if (c->tuple == POOL_NONE ||
		    !session_next_segment(&c->work->session, &env, &out,
					  now_us)) {
			pop_ready(r, now_us);
			continue;
		}
		len = build(r, c, &out, slot, slot_cap);
		if (len == 0)
			continue;
		replay_note_sent(r, len, now_us);
		return len;
	}
	return 0;
}

void replay_set_relay(struct replay *r, bool relay, uint64_t now_us)
{
	r->cfg.relay = relay;
	release_held(r);
	for (size_t i = 0; i < r->cfg.target_count; i++)
		if (!r->targets[i].proven)
			replay_forget_proof(&r->targets[i], now_us);
}

unsigned replay_packet_link(const struct replay *r)
{
	return r->packet_link;
}

bool replay_next_notice(struct replay *r, struct replay_notice *notice)
{
	for (uint32_t i = 0; i < r->cfg.target_count; i++) {
		struct target *t = &r->targets[i];

		if (!t->notices)
			continue;
		notice->target = i;
		notice->type =
			(enum replay_notice_type)__builtin_ctz(t->notices);
		t->notices &= (uint16_t)(t->notices - 1);
		return true;
	}
	return false;
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

uint32_t replay_sessions(const struct replay *r)
{
	return (uint32_t)r->ledger.conns.in_flight;
}
