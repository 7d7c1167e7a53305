/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One session with what it needs around it: a client whose bytes go into the
 * hold, a target whose headers come back, a clock. Segments are shown as text,
 * in the client's numbers, the first byte being 1: "PA 1+100 a1".
 */
#ifndef TESTS_ONE_SESSION_H
#define TESTS_ONE_SESSION_H

#include <stdio.h>
#include <string.h>

#include "core/session.h"
#include "../helpers/counted_mem.h"

#define ONE_MSS	    1000u
#define ONE_TIMEOUT 30000000u

struct one_session {
	struct counted_mem mem;
	struct hold_store store;
	struct hold hold;
	struct ledger ledger;
	struct session_params params;
	struct session_env env;
	struct session s;
	uint64_t now_us;
	uint32_t iss, irs; /* the client's, the target's */
	uint32_t seen;	   /* what the client acknowledges online */
	uint32_t sent;	   /* the target's next number */
	uint16_t wnd;	   /* what the target says */
	char text[1024];
};

static inline void one_check_ledger(const struct one_session *o)
{
	assert_true(ledger_balanced(&o->ledger.conns));
	assert_true(ledger_balanced(&o->ledger.turns));
	assert_true(ledger_balanced(&o->ledger.bytes));
}

/* A connection from its SYN on; the session is WAITING. */
static inline void one_begin(struct one_session *o, uint32_t iss, uint32_t irs)
{
	*o = (struct one_session){
		.params = {.mss_bytes = ONE_MSS,
			   .timeout_us = ONE_TIMEOUT,
			   .max_hold_us = ONE_TIMEOUT,
			   .resend = true},
		.now_us = 1000000,
		.iss = iss,
		.irs = irs,
		.seen = 7001,
		.sent = irs,
		.wnd = 60000,
	};
	counted_mem_init(&o->mem, 0);
	assert_true(hold_store_init(&o->store, &o->mem.mem, 800, 100));
	o->env = (struct session_env){
		.params = &o->params, .ledger = &o->ledger, .store = &o->store};
	hold_init(&o->hold, iss + 1);
	hold_set_ack(&o->hold, o->seen);
	o->ledger.conns = (struct ledger_unit){
		.captured = 1, .expected = 1, .in_flight = 1};
	session_init(&o->s, &o->hold, iss + 1, true, o->now_us);
}

/* Ends the session too; nothing may be without a place then. */
static inline void one_end(struct one_session *o)
{
	session_end(&o->s, &o->env, LOSS_SHUTDOWN, o->now_us);
	one_check_ledger(o);
	assert_int_equal(o->s.state, SESSION_DONE);
	assert_int_equal(o->ledger.conns.in_flight, 0);
	assert_int_equal(o->ledger.turns.in_flight, 0);
	assert_int_equal(o->ledger.bytes.in_flight, 0);
	hold_fini(&o->hold, &o->store);
	hold_store_fini(&o->store, &o->mem.mem);
	assert_int_equal(o->mem.live_bytes, 0);
}

static inline int one_setup(void **state, uint32_t iss, uint32_t irs)
{
	struct one_session *o = malloc(sizeof(*o));

	one_begin(o, iss, irs);
	*state = o;
	return 0;
}

static inline int one_teardown(void **state)
{
	one_end(*state);
	free(*state);
	return 0;
}

static inline void one_add(struct ledger_unit *unit, uint32_t n)
{
	unit->captured += n;
	unit->expected += n;
	unit->in_flight += n;
}

/* The client writes on, having seen `seen` more bytes of the online server. */
static inline void one_client(struct one_session *o, uint32_t len,
			      uint32_t seen)
{
	static uint8_t bytes[65536];
	struct hold_growth growth;

	o->seen += seen;
	growth = hold_insert(&o->hold, &o->store, o->hold.end, o->seen, true,
			     bytes, len, o->now_us);
	assert_int_equal(growth.bytes, len);
	one_add(&o->ledger.turns, growth.turns);
	one_add(&o->ledger.bytes, growth.bytes);
	session_on_growth(&o->s, &o->env, &growth, o->now_us);
	one_check_ledger(o);
}

