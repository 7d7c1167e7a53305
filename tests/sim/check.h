/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracles: what must hold of everything that the engines do. */
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include "core/wire.h"
#include "tests/sim/client.h"
#include "tests/sim/index.h"
#include "tests/sim/sim.h"
#include "tests/sim/target.h"

#define CHECK_HOSTS_MAX	 2u
#define CHECK_GROUPS_MAX 2u

/* One connection as it was seen leaving tcpcopy. Offsets count from the byte
 * after its SYN. */
struct seen_connection {
	struct seen_connection *next, *next_by_route;
	struct four_tuple tuple;
	uint32_t iss;
	uint64_t route_id;
	struct conversation *conv;
	uint32_t conv_at;
	uint8_t first[SIM_TELLING_BYTES]; /* until conv is known */
	uint32_t first_len;
	uint32_t sent; /* bytes, without a hole */
	bool fin_sent, tainted;
	bool reset;  /* either way: nothing may follow */
	bool looped; /* its SYN has been captured */
	bool over;   /* the tuple may be used again */

	/* what tcpcopy has been told by the target */
	bool established, peer_fin;
	uint32_t irs, heard_end; /* sequence numbers of the target */
	uint32_t acked;		 /* bytes */
	uint32_t edge;		 /* bytes that the window has allowed */
	uint32_t window;	 /* last one */
	uint8_t scale;
	uint16_t mss;
	uint32_t last_ack; /* ours */
	bool has_last_ack;
	bool challenged;
	uint32_t challenge; /* ack of the last challenge */
	uint32_t last_seq;
	uint64_t last_sent_us; /* of last_seq, for the first time or again */
};

/* Notes about one conversation. */
struct check_conversation {
	uint16_t *delivered[CHECK_HOSTS_MAX]; /* by turn: how many times */
};

struct seen_route {
	struct seen_route *next;
	struct wire_route route;
};

struct check {
	struct seen_connection *by_tuple[SIM_CHAINS]; /* newest first */
	struct seen_connection *by_route[SIM_CHAINS];
	struct seen_route *routes[SIM_CHAINS];
	uint64_t violations;
	uint64_t live; /* sessions after the last timer */
	unsigned strikes, same_time;
	uint64_t same_time_us;
	uint64_t bytes_delivered, turns_delivered;
	uint64_t turns_begun; /* of which something was delivered */
	uint64_t idle_since_us;
	bool guarded[CHECK_GROUPS_MAX]; /* as tcpcopy has been told */
	uint64_t vouched_until_us[CHECK_GROUPS_MAX];
	uint64_t loops; /* SYNs of ours that were captured as a client's */
	bool shut;
	bool restarted; /* the ledger is of a part of what was captured */
};

void check_new(struct sim *sim);

/* check.c: as things happen */

/* false: it must not go on. */
/* intercept acknowledges an answer. */
void check_local_ack(struct sim *sim, const struct segment *ack);
bool check_packet_out(struct sim *sim, const struct sim_packet *pkt);
void check_msg_out(struct sim *sim, const struct wire_msg *msg);
void check_msg_in(struct sim *sim, unsigned link_id,
		  const struct wire_msg *msg);
void check_received(struct sim *sim, struct target_connection *t);
void check_fin_received(struct sim *sim, const struct target_connection *t);

/* Another tcpcopy: it knows nothing of what was before. */
void check_restart(struct sim *sim);
/* One that is open and whose SYN no client has sent, nor we captured. NULL:
 * there is none. */
struct seen_connection *check_find_ours(struct sim *sim);

/* check_account.c: the ledger, time, and the end */

void check_ledger(struct sim *sim);
/* After a timer of the engine: next is its deadline now. */
void check_deadline(struct sim *sim, bool progress, uint64_t next_us);
void check_shutdown(struct sim *sim);
bool check_is_settled(struct sim *sim);
/* New connections begin when all was settled. */
void check_goes_on(struct sim *sim);
void check_not_settled(struct sim *sim);
void check_end(struct sim *sim);

#endif
