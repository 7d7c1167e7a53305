/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One copy of a captured connection: the client's side of TCP towards one
 * target. docs/session-core.md has the state table and the rules.
 *
 * Every event is a function with the current time; whoever calls one looks at
 * the session afterwards: session_next_segment() until false, the deadline,
 * and whether it wants to be opened or is done.
 */
#ifndef CORE_SESSION_H
#define CORE_SESSION_H

#include "core/hold.h"
#include "core/ledger.h"
#include "core/rtt.h"
#include "core/segment.h"
#include "core/trace.h"
#include "core/wire.h"

enum session_state {
	SESSION_IDLE,	  /* no connection; the client's next turn opens one */
	SESSION_WAITING,  /* to be opened by session_open() */
	SESSION_SYN_SENT, /* from here on RFC 9293, 3.3.2 */
	SESSION_ESTABLISHED,
	SESSION_CLOSE_WAIT,
	SESSION_FIN_WAIT_1,
	SESSION_FIN_WAIT_2,
	SESSION_CLOSING,
	SESSION_LAST_ACK,
	SESSION_TIME_WAIT,
	SESSION_DONE /* accounted for; nothing more will come out */
};

/* One side of a TCP connection, RFC 9293's names. */
struct tcp_side {
	uint32_t iss, irs;
	uint32_t snd_una, snd_nxt;
	uint32_t rcv_nxt;
	uint32_t snd_wnd; /* bytes, scaled */
	uint8_t snd_wscale;
};

struct session_params {
	uint16_t mss_bytes; /* payload that fits a packet to the target */
	/* Payload of a packet that may have several segments in it; if less
	 * than one: each segment is its own packet. */
	uint16_t most_bytes;
	uint64_t timeout_us, max_hold_us;
	bool resend;
};

/* What sessions share; borrowed for each call. */
struct session_env {
	const struct session_params *params;
	struct ledger *ledger;
	struct hold_store *store;
	struct trace *trace; /* NULL: not traced */
};

struct session {
	struct hold *hold; /* the online side, shared with other copies */

	/* The target's side of things. snd_* are the client's own numbers, on
	 * the wire they are `delta` higher; rcv_* are the target's. */
	struct tcp_side target;
	uint32_t delta;
	uint32_t snd_max;  /* highest ever sent, where snd_nxt may go back */
	uint32_t open_seq; /* first byte of this connection */

	uint32_t turn_start, turn_end; /* the turn that was let go last */
	uint32_t accounted; /* bytes before it have their place in the ledger */
	uint32_t gate_base; /* rcv_nxt when the turn was first sent */
	uint32_t ack_base;  /* the client's ACK that goes with irs + 1 */
	uint32_t resent_at; /* turn that is being sent again */

	uint32_t cwnd, ssthresh, recover;
	uint32_t timed_seq; /* the segment being timed ends here */
	uint64_t timed_us;
	struct rtt rtt;

	uint64_t rto_at_us, ack_at_us, gate_at_us;
	uint64_t sent_us;     /* the turn's first byte */
	uint64_t slowest_us;  /* from there to the first byte of an answer */
	uint64_t heard_us;    /* last response */
	uint64_t acked_us;    /* last ACK of ours */
	uint64_t owed_us;     /* the first byte that is not acknowledged */
	uint64_t progress_us; /* last response or begin of something to wait for
			       */
	uint64_t retry_at_us; /* WAITING: not before; after a refusal */
	uint32_t spread_us;   /* so much later than the client does it go on */

	uint32_t rst_seq, rst_seq2, rst_ack; /* as on the wire */
	uint32_t ack_owed_bytes;
	uint16_t mss_bytes;
	uint8_t state; /* enum session_state */
	uint8_t dup_acks;
	uint8_t loss;	     /* why the last turn was lost, or LOSS_NONE */
	uint8_t conn_loss;   /* first of these */
	uint8_t rst_left;    /* RSTs to be sent */
	uint8_t tries;	     /* refusals in a row */
	uint8_t resends;     /* of the turn at resent_at */
	uint8_t ack_segs;    /* so many are acknowledged at once, or two */
	uint8_t paused_segs; /* so many when it paused, acknowledged or not */

	bool begun : 1;	      /* there is a current turn */
	bool sent : 1;	      /* its first byte has been sent */
	bool answered : 1;    /* it has its place in the ledger */
	bool may_resend : 1;  /* its bytes are kept until it is answered */
	bool any_answer : 1;  /* the connection was answered at all */
	bool pushed : 1;      /* last response segment had PSH */
	bool peer_closed : 1; /* the target's FIN is in */
	bool fin_ready : 1;   /* our FIN may go */
	bool fin_sent : 1;
	bool fin_again : 1;  /* the target has repeated its FIN */
	bool ack_proven : 1; /* more only if the target has sent more */
	bool syn_due : 1, ack_due : 1, probe_due : 1, rexmit_due : 1;
	bool timing : 1;
	bool syn_retried : 1; /* a challenged SYN was sent once more */
	bool whole : 1; /* this connection has the client's from its SYN on */
	bool for_turn : 1; /* it was opened because a turn waits */
	bool greeted : 1;  /* the server speaks first: never resend */
	bool barred : 1;   /* not to be opened again */
	bool paused : 1;   /* no link to the target's intercept */
};