static inline void one_client_ends(struct one_session *o, enum hold_close how,
				   uint32_t seen)
{
	struct hold_growth none = {0};

	o->seen += seen;
	hold_end_at(&o->hold, how, o->hold.end, true, o->seen, o->now_us);
	session_on_growth(&o->s, &o->env, &none, o->now_us);
	one_check_ledger(o);
}

/* A header from the target: ack in the client's numbers. */
static inline void one_header(struct one_session *o, uint8_t flags,
			      uint32_t seq, uint32_t ack, uint32_t len)
{
	struct wire_response resp = {
		.seq = seq,
		.ack = ack + o->s.delta,
		.payload_len = len,
		.wnd = o->wnd,
		.flags = flags,
	};

	if (flags & TCP_SYN)
		resp.opts = (struct tcp_opts){
			.mss_bytes = ONE_MSS, .has_wscale = true, .wscale = 0};
	session_on_response(&o->s, &o->env, &resp, o->now_us);
	one_check_ledger(o);
}

/* The next len bytes (and FIN) of the target, acknowledging up to byte n. */
static inline void one_target(struct one_session *o, uint8_t flags, uint32_t n,
			      uint32_t len)
{
	one_header(o, flags | TCP_ACK, o->sent, o->iss + n, len);
	o->sent += len + (flags & (TCP_SYN | TCP_FIN) ? 1 : 0);
}

static inline void one_open(struct one_session *o)
{
	session_open(&o->s, session_own_iss(&o->s), o->now_us);
}

static inline void one_flags(const struct segment *seg, char *to)
{
	static const struct {
		uint8_t flag;
		char name;
	} names[] = {{TCP_SYN, 'S'},
		     {TCP_FIN, 'F'},
		     {TCP_RST, 'R'},
		     {TCP_PSH, 'P'},
		     {TCP_ACK, 'A'}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (seg->flags & names[i].flag)
			*to++ = names[i].name;
	*to = '\0';
}

/* What is sent now, all of it; flags only: "PA FA". */
static inline const char *one_out(struct one_session *o, bool whole)
{
	struct session_segment seg;
	char *at = o->text;

	*at = '\0';
	while (session_next_segment(&o->s, &o->env, &seg, o->now_us)) {
		char flags[8];
		uint32_t seq = seg.seg.seq - o->s.delta - o->iss;

		one_flags(&seg.seg, flags);
		at += sprintf(at, "%s%s", at == o->text ? "" : " ", flags);
		if (!whole)
			continue;
		at += sprintf(at, " %u", seq);
		if (seg.seg.payload_len > 0)
			at += sprintf(at, "+%u", seg.seg.payload_len);
		if (seg.seg.flags & TCP_ACK)
			at += sprintf(at, " a%u", seg.seg.ack - o->irs);
		assert_true(seg.seg.payload_len == 0 ||
			    seg.from == o->iss + seq);
		assert_true(at < o->text + sizeof(o->text) - 64);
	}
	return o->text;
}

#define one_sends(o, expected) assert_string_equal(one_out(o, true), expected)

/* Its own deadline comes. */
static inline void one_wait(struct one_session *o)
{
	uint64_t at_us = session_deadline_us(&o->s, &o->params);

	assert_true(at_us != UINT64_MAX);
	if (at_us > o->now_us)
		o->now_us = at_us;
	session_on_timer(&o->s, &o->env, o->now_us);
	one_check_ledger(o);
}

static inline void one_after(struct one_session *o, uint64_t us)
{
	o->now_us += us;
	session_on_timer(&o->s, &o->env, o->now_us);
	one_check_ledger(o);
}

/* Up to ESTABLISHED, the handshake over. */
static inline void one_establish(struct one_session *o)
{
	one_open(o);
	one_sends(o, "S 0");
	one_target(o, TCP_SYN, 1, 0);
	one_sends(o, "A 1 a1");
	assert_int_equal(o->s.state, SESSION_ESTABLISHED);
}

#endif
