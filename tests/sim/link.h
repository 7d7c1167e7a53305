/* SPDX-License-Identifier: BSD-2-Clause */
/* The links: pipes of bytes between the real peers of both sides. */
#ifndef SIM_LINK_H
#define SIM_LINK_H

#include "core/wire.h"
#include "tests/sim/sim.h"

void links_new(struct sim *sim);
void links_free(struct sim *sim);
/* From tcpcopy, and from intercept; dropped if the link is down. */
void links_send(struct sim *sim, unsigned link_id, const struct wire_msg *msg);
void links_reply(struct sim *sim, unsigned group, unsigned number,
		 const struct wire_msg *msg);
/* Where tcpcopy's next RELAY may have its packet, or NULL. */
uint8_t *links_slot(struct sim *sim, unsigned link_id, size_t len);
/* Bytes of packets that a link takes from tcpcopy. */
size_t links_room(const struct sim *sim, unsigned link_id);
/* Moves on what the peers have to write. */
void links_pump(struct sim *sim);
/* No more faults. */
void links_mend(struct sim *sim);

#endif
