// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * The online side: what a captured segment means for its connection. A flow
 * begins with the client's SYN and is copied from there, or it is found in the
 * middle: then it is followed without being copied ("joining") until two
 * in-order segments show a turn boundary. A hole in the capture that lasts
 * puts the flow back into that state. A flow that is not sampled, or left out
 * (replay_admit.c), is followed as well, so that what is not copied can be
 * counted.
 *
 * Every byte and turn gets into the ledger here, as captured and expected, and
 * at once into a place of its own unless copies are there to decide it.
 *
 * When its client has ended it a flow stays listed for a while, so that late
 * packets open no ghost; a new SYN on its tuple unlists it earlier.
 */
#include "core/replay_internal.h"

#include "core/seq.h"

#define HOLE_US		 3000000u
#define CLOSED_LINGER_US 5000000u
#define STRAY_BYTES	 (1 << 24)

/* When what is missing is given up, TIME_NEVER: nothing is. Before a FIN all
 * that there was behind the hole may be missing. */
static uint64_t hole_until_us(const struct replay *r, const struct flow *f)
{
	if (hold_has_hole(&f->hold))
		return hold_hole_us(&f->hold, &r->store) + HOLE_US;
	return hold_awaits_end(&f->hold) ? f->last_us + HOLE_US : TIME_NEVER;
}

static void arm_flow_timer(struct replay *r, struct flow *f)
{
	uint64_t at = f->last_us + r->cfg.idle_us;

	if (r->cfg.idle_us > TIME_NEVER - f->last_us)
		at = TIME_NEVER;
	if (f->closed)
		at = f->last_us + CLOSED_LINGER_US;
	else if (hole_until_us(r, f) < at)
		at = hole_until_us(r, f);
	if (at != TIME_NEVER &&
	    (!timer_armed(&f->timer) || at < f->timer.deadline_us))
		timers_set(r->flow_timers, &f->timer, at);
}

static void trace_captured(struct replay *r, const struct flow *f,
			   const struct segment *seg)
{
	if (!f->traced)
		return;
	trace_about(r->trace, &f->tuple.src, r->now_us);
	trace_segment(r->trace,
		      f->copied	    ? TRACE_CAPTURED
		      : f->left_out ? TRACE_LEFT_OUT
				    : TRACE_NOT_COPIED,
		      seg);
}

static bool is_traced(const struct replay *r, const struct segment *seg)
{
	return r->trace && trace_wants(r->trace, &seg->tuple.src);
}

/* Of a connection that there is no flow for. */
static void trace_no_memory(struct replay *r, const struct segment *seg)
{
	if (!is_traced(r, seg))
		return;
	trace_about(r->trace, &seg->tuple.src, r->now_us);
	trace_segment(r->trace, TRACE_NO_MEMORY, seg);
}

/* Gives it its place: with the copies that it is to have, or where what is not
 * copied belongs. */
static void place_flow(struct replay *r, struct flow *f,
		       const struct segment *seg, uint64_t now_us)
{
	enum loss why = replay_admit(r, seg, f->share, now_us);

	f->copied = why == LOSS_NONE;
	f->left_out = !f->copied;
	if (f->copied)
		r->ledger.conns.in_flight += f->share;
	else
		r->ledger.conns.lost[why] += f->share;
	f->joining_loss = (uint8_t)(f->copied ? LOSS_MIDSTREAM : why);
}

static struct flow *new_flow(struct replay *r, const struct arrival *a,
			     uint64_t now_us)
{
	struct ledger_unit *conns = &r->ledger.conns;
	const struct segment *seg = &a->seg;
	struct flow *f = flow_table_add(&r->flows, &seg->tuple, a->bucket);
	bool sampled;

	/* a connection that was refused is not refused again with every packet
	 */
	if (!f && !(seg->flags & TCP_SYN))
		return NULL;
	conns->captured++;
	conns->expected += a->share;
	sampled = replay_sample(r);
	if (!sampled)
		conns->not_sampled += a->share;
	if (!f) {
		if (sampled)
			conns->lost[LOSS_MEMORY] += a->share;
		trace_no_memory(r, seg);
		replay_tell(r, NOTICE_MEMORY, 0);
		return NULL;
	}
	f->share = a->share;
	f->last_us = now_us;
	f->traced = is_traced(r, seg);
	if (sampled)
		place_flow(r, f, seg, now_us);
	return f;
}

