/* SPDX-License-Identifier: BSD-2-Clause */
/* intercept: the queue, the engine and the links on one loop. */
#ifndef INTERCEPT_APP_H
#define INTERCEPT_APP_H

#include "core/divert.h"
#include "intercept/account.h"
#include "intercept/app_guard.h"
#include "intercept/app_probe.h"
#include "intercept/options.h"
#include "io/devices.h"
#include "io/link_access.h"
#include "io/link_server.h"
#include "io/queue.h"
#include "io/sender.h"

#define APP_LINKS_MAX	ACCOUNT_LINKS_MAX
#define APP_DEVICES_MAX 64

struct app {
	const struct options *options;
	struct service *service;
	uv_loop_t loop;
	struct divert *divert;
	struct queue *queue;
	struct link_access *access;
	struct link_server *server;
	struct sender *inject;	 /* NULL: no --relay */
	struct devices *devices; /* NULL: names are not known */
	struct app_guard guard;
	struct app_probe probe;
	uv_poll_t queue_poll, devices_poll;
	uv_timer_t divert_timer, second_timer;
	uint64_t divert_deadline_us; /* divert_timer is set for this */
	unsigned since_pull;	     /* events given to the engine */
	uint64_t batch_us;	     /* the last batch of packets */
	bool gather;		     /* the next one is to be larger */
	uint64_t relayed;	     /* packets, when the last one gathered */
	/* Devices that packets would have left by, and how many of these the
	 * log has named. */
	uint32_t seen[APP_DEVICES_MAX];
	unsigned seen_count, named_count;
	uint64_t links_excess;	   /* ended: of one tcpcopy too many */
	uint64_t routes_foreign;   /* asked for, of other hosts */
	uint64_t routes_unguarded; /* and of ports that the guard leaves out */
	bool foreign_said[APP_LINKS_MAX], unguarded_said[APP_LINKS_MAX];
	uint64_t relay_foreign;	  /* packets to or from where they may not be */
	uint64_t relay_unguarded; /* that came while the guard did not stand */
	unsigned strangers_said;  /* on the log in this second */
	uint64_t dropped;	  /* by the kernel, as of the last second */
};

/* Opens everything and starts it. 0, or the exit code, after one line on
 * stderr; then nothing is left to be freed. */
int app_open(struct app *a, const struct options *o, struct service *s);
/* Until SIGTERM or SIGINT, and to the end of the handles' closing. */
void app_run(struct app *a);
void app_free(struct app *a);

/* ---- between the files of the app ---- */

/* One line on stderr; returns the exit code. */
int app_refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Gives the engine's messages to the links; app_settle() writes them too, and
 * sets the engine's timer. */
void app_pull(struct app *a);
void app_settle(struct app *a);
/* What tcpcopies are to know of queue and guard. */
void app_fill_status(struct app *a, struct wire_msg *msg);

/* app_links.c: listens. 0 or the exit code, after one line. */
int app_open_links(struct app *a);
void app_free_links(struct app *a);
/* Who may connect, on the log. */
void app_say_access(const struct app *a);

/* app_relay.c: opens what injects, if it is asked for. 0 or the exit code. */
int app_open_relay(struct app *a);
void app_free_relay(struct app *a);
/* A packet that has come by a link: injected, or counted. */
void app_relay(struct app *a, unsigned link_id, const struct wire_relay *relay,
	       uint64_t now_us);
/* Injects the engine's ACKs, which are ours, as what has come by a link. */
void app_pull_acks(struct app *a);
/* Every second: by which way packets are injected may change. */
void app_look_relay(struct app *a);
void app_flush_relay(struct app *a);

/* app_report.c: the ledger, to the log and to --json, or to the head. */
void app_report(struct app *a, bool final);

#endif
