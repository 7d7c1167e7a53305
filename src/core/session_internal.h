/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by session*.c only. */
#ifndef CORE_SESSION_INTERNAL_H
#define CORE_SESSION_INTERNAL_H

#include "core/session.h"

static inline uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* session.c: life cycle */

void session_change_state(struct session *s, enum session_state state);
/* Everything unfinished is lost; IDLE until the client's next turn. */
void session_fail(struct session *s, const struct session_env *env,
		  enum loss why);
/* The same for a connection that the target has dropped. If nothing was
 * unfinished, nothing is lost. */
void session_dropped(struct session *s, const struct session_env *env);
/* The connection is over and gets its place in the ledger. */
void session_finish(struct session *s, const struct session_env *env,
		    enum session_state state, uint64_t now_us);
/* SYN_SENT -> WAITING: the target has answered the SYN with an RST. */
void session_refused(struct session *s, uint64_t now_us);
/* A new connection is to begin at seq. */
void session_reopen(struct session *s, uint32_t seq, uint64_t now_us);

/* Tells the trace, if there is one. */
static inline void session_trace(const struct session_env *env,
				 enum trace_what what, unsigned why,
				 uint32_t seq)
{
	if (env->trace)
		trace_add(env->trace,
			  (struct trace_event){.what = (uint8_t)what,
					       .why = (uint8_t)why,
					       .seq = seq});
}

/* session_turns.c: the ledger's side and the gate's */

/* Lets turns go as far as the gate allows; reopens, closes. */
void session_advance(struct session *s, const struct session_env *env,
		     uint64_t now_us);
/* Bytes that the target has sent since the current turn was first sent. */
uint32_t session_got_bytes(const struct session *s);
/* The current turn ends unanswered if it was delivered; else it is lost, as
 * is everything after it. */
void session_lose_rest(struct session *s, const struct session_env *env,
		       enum loss why);
/* snd_una has moved. */
void session_settle_turn(struct session *s, const struct session_env *env);
/* The target has closed: what of the turns needs another connection? reset: by
 * an RST, with which it says that it has not read everything. */
void session_on_target_closed(struct session *s, const struct session_env *env,
			      bool reset, uint64_t now_us);

/* session_ack.c: when the target's bytes are acknowledged */

/* A connection begins. */
void session_ack_init(struct session *s);
/* So many new bytes have come. */
void session_ack_owe(struct session *s, uint32_t bytes, uint64_t now_us);
/* The same, and intercept acknowledges all but the last segment. */
void session_ack_last(struct session *s, uint64_t now_us);
/* Bytes that had come before. */
void session_ack_repeated(struct session *s);
/* ack_at_us has come. */
void session_ack_on_timer(struct session *s, uint64_t now_us);
/* A segment goes that acknowledges all that has come. */
void session_ack_sent(struct session *s, uint64_t now_us);

/* session_timer.c */

/* When a silent target is given up, UINT64_MAX: it owes nothing. */
uint64_t session_give_up_us(const struct session *s,
			    const struct session_params *params);

/* session_output.c */

void session_arm_rto(struct session *s, uint64_t now_us);
static inline bool session_in_flight(const struct session *s)
{
	return s->target.snd_una != s->snd_max;
}

#endif
