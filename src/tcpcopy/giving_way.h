/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * --nice: how many steps nicer than it was started tcpcopy may be now. Who
 * serves real clients comes first, but not at the price of the copy: when what
 * waits to be copied grows, there are none for a second; then one more each
 * time that nothing has.
 */
#ifndef TCPCOPY_GIVING_WAY_H
#define TCPCOPY_GIVING_WAY_H

#include <stdbool.h>

#define GIVING_WAY_EACH_MS 100

struct giving_way {
	unsigned most, steps; /* steps: now */
	unsigned pause;	      /* looks until there may be one more */
};

/* None yet; in the end, most. */
void giving_way_init(struct giving_way *g, unsigned most);
/* Too much waits. */
void giving_way_stop(struct giving_way *g);
/* Each GIVING_WAY_EACH_MS. false: steps are as many as they will be, and there
 * is no need to look again before the next giving_way_stop(). */
bool giving_way_look(struct giving_way *g);

#endif