#define SESSION_RCV_WSCALE 7
#define SESSION_RCV_WND	   65535u
#define SESSION_DELAYED_US 10000u /* our ACK waits at most this long */
/* And not for one that has paused so long after two segments; its tail loss
 * probe must not be provoked (RFC 8985: twice the round trip and a bit). */
#define SESSION_PAUSE_US 2000u
/* Who has sent nothing for so long begins with a small window. */
#define SESSION_RESTART_US   200000u
#define SESSION_UNACKED_MAX  (128u << 10) /* bytes that wait for more */
#define SESSION_TIME_WAIT_US 4000000u
/* And since the target's last FIN if it has repeated that: our ACK gets lost */
#define SESSION_LOSSY_WAIT_US 20000000u
#define SESSION_RESEND_MAX    (1u << 20) /* larger turns are not kept */

/* Made for a connection whose bytes from seq on are to be copied; it begins as
 * WAITING. whole: seq is the first byte after the client's SYN. */
void session_init(struct session *s, struct hold *hold, uint32_t seq,
		  bool whole, uint64_t now_us);

/* All of it happens this much later, so that copies are no burst. */
void session_spread(struct session *s, uint32_t spread_us);

/* It waits for session_open(), and has nothing against its coming now: the RST
 * of the connection before, which belongs to that one's tuple, has gone. */
bool session_wants_open(const struct session *s, uint64_t now_us);
/* WAITING -> SYN_SENT. iss: of the SYN, as on the wire. */
void session_open(struct session *s, uint32_t iss, uint64_t now_us);
/* The iss it would choose by itself: the client's own. */
uint32_t session_own_iss(const struct session *s);
/* It can't be opened (no tuple, no memory). The turns known so far are lost;
 * the client's next one tries again. */
void session_give_up(struct session *s, const struct session_env *env,
		     enum loss why, uint64_t now_us);
/* The target is to forget this connection: an RST is due. */
void session_send_rst(struct session *s);
/* SYN_SENT -> WAITING: another tuple is to be tried, not before at_us. */
void session_retry_open(struct session *s, uint64_t at_us);

/* Turns that it has not begun wait already: of what the hold has grown by
 * behind them it need not be told, it comes to that by itself. */
bool session_is_behind(const struct session *s,
		       const struct hold_growth *growth);
/* The hold has grown by this, or has been closed (then 0, 0). */
void session_on_growth(struct session *s, const struct session_env *env,
		       const struct hold_growth *growth, uint64_t now_us);
/* The hold is about to jump: everything unfinished is lost. */
void session_on_gap(struct session *s, const struct session_env *env,
		    enum loss why);
/* The hold has jumped to seq; nothing before it is this session's business. */
void session_move_to(struct session *s, uint32_t seq);
/* The stream begins anew at seq, with a turn. */
void session_rejoin(struct session *s, uint32_t seq, uint64_t now_us);
void session_on_response(struct session *s, const struct session_env *env,
			 const struct wire_response *resp, uint64_t now_us);
void session_on_timer(struct session *s, const struct session_env *env,
		      uint64_t now_us);
/* What it has to send cannot go now: no loss shall be seen in that. */
void session_defer_rto(struct session *s, uint64_t now_us);
/* The links to its intercept are gone, or back. */
void session_set_paused(struct session *s, bool paused, uint64_t now_us);
/* What is not delivered, and all that may still come, is lost (TLS). */
void session_bar(struct session *s, const struct session_env *env,
		 enum loss why, uint64_t now_us);
/* Ends it for good: what is not delivered is lost for this reason. */
void session_end(struct session *s, const struct session_env *env,
		 enum loss why, uint64_t now_us);

/* A segment without its tuple; numbers are as on the wire. */
struct session_segment {
	struct segment seg;
	uint32_t
		from; /* payload: seg.payload_len bytes of the hold from here */
	bool again;   /* sent before */
};

/* The next segment to be sent now; call until false after any event. */
bool session_next_segment(struct session *s, const struct session_env *env,
			  struct session_segment *out, uint64_t now_us);
/* When session_on_timer() is to be called. */
uint64_t session_deadline_us(const struct session *s,
			     const struct session_params *params);
/* The first byte that it still needs. */
uint32_t session_keeps_from(const struct session *s);
/* Marks of turns that begin here or before are no longer needed. */
uint32_t session_turns_done(const struct session *s);
/* What a later SYN on its tuple must exceed. */
uint32_t session_wire_snd_nxt(const struct session *s);
/* The target holds a connection of a session in this state, as far as we know.
 */
static inline bool session_state_is_open(enum session_state state)
{
	return state >= SESSION_SYN_SENT && state < SESSION_TIME_WAIT;
}
static inline bool session_is_open(const struct session *s)
{
	return session_state_is_open((enum session_state)s->state);
}

#endif
