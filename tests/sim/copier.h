/* SPDX-License-Identifier: BSD-2-Clause */
/* tcpcopy in the world: the real replay engine and what drives it. */
#ifndef SIM_COPIER_H
#define SIM_COPIER_H

#include "core/replay.h"
#include "tests/sim/sim.h"

#define COPIER_TARGETS_MAX 8u

void copier_new(struct sim *sim);
/* Another process in its place; all links must be down. */
void copier_restart(struct sim *sim);
void copier_free(struct sim *sim);
void copier_on_capture(struct sim *sim, const struct sim_packet *pkt);
void copier_on_msg(struct sim *sim, unsigned link_id,
		   const struct wire_msg *msg);
/* A link may have room again. */
void copier_look_for_room(struct sim *sim);
void copier_on_link(struct sim *sim, unsigned link_id, bool up);
void copier_on_link_silence(struct sim *sim, unsigned link_id, bool silent);
void copier_capture_end(struct sim *sim);
void copier_shutdown(struct sim *sim);
const struct ledger *copier_ledger(const struct sim *sim);
const struct replay *copier_engine(const struct sim *sim);
const struct replay_config *copier_config(const struct sim *sim);
/* Most bytes that the engine ever had, and whether it asked for any since it
 * was made. */
size_t copier_memory(const struct sim *sim, bool *after_start);

#endif
