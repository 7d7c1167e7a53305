/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Conversations between real clients and the online server, as a capture on
 * the online host sees the client's side of them, and the truth about them.
 */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include "tests/sim/index.h"
#include "tests/sim/sim.h"

#define SIM_GREETING_BYTES 78u
#define SIM_HTTP_PORT	   80u
#define SIM_GREETING_PORT  3306u
#define SIM_TARGET_PORT	   8080u /* for SIM_HTTP_PORT */
/* Fewer bytes do not tell where in which stream they are from. */
#define SIM_TELLING_BYTES 8u
/* Conversations that begin when there are no more faults. */
#define CONVERSATIONS_FRESH 3u

struct request {
	uint32_t start, end;	/* in the client's stream */
	uint32_t answer;	/* bytes that the online server answers */
	uint32_t target_answer; /* bytes that the target will */
	uint32_t delay_us;	/* which it takes for that */
	uint32_t pause_us;	/* within the answer; 0: none */
};

/* A run of bytes that carry one ACK. */
struct turn {
	uint32_t start, end;
	uint32_t seen; /* server bytes that the client had seen by then */
};

enum client_close {
	CLIENT_FIN,	   /* after the last answer */
	CLIENT_HALF_CLOSE, /* before it */
	CLIENT_FIN_SECOND, /* after the server's FIN */
	CLIENT_RST,
	CLIENT_STAYS,
};

enum app_kind {
	APP_LIKE_ONLINE,
	APP_CLOSES, /* FIN after close_after answers on a connection */
	APP_RESETS, /* RST after that */
};

struct conversation {
	unsigned id;
	struct conversation *older; /* of the same chain of tuples */
	struct four_tuple tuple;
	uint32_t iss, irs;
	bool server_first, tls, late;
	bool fresh; /* begun when there were no more faults */
	enum client_close close;

	uint32_t len;
	uint8_t *stream;
	uint8_t *captured;    /* by byte: has been given to the engine */
	uint32_t copied_from; /* first byte that the copies can have */
	struct request *requests;
	unsigned request_count;
	struct turn *turns;
	unsigned turn_count;
	uint32_t *boundaries; /* where the ACK rises: a copy may begin there */
	unsigned boundary_count;

	enum app_kind app;
	unsigned close_after;
	bool longer; /* the target answers more than the online server */
	bool handshake_seen; /* its ACK was captured */
	bool captured_at_all;

	struct planned *packets;
	unsigned packet_count, packet_room, first_captured;
	struct check_conversation *checked; /* the oracles' notes */
};

/* Where a copy may begin. */
struct beginning {
	struct beginning *next;
	struct conversation *conv;
	uint32_t at;
};

struct conversations {
	struct conversation *all;
	unsigned count;
	uint64_t end_us; /* of the last captured packet */
	struct conversation *by_tuple[SIM_CHAINS]; /* newest first */
	struct beginning *by_bytes[SIM_CHAINS];
};

void conversations_new(struct sim *sim);
void conversations_play(struct sim *sim);
/* So many more from now on, played; in all, CONVERSATIONS_FRESH at most. */
void conversations_add_fresh(struct sim *sim, unsigned count);
uint64_t conversations_end_us(const struct conversations *c);
/* Whether some client speaks from there, ever. */
bool conversations_use(const struct sim *sim, const struct endpoint *client);
/* Who has these bytes (at least SIM_TELLING_BYTES) where a copy may begin, and
 * where. NULL: nobody. */
struct conversation *conversations_find(struct conversations *c,
					const uint8_t *bytes, uint32_t *start);
/* The turn that byte `at` belongs to, turn_count: none. */
unsigned conversation_turn_at(const struct conversation *c, uint32_t at);

struct ip_addr sim_addr(bool v6, unsigned net, unsigned host);

#endif
