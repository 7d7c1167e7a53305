/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring's packets before their block is closed, while they are rare. */
#ifndef IO_CAPTURE_AHEAD_H
#define IO_CAPTURE_AHEAD_H

#include <linux/filter.h>

#include "io/ahead_given.h"
#include "io/capture_live.h"

/* Any packet without jumbograms of IPv6. */
#define AHEAD_PACKET_BYTES (128u << 10)

enum ahead_state {
	AHEAD_OFF,     /* packets are dense: the ring alone gives them */
	AHEAD_WAITING, /* they are rare, but the ring has older ones */
	AHEAD_ON
};

struct capture_ahead {
	int fd;
	enum ahead_state state;
	struct sock_fprog filter; /* the ring's; owned */
	uint32_t overflows;	  /* the socket's, so far */
	uint64_t span_us;	  /* when the present span began */
	uint32_t span_packets;	  /* given in it */
	struct ahead_given given; /* still to come in the ring */
	struct ahead_given late;  /* given by the ring, still to come here */
	uint8_t packet[AHEAD_PACKET_BYTES];
};

/* To be called before the ring is started, so that the kernel gives each packet
 * to the ring first. filter: for which packets; taken over in any case. 0 or
 * -errno. */
int capture_ahead_open(struct capture_ahead *a,
		       const struct capture_live_config *cfg,
		       struct sock_fprog *filter);
void capture_ahead_close(struct capture_ahead *a);

/* Up to budget packets that came since; returns how many were given. */
int capture_ahead_dispatch(struct capture_ahead *a, int budget, capture_cb *cb,
			   void *ctx);

/* A packet of the ring: whether it was given before. */
bool capture_ahead_gave(struct capture_ahead *a, const uint8_t *l3,
			size_t cap_len, size_t wire_len);

/* At the end of each dispatch, with how many packets it gave. is_empty(ring):
 * the ring holds no packet that it has not given. */
void capture_ahead_pace(struct capture_ahead *a, unsigned packets,
			uint64_t now_us, bool (*is_empty)(void *ring),
			void *ring);

#endif