static struct flow *begin_whole(struct replay *r, const struct arrival *a,
				uint64_t now_us)
{
	const struct segment *seg = &a->seg;
	struct flow *f = new_flow(r, a, now_us);

	if (!f)
		return NULL;
	trace_captured(r, f, seg);
	f->whole = true;
	f->iss = seg->seq;
	hold_init(&f->hold, seg->seq + 1);
	arm_flow_timer(r, f);
	if (f->copied)
		replay_make_copies(r, f, seg->seq + 1, now_us);
	return f;
}

static struct flow *begin_midstream(struct replay *r, const struct arrival *a,
				    uint64_t now_us)
{
	struct flow *f = new_flow(r, a, now_us);

	if (!f)
		return NULL;
	f->joining = f->copied;
	hold_init(&f->hold, a->seg.seq);
	arm_flow_timer(r, f);
	return f;
}

/* Gives what was captured its place, or leaves it in flight for the copies. */
static void account(const struct flow *f, struct ledger_unit *unit, uint32_t n)
{
	uint32_t present = f->share - f->missing;

	unit->captured += n;
	unit->expected += (uint64_t)n * f->share;
	if (!f->copied) {
		*(f->left_out ? &unit->lost[f->joining_loss]
			      : &unit->not_sampled) += (uint64_t)n * f->share;
		return;
	}
	unit->lost[LOSS_MEMORY] += (uint64_t)n * f->missing;
	if (f->joining)
		unit->lost[f->joining_loss] += (uint64_t)n * present;
	else
		unit->in_flight += (uint64_t)n * present;
}

static void trace_never_sent(struct replay *r, const struct flow *f,
			     uint32_t turns, uint32_t copies, enum loss why)
{
	if (turns == 0 || copies == 0)
		return;
	trace_about(r->trace, &f->tuple.src, r->now_us);
	trace_add(r->trace, (struct trace_event){.what = TRACE_NEVER_SENT,
						 .why = (uint8_t)why,
						 .len = turns,
						 .need = copies});
}

/* Turns that never reach a session are lost here, in so many copies. */
static void account_turns(struct replay *r, const struct flow *f, uint32_t n)
{
	uint32_t missing = f->copied ? f->missing : 0;
	bool lost = f->copied ? f->joining : f->left_out;

	account(f, &r->ledger.turns, n);
	if (!f->traced)
		return;
	trace_never_sent(r, f, n, missing, LOSS_MEMORY);
	trace_never_sent(r, f, n, lost ? f->share - missing : 0,
			 (enum loss)f->joining_loss);
}

static void account_growth(struct replay *r, const struct flow *f,
			   const struct hold_growth *growth)
{
	account_turns(r, f, growth->turns);
	account(f, &r->ledger.bytes, growth->bytes);
	r->ledger.turns_split += growth->splits;
	r->ledger.packets_repeated += growth->repeated;
	r->ledger.packets_stray += growth->stray;
}

/* The copies end, and wait with the flow for the next turn boundary. */
static void leave_stream(struct replay *r, struct flow *f, enum loss why,
			 uint64_t now_us)
{
	struct hold_growth none = {0};
	struct hold_loss loss;

	replay_wake_all(r, f, now_us);
	for (struct copy *c = f->copies; c; c = c->next) {
		struct session_env env = replay_env(r, c);

		session_on_gap(&c->work->session, &env, why);
	}
	loss = hold_jump(&f->hold, &r->store);
	f->joining = true;
	f->joining_loss = (uint8_t)why;
	account_turns(r, f, loss.turns);
	account(f, &r->ledger.bytes, loss.bytes);
	for (struct copy *c = f->copies; c; c = c->next) {
		session_move_to(&c->work->session, f->hold.end);
		replay_settle(r, c, now_us);
	}
	if (f->closed) /* no next turn to wait for */
		replay_tell_copies(r, f, &none, now_us);
}

/* The copies of the flow whose hold is largest are reset. */
static void relieve_memory(struct replay *r, uint64_t now_us)
{
	struct flow *most = NULL;
	uint32_t most_blocks = 0;

	for (struct flow *f = NULL; (f = flow_table_next(&r->flows, f));) {
		uint32_t blocks = hold_blocks(&f->hold, &r->store);

		if (blocks > most_blocks) {
			most = f;
			most_blocks = blocks;
		}
	}
	replay_tell(r, NOTICE_MEMORY, 0);
	if (most)
		leave_stream(r, most, LOSS_MEMORY, now_us);
}

/* Without the PSH the client was in the middle of writing. */
static bool at_boundary(const struct flow *f, const struct segment *seg)
{
	return f->hold.in_turn && f->hold.pushed && seg->seq == f->hold.end &&
	       seg->flags & TCP_ACK && seq_gt(seg->ack, f->hold.last_ack);
}

