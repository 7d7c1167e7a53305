/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program around the engine: captures -> replay -> sender, links <->
 * replay. It knows no rule about TCP.
 */
#ifndef TCPCOPY_APP_H
#define TCPCOPY_APP_H

#include <uv.h>

#include "base/niceness.h"
#include "base/service.h"
#include "io/capture.h"
#include "io/link_client.h"
#include "io/next_hop.h"
#include "io/sender.h"
#include "tcpcopy/cpu_limit.h"
#include "tcpcopy/dry_target.h"
#include "tcpcopy/giving_way.h"
#include "tcpcopy/plan.h"

struct app;

struct app_capture {
	struct app *app;
	struct capture *capture;
	uv_poll_t poll;
	bool polled; /* the handle is in the loop */
};

struct app {
	const struct tcpcopy_options *options;
	struct plan plan;
	struct service *service;
	uv_loop_t loop;
	bool loop_made;
	uv_timer_t timer;     /* the engine's and the file's next deadline */
	uv_timer_t cpu_timer; /* only with --max-cpu */
	struct cpu_limit cpu;
	uv_timer_t trim_timer;
	uv_timer_t nice_timer; /* while there may be more steps of --nice */
	struct niceness niceness;
	struct giving_way giving_way;
	uv_check_t check; /* after the events of each turn of the loop */
	uv_idle_t more;	  /* started: the loop does not wait in its next turn */
	bool handles_made;

	struct replay *replay;
	struct sender *own;	/* from this host, or to a file; NULL: none */
	struct sender *relay;	/* by the links; NULL: none */
	struct sender *sender;	/* the one of these that is used */
	bool relay_answered;	/* something has come back by it */
	struct next_hops *hops; /* NULL: packets do not go as frames */
	uv_poll_t hops_poll;
	uv_timer_t hops_timer;
	bool hops_polled; /* the handles are in the loop */
	struct app_capture captures[DEVICES_MAX];
	size_t capture_count;
	struct link_client *links;		      /* NULL: a dry run */
	struct dry_target *dry_target;		      /* NULL: not a dry run */
	struct wire_status status[REPLAY_GROUPS_MAX]; /* last heard */
	bool heard[REPLAY_GROUPS_MAX];
	struct wire_response responses[REPLAY_RESPONSES]; /* to be taken */
	size_t response_count;

	bool ready;	     /* captures run */
	bool file_ended;     /* and the engine was told */
	bool stopping;	     /* sessions are over; what is queued goes out */
	uint64_t stop_by_us; /* but not for longer than this */
	int exit_code;
};

/* Runs until it is stopped or a file is at its end; the exit code. The service
 * has begun. */
int app_run(struct app *a, const struct tcpcopy_options *o, struct service *s);

/* ---- between the files of the app ---- */

/* One line on the log and, while starting, the end with this exit code. */
int app_refuse(int exit_code, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Opens what the options ask for. 0 or the exit code, after one line. */
int app_open_io(struct app *a);
void app_close_io(struct app *a);

/* app_path.c: the sender for packets that leave this host. app_open_io() and
 * app_close_io() call these. */
int app_open_path(struct app *a);
void app_close_path(struct app *a);
/* Before the loop is closed. */
void app_leave_path(struct app *a);
/* How they go, and why. */
void app_tell_path(const struct app *a);

/* app_relay.c: packets by the links. */
int app_open_relay(struct app *a);
/* All links are up. */
void app_choose_path(struct app *a);
/* A link is up again, or for the first time. false: it ends. */
bool app_check_relay(struct app *a, unsigned link_id, const char *intercept);
/* A target is silent. true: that is said, and another way taken. */
bool app_leave_silent_relay(struct app *a);

/* app_nice.c: before privileges are dropped; the capability to keep, or -1. */
int app_open_nice(struct app *a);
/* Captures begin. */
void app_start_nice(struct app *a);
/* Before packets are taken from it. */
void app_watch_backlog(struct app *a, struct capture *c);

/* app_links.c: opens the links, or stands in for them. */
int app_open_links(struct app *a);
/* Gives the engine the responses that have come since. */
void app_take_responses(struct app *a);
/* app_report.c: the ledger, to the log and to --json, or to the head. */
void app_report(struct app *a, bool final);
/* Captures begin. */
void app_start(struct app *a);
/* Ends the loop with this exit code. */
void app_end(struct app *a, int exit_code);
/* app_notices.c: says what the engine has to tell. */
void app_tell_notices(struct app *a);

#endif
