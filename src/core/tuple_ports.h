/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ports that a tuple may have, and where a search for a free one goes on.
 * It goes on where the last one ended, so that a port rests as long as possible
 * and a search seldom looks at more than a few. Ports that are barred, or
 * another worker's, are passed over one by one.
 */
#ifndef CORE_TUPLE_PORTS_H
#define CORE_TUPLE_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/split.h"

#define TUPLES_PORT_MIN 1024u
#define TUPLES_PORTS	(65536u - TUPLES_PORT_MIN) /* of each address */
#define TUPLES_SLICES	1024u

/* Where a search looks for a port: in its own slice, then everywhere. */
enum tuple_span { SPAN_SLICE, SPAN_WHOLE, SPANS };

/* Numbers from TUPLES_PORT_MIN up. */
struct tuple_span_ports {
	uint32_t first, count;
	uint32_t usable; /* ours, without barred ones */
	uint32_t cursor; /* where the next search begins */
};

struct tuple_ports {
	struct tuple_span_ports spans[SPANS];
	const uint16_t *barred;
	size_t barred_count;
	struct split split;
};

/* count: of each address, from TUPLES_PORT_MIN up, at most TUPLES_PORTS; 0:
 * that many. barred: ports that are never taken, borrowed for good. */
void tuple_ports_init(struct tuple_ports *p, unsigned slice, uint32_t count,
		      const uint16_t *barred, size_t barred_count,
		      const struct split *split);
/* Ours, and not barred. */
bool tuple_ports_usable(const struct tuple_ports *p, uint32_t port);
/* Whether a search of the span comes by it. */
bool tuple_ports_has(const struct tuple_ports *p, enum tuple_span span,
		     uint32_t port);
/* The next one to look at, for ever. */
uint16_t tuple_ports_next(struct tuple_ports *p, enum tuple_span span);
/* Leaves what another process seems to have taken, after so many refusals in a
 * row, at least one. */
void tuple_ports_jump(struct tuple_ports *p, enum tuple_span span,
		      unsigned refusals);

#endif