static void join(struct replay *r, struct flow *f, uint32_t seq,
		 uint64_t now_us)
{
	f->joining = false;
	r->ledger.rejoined++;
	if (!f->joined) {
		replay_make_copies(r, f, seq, now_us);
		return;
	}
	replay_wake_all(r, f, now_us);
	for (struct copy *c = f->copies; c; c = c->next)
		session_rejoin(&c->work->session, seq, now_us);
	for (struct copy *c = f->copies; c; c = c->next)
		replay_settle(r, c, now_us);
}

static struct hold_growth insert(struct replay *r, struct flow *f,
				 const struct segment *seg, uint32_t seq,
				 uint64_t now_us)
{
	return hold_insert(&f->hold, &r->store, seq, seg->ack,
			   seg->flags & TCP_PSH, seg->payload, seg->payload_cap,
			   now_us);
}

/* What is not copied; the sessions that wait for the next turn boundary have no
 * part in it. */
static struct hold_growth skip(struct replay *r, struct flow *f,
			       const struct segment *seg, uint32_t seq,
			       uint64_t now_us)
{
	struct hold_growth growth =
		hold_skip(&f->hold, seq, seg->ack, seg->flags & TCP_PSH,
			  seg->payload_len, now_us);

	for (struct copy *c = f->copies; c; c = c->next) {
		replay_wake(r, c, now_us);
		session_move_to(&c->work->session, f->hold.end);
		replay_let_rest(r, c);
	}
	return growth;
}

/* A ClientHello: a handshake record of version 3.x with that type. */
static bool is_tls(const struct flow *f, const struct segment *seg,
		   uint32_t seq)
{
	return f->whole && seq == f->iss + 1 && seg->payload_cap >= 6 &&
	       seg->payload[0] == 0x16 && seg->payload[1] == 0x03 &&
	       seg->payload[5] == 0x01;
}

static void bar_tls(struct replay *r, struct flow *f, uint64_t now_us)
{
	replay_wake_all(r, f, now_us);
	for (struct copy *c = f->copies; c; c = c->next) {
		struct session_env env = replay_env(r, c);

		session_bar(&c->work->session, &env, LOSS_TLS, now_us);
		replay_tell(r, NOTICE_TLS, c->target);
	}
	for (struct copy *c = f->copies; c; c = c->next)
		replay_settle(r, c, now_us);
}

static void on_payload(struct replay *r, struct flow *f,
		       const struct segment *seg, uint64_t now_us)
{
	uint32_t seq = seg->seq + (seg->flags & TCP_SYN ? 1 : 0);
	struct hold_growth growth;

	if (f->copied && is_tls(f, seg, seq))
		bar_tls(r, f, now_us); /* before a byte of it can go out */
	if (f->joining && at_boundary(f, seg))
		join(r, f, seq, now_us);
	if (f->copied && !f->joining) {
		growth = insert(r, f, seg, seq, now_us);
		if (growth.full)
			relieve_memory(r, now_us);
		if (growth.full && !f->joining)
			growth = insert(r, f, seg, seq, now_us);
		if (growth.full && !f->joining)
			leave_stream(r, f, LOSS_MEMORY, now_us);
	}
	if (!f->copied || f->joining)
		growth = skip(r, f, seg, seq, now_us);
	account_growth(r, f, &growth);
	if (growth.bytes > 0 && f->copied && !f->joining)
		replay_tell_copies(r, f, &growth, now_us);
}

static void note_closed(struct replay *r, struct flow *f, uint64_t now_us)
{
	struct hold_growth none = {0};

	if (f->closed || hold_closed(&f->hold) == HOLD_OPEN)
		return;
	f->closed = true;
	if (f->joining && !f->joined) {
		uint32_t n = f->share - f->missing;

		r->ledger.conns.in_flight -= n;
		r->ledger.conns.lost[LOSS_MIDSTREAM] += n;
	}
	replay_tell_copies(r, f, &none, now_us);
	arm_flow_timer(r, f);
}

/* A client that uses its port again also resets what is left of the connection
 * before, whose numbers end just below the new ones. */
static bool is_of_another(const struct flow *f, uint32_t seq)
{
	int32_t off = seq_diff(seq, f->hold.end);

	return off > STRAY_BYTES || off < -STRAY_BYTES ||
	       (f->whole && off < 0 &&
		f->hold.end - seq > f->hold.end - (f->iss + 1));
}

