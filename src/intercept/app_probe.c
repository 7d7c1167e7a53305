// SPDX-License-Identifier: BSD-2-Clause
#include "intercept/app_probe.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/probe_watch.h"

/* Nobody may keep us looking out. */
#define WATCH_MS 5000
/* Each change of the rules takes time in which no verdict is given. */
#define PAUSE_US 50000u

void app_probe_open(struct app_probe *p)
{
	*p = (struct app_probe){.watch = NULL};
	p->error = -probe_watch_open(&p->watch);
}

void app_probe_start(struct app_probe *p, uv_loop_t *loop)
{
	uv_timer_init(loop, &p->timer);
	p->timer.data = p;
}

void app_probe_free(struct app_probe *p)
{
	if (p->watch)
		probe_watch_close(p->watch);
}

static void end(struct app_probe *p)
{
	if (!p->busy)
		return;
	p->busy = false;
	uv_timer_stop(&p->timer);
	probe_watch_stop(p->watch);
}

static void on_timer(uv_timer_t *timer)
{
	end(timer->data);
}

static int begin(struct app_probe *p, unsigned link_id,
		 const struct wire_probe *probe, bool is_own)
{
	uint64_t now_us = clock_us();
	int rc;

	if (!p->watch)
		return p->error;
	if ((p->busy && p->link_id != link_id) ||
	    now_us < p->begun_us + PAUSE_US)
		return EBUSY;
	if (!is_own)
		return EADDRNOTAVAIL;
	end(p);
	p->begun_us = now_us;
	rc = probe_watch_start(p->watch, &probe->client, &probe->target);
	if (rc < 0)
		return -rc;
	log_debug("link %u: looking out for a probe", link_id);
	p->busy = true;
	p->link_id = link_id;
	uv_timer_start(&p->timer, on_timer, WATCH_MS, 0);
	return 0;
}

static int tell(struct app_probe *p, unsigned link_id,
		struct wire_probe_seen *seen)
{
	int rc;

	if (!p->busy || p->link_id != link_id)
		return ENOENT;
	rc = probe_watch_read(p->watch, seen);
	end(p);
	return -rc;
}

struct wire_msg app_probe_answer(struct app_probe *p, unsigned link_id,
				 const struct wire_probe *probe, bool is_own)
{
	struct wire_msg msg = {.type = WIRE_PROBE_SEEN};
	int error = probe->tell ? tell(p, link_id, &msg.probe_seen)
				: begin(p, link_id, probe, is_own);

	msg.probe_seen.error = (uint32_t)error;
	return msg;
}

void app_probe_on_link_down(struct app_probe *p, unsigned link_id)
{
	if (p->link_id == link_id)
		end(p);
}
