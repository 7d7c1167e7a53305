/* SPDX-License-Identifier: BSD-2-Clause */
/* tcpcopy check: everything on the online server because of which nothing
 * arrives, and what the way to the target and back does to a packet. */
#ifndef TCPCOPY_CHECK_H
#define TCPCOPY_CHECK_H

#include "check/check.h"
#include "check/link.h"
#include "check/rules_read.h"
#include "io/next_hop.h"
#include "tcpcopy/plan.h"

/* The exit code. */
int tcpcopy_check(const struct tcpcopy_options *o, bool json);

/* ---- between the files of the doctor ---- */

struct tcpcopy_doctor {
	const struct tcpcopy_options *o;
	struct plan plan;
	struct rules_host rules;
	bool up[REPLAY_GROUPS_MAX]; /* intercepts for which packets may go */
	struct wire_status status[REPLAY_GROUPS_MAX]; /* the last word */
	bool relays[REPLAY_GROUPS_MAX]; /* and those that inject packets */
	struct next_hops *hops;		/* NULL: not asked for, or not known */
};

/* The first of a target's intercepts for which packets may go, or -1. */
int doctor_group(const struct tcpcopy_doctor *d, size_t target);
/* How packets to it would go: never PATH_AUTO. */
enum tcpcopy_path doctor_path(const struct tcpcopy_doctor *d, size_t target);

/* check_way.c: on the way to the targets. */
void check_way(struct check *c, void *ctx);
void check_output(struct check *c, void *ctx);
/* check_probe.c: there and back. */
void check_probe(struct check *c, void *ctx);
/* check_devices.c: by what packets come in. */
struct device_seen {
	bool exists, up, loopback;
	bool lro; /* the device merges packets by itself */
};
/* wanted: it was named. */
void check_say_device(struct check *c, const char *name,
		      const struct device_seen *seen, bool wanted);
void check_devices(struct check *c, void *ctx);
/* check_capture.c: what comes in. */
void check_server(struct check *c, void *ctx);
void check_capture(struct check *c, void *ctx);

#endif
