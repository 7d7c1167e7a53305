/* SPDX-License-Identifier: BSD-2-Clause */
/* Sees how far packets come on their way through this host, without taking part
 * in it: rules of nf_tables that count. */
#ifndef IO_PROBE_WATCH_H
#define IO_PROBE_WATCH_H

#include "core/wire.h"

struct probe_watch;

/* 0 or -errno; later no socket is opened any more. */
int probe_watch_open(struct probe_watch **out);
void probe_watch_close(struct probe_watch *w);

/* Begins to count packets of the client to the target and their answers; ends
 * what was looked out for before. 0 or -errno. */
int probe_watch_start(struct probe_watch *w, const struct endpoint *client,
		      const struct endpoint *target);
/* The numbers so far; out->error is left alone. 0 or -errno. */
int probe_watch_read(struct probe_watch *w, struct wire_probe_seen *out);
void probe_watch_stop(struct probe_watch *w);

#endif
