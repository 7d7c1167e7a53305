/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets that a capture shows and that are nobody's business, or no packets
 * at all. */
#ifndef SIM_NOISE_H
#define SIM_NOISE_H

#include "tests/sim/sim.h"

void noise_start(struct sim *sim);

#endif
