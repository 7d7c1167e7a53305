/* SPDX-License-Identifier: BSD-2-Clause */
/* Looks out for the probe of a tcpcopy's doctor. */
#ifndef INTERCEPT_APP_PROBE_H
#define INTERCEPT_APP_PROBE_H

#include <uv.h>

#include "core/wire.h"

struct probe_watch;

struct app_probe {
	struct probe_watch *watch; /* NULL: cannot be */
	int error;		   /* why */
	bool busy;
	unsigned link_id; /* who asked */
	uint64_t begun_us;
	uv_timer_t timer;
};

/* Before privileges are given up. */
void app_probe_open(struct app_probe *p);
void app_probe_start(struct app_probe *p, uv_loop_t *loop);
void app_probe_free(struct app_probe *p);

/* The answer to a PROBE by this link; is_own: its target is this host's. */
struct wire_msg app_probe_answer(struct app_probe *p, unsigned link_id,
				 const struct wire_probe *probe, bool is_own);
void app_probe_on_link_down(struct app_probe *p, unsigned link_id);

#endif
