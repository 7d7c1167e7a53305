// SPDX-License-Identifier: BSD-2-Clause
#include "tcpcopy/giving_way.h"

#define PAUSE (1000 / GIVING_WAY_EACH_MS)

void giving_way_init(struct giving_way *g, unsigned most)
{
	*g = (struct giving_way){.most = most};
}

void giving_way_stop(struct giving_way *g)
{
	g->steps = 0;
	g->pause = PAUSE;
}

bool giving_way_look(struct giving_way *g)
{
	if (g->pause)
		g->pause--;
	else if (g->steps < g->most)
		g->steps++;
	return g->steps < g->most;
}
