/* SPDX-License-Identifier: BSD-2-Clause */
/* The way from tcpcopy to the target, and from there to intercept's queue. */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "tests/sim/sim.h"

void net_new(struct sim *sim);
/* A packet on its way to the target. */
void net_to_target(struct sim *sim, struct sim_packet *pkt);
/* A packet of the target on its way to the queue. */
void net_to_queue(struct sim *sim, struct sim_packet *pkt);

#endif
