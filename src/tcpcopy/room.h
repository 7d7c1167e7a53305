/* SPDX-License-Identifier: BSD-2-Clause */
/* How many connections at a time can be copied -n times. */
#ifndef TCPCOPY_ROOM_H
#define TCPCOPY_ROOM_H

#include "core/replay.h"

/* Below this it is worth a warning: for all clients together, when they share
 * the addresses of -c; for each client, when it has its own. */
#define ROOM_SHARED_LEAST 1000u
#define ROOM_EACH_LEAST	  100u

struct room {
	uint64_t addrs;	      /* of -c, that the target can have; 0: none */
	uint64_t connections; /* whose copies have all a port at a time */
	bool is_small;
};

/* Towards a target; ports of all targets are never a client's. */
struct room room_towards(const struct replay_config *cfg, size_t target);

#endif
