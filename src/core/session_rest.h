/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session while nothing is under way. Most connections rest most of the time,
 * and there are very many of them: what is kept of each is only what its next
 * turn needs to know. The rest of struct session is timers, flags of what is
 * due and numbers that then are all the same.
 */
#ifndef CORE_SESSION_REST_H
#define CORE_SESSION_REST_H

#include "core/session.h"

struct session_rest {
	uint64_t quiet_us; /* last response or ACK of ours */

	/* Sequence numbers, as in the session. */
	uint32_t end; /* of the hold; all before it has its place */
	uint32_t iss, irs, rcv_nxt;
	uint32_t snd_max; /* all of it acknowledged, or given up */
	uint32_t delta, gate_base, ack_base;

	/* What has been learnt about the target and the way there. */
	uint32_t snd_wnd, cwnd, ssthresh;
	uint32_t srtt_us, rttvar_us, slowest_us;
	uint16_t mss_bytes;
	uint8_t snd_wscale;

	uint32_t spread_us;
	uint8_t state; /* IDLE, ESTABLISHED or CLOSE_WAIT */
	uint8_t loss, conn_loss;
	uint8_t ack_segs, paused_segs;
	bool begun : 1, sent : 1, any_answer : 1, pushed : 1, peer_closed : 1;
	bool whole : 1, for_turn : 1, greeted : 1, barred : 1, paused : 1;
	bool ack_proven : 1;
};

/* false: something is under way. Otherwise *rest is all that is needed to
 * wake it. */
bool session_put_to_rest(const struct session *s,
			 const struct session_params *params,
			 struct session_rest *rest);
/* Before anything happens to it; the hold may have grown already. */
void session_wake(struct session *s, const struct session_rest *rest,
		  struct hold *hold, uint64_t now_us);
/* session_set_paused() without waking it. */
void session_rest_set_paused(struct session_rest *rest, bool paused,
			     uint64_t now_us);

#endif
