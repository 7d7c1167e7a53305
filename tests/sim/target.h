/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A TCP server written from RFC 9293. It shares no arithmetic with the core:
 * sequence numbers are compared here in a way of its own. The application on
 * it answers requests as the conversations say.
 */
#ifndef SIM_TARGET_H
#define SIM_TARGET_H

#include "tests/sim/client.h"
#include "tests/sim/sim.h"

enum target_state {
	T_CLOSED,
	T_SYN_RCVD,
	T_ESTABLISHED,
	T_CLOSE_WAIT,
	T_LAST_ACK,
	T_FIN_WAIT_1,
	T_FIN_WAIT_2,
	T_CLOSING,
	T_TIME_WAIT,
};

struct target_connection {
	struct target_connection *next, *next_of_tuple;
	struct four_tuple tuple; /* src: the client's end */
	enum target_state state;
	bool ours; /* false: it was there before the world began */

	/* receiving; offsets count from the byte after the client's SYN */
	uint32_t irs, rcv_nxt, edge; /* first number not yet allowed */
	uint32_t buffer_bytes, received, read;
	uint8_t rcv_scale;
	uint8_t *bytes, *have;
	uint32_t room;
	bool fin_seen, fin_known;
	uint32_t fin_at; /* sequence number, if known */
	bool ack_pending, paused;
	unsigned unacked_segments;
	uint64_t ack_timer;

	/* sending; offsets count from the byte after our SYN */
	uint32_t iss, snd_una, snd_nxt, snd_max;
	uint32_t peer_wnd;
	uint32_t cwnd, cwnd_first; /* bytes */
	uint64_t sent_us;	   /* the last bytes */
	uint8_t peer_scale;
	uint16_t peer_mss, segment_max;
	uint32_t written;
	bool fin_queued, fin_sent;
	uint64_t rto_timer, rto_us;
	unsigned retries;

	/* the application */
	struct conversation *conv; /* NULL: not known yet */
	uint32_t conv_at;	   /* where in its stream this one begins */
	unsigned next_request, answers;
	unsigned first_request;
	bool busy, closing, app_closed, greeted;
	uint32_t verified; /* bytes compared with the client's */
};

void target_new(struct sim *sim);
/* It refuses nothing any more. */
void target_mend(struct sim *sim);
void target_on_packet(struct sim *sim, struct sim_packet *pkt);
/* The one that a SYN with number irs has made, and that answered with iss (the
 * SYN may have come twice); or NULL. */
struct target_connection *target_find(struct sim *sim,
				      const struct four_tuple *tuple,
				      uint32_t irs, uint32_t iss);
struct target_connection *target_all(struct sim *sim);
/* Payload bytes sent so far. */
uint32_t target_sent_bytes(const struct target_connection *t);

/* app.c: what the application does */
void app_on_established(struct sim *sim, struct target_connection *t);
void app_on_bytes(struct sim *sim, struct target_connection *t);
/* target.c for app.c */
void target_write(struct sim *sim, struct target_connection *t, uint32_t len);
void target_close(struct sim *sim, struct target_connection *t);
void target_reset(struct sim *sim, struct target_connection *t);
/* The application takes what has been received out of the buffer. */
void target_read(struct sim *sim, struct target_connection *t);

#endif