static void on_end(struct replay *r, struct flow *f, const struct segment *seg,
		   uint64_t now_us)
{
	bool rst = seg->flags & TCP_RST;

	if (is_of_another(f, seg->seq) ||
	    (!rst && seq_lt(seg->seq + seg->payload_len, f->hold.end))) {
		r->ledger.packets_stray++;
		return;
	}
	if (rst && hold_has_hole(&f->hold))
		leave_stream(r, f, LOSS_CAPTURE_GAP, now_us);
	if (rst) /* a FIN beyond the hole is void */
		f->hold.close = HOLD_OPEN;
	hold_end_at(&f->hold, rst ? HOLD_RST : HOLD_FIN,
		    rst ? f->hold.end : seg->seq + seg->payload_len,
		    seg->flags & TCP_ACK, seg->ack, now_us);
}

void replay_close_flow(struct replay *r, struct flow *f, uint64_t now_us)
{
	if (f->closed)
		return;
	if (hold_has_hole(&f->hold))
		leave_stream(r, f, LOSS_CAPTURE_GAP, now_us);
	f->hold.close = HOLD_OPEN; /* a FIN beyond the hole is void */
	hold_end_at(&f->hold, HOLD_RST, f->hold.end, false, 0, now_us);
	note_closed(r, f, now_us);
}

static void on_live_flow(struct replay *r, struct flow *f,
			 const struct segment *seg, uint64_t now_us)
{
	f->last_us = now_us;
	trace_captured(r, f, seg);
	if (seg->payload_cap > 0 && !(seg->flags & TCP_RST))
		on_payload(r, f, seg, now_us);
	else if (!(seg->flags & (TCP_FIN | TCP_RST)))
		r->ledger.packets_repeated++;
	if (f->whole && !f->hold.ack_known && seg->seq == f->iss + 1 &&
	    seg->flags & TCP_ACK && seg->payload_len == 0)
		hold_set_ack(&f->hold, seg->ack);
	if (seg->flags & (TCP_FIN | TCP_RST))
		on_end(r, f, seg, now_us);
	note_closed(r, f, now_us);
	arm_flow_timer(r, f);
}

static void on_syn(struct replay *r, struct flow *f, const struct arrival *a,
		   uint64_t now_us)
{
	const struct segment *seg = &a->seg;

	if (f && f->whole && f->iss == seg->seq) {
		r->ledger.packets_repeated++;
		return;
	}
	if (f) {
		/* the client has begun anew: of the old one nothing more comes
		 */
		flow_table_unlist(&r->flows, f);
		replay_close_flow(r, f, now_us);
		replay_free_flow_if_done(r, f, now_us);
	}
	f = begin_whole(r, a, now_us);
	if (f && seg->payload_cap > 0)
		on_payload(r, f, seg, now_us);
}

void replay_on_arrival(struct replay *r, const struct arrival *a,
		       uint64_t now_us)
{
	const struct segment *seg = &a->seg;
	struct flow *f = flow_table_find(&r->flows, &seg->tuple, a->bucket);

	if (seg->flags & TCP_SYN) {
		on_syn(r, f, a, now_us);
		return;
	}
	if (!f && seg->payload_cap > 0 && seg->flags & TCP_ACK &&
	    !(seg->flags & TCP_RST))
		f = begin_midstream(r, a, now_us);
	if (!f)
		r->ledger.packets_stray++;
	else if (f->closed)
		r->ledger.packets_repeated++;
	else
		on_live_flow(r, f, seg, now_us);
}

void replay_free_flow_if_done(struct replay *r, struct flow *f, uint64_t now_us)
{
	if (!f->closed || f->copies)
		return;
	if (f->listed && now_us < f->last_us + CLOSED_LINGER_US)
		return;
	timers_cancel(r->flow_timers, &f->timer);
	hold_fini(&f->hold, &r->store);
	flow_table_remove(&r->flows, f);
}

static void give_up_hole(struct replay *r, struct flow *f, uint64_t now_us)
{
	if (!hold_has_hole(&f->hold)) {
		replay_close_flow(r, f, now_us);
		return;
	}
	leave_stream(r, f, LOSS_CAPTURE_GAP, now_us);
	note_closed(r, f, now_us);
}

void replay_on_flow_timer(struct replay *r, struct flow *f, uint64_t now_us)
{
	if (f->closed) {
		if (now_us >= f->last_us + CLOSED_LINGER_US)
			flow_table_unlist(&r->flows, f);
		if (f->listed)
			arm_flow_timer(r, f);
		replay_free_flow_if_done(r, f, now_us);
		return;
	}
	if (now_us >= hole_until_us(r, f))
		give_up_hole(r, f, now_us);
	if (now_us - f->last_us >= r->cfg.idle_us) {
		r->ledger.idle_ended += f->copies ? 1 : 0;
		replay_close_flow(r, f, now_us);
	}
	arm_flow_timer(r, f);
}
