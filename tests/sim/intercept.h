/* SPDX-License-Identifier: BSD-2-Clause */
/* intercept in the world: the real divert engine behind a queue. */
#ifndef SIM_INTERCEPT_H
#define SIM_INTERCEPT_H

#include "core/wire.h"
#include "tests/sim/sim.h"

void intercept_new(struct sim *sim);
void intercept_free(struct sim *sim);
void intercept_on_packet(struct sim *sim, struct sim_packet *pkt);
/* number: of the link within the group */
void intercept_on_msg(struct sim *sim, unsigned group, unsigned number,
		      const struct wire_msg *msg);
/* What it says in its HELLO, of worlds by port: the ports of which it is to
 * know the sessions. */
struct split intercept_ports(const struct sim *sim, unsigned group);
void intercept_on_link(struct sim *sim, unsigned group, unsigned number,
		       bool up, uint64_t instance);
/* It ends and begins anew; its links must be down. */
void intercept_restart(struct sim *sim, unsigned group);
void intercept_add_coverage(struct sim *sim);

#endif
