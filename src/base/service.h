/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What both programs do alike as a service: the options for it, log, pid file,
 * reports, signals and the --stats timer on libuv's loop.
 */
#ifndef BASE_SERVICE_H
#define BASE_SERVICE_H

#include <uv.h>

#include "base/log.h"
#include "base/opts.h"
#include "base/privileges.h"
#include "base/report.h"
#include "base/worker.h"

struct service_options {
	const char *log_path, *pid_path, *json_path; /* NULL: not given */
	enum log_level log_level;
	bool daemon, version, help;
	const char *netns;     /* NULL: stays in its network namespace */
	uint64_t stats_us;     /* 0: no periodic report */
	const char *user_text; /* NULL: not given */
	struct privileges_user user;
};

enum {
	SERVICE_OPT_STATS = OPTS_LONG_ONLY + 1000,
	SERVICE_OPT_JSON,
	SERVICE_OPT_LOG_LEVEL,
	SERVICE_OPT_USER,
	SERVICE_OPT_NETNS
};

/* The last rows of a program's table. */
#define SERVICE_OPTIONS                                                        \
	{'l', "log", "FILE",                                                   \
	 "log to FILE; SIGHUP reopens it (stderr; -d: syslog)"},               \
		{SERVICE_OPT_LOG_LEVEL, "log-level", "LEVEL",                  \
		 "error, warn, info or debug (info)"},                         \
		{SERVICE_OPT_STATS, "stats", "SECONDS",                        \
		 "log the counters this often, 0.1 to 86400"},                 \
		{SERVICE_OPT_JSON, "json", "FILE",                             \
		 "reports as JSON to FILE, - is stdout"},                      \
		{'P', "pid-file", "FILE", NULL},                               \
		{'d', "daemon", NULL,                                          \
		 "process id to FILE; run in the background"},                 \
		{SERVICE_OPT_USER, "user", "USER",                             \
		 "root becomes USER (tcpcopy if it exists, nobody)"},          \
		{SERVICE_OPT_NETNS, "netns", "NAME|PATH",                      \
		 "network namespace to work in (its own)"},                    \
		{'v', "version", NULL, NULL},                                  \
	{                                                                      \
		'h', "help", NULL, "print the version, or this, and end"       \
	}

void service_options_init(struct service_options *o);
/* Whether id is one of the above; then *ok says if the value was good. */
bool service_option(struct service_options *o, int id, const char *value,
		    struct opts_fault *fault, bool *ok);

struct service_calls {
	/* --stats, SIGUSR1 (to the log at info and to the report). */
	void (*report)(void *ctx);
	/* SIGTERM or SIGINT, once. */
	void (*stop)(void *ctx);
	/* May be NULL: log and report were opened again; whether all is well,
	 * so that the manager's watchdog may hear from us. */
	void (*reopened)(void *ctx);
	bool (*alive)(void *ctx);
};

struct service {
	struct report report;
	const struct service_options *options;
	const char *program;
	struct privileges_user user;
	bool becomes_user;
	uv_signal_t signals[4];
	uv_timer_t stats_timer, watchdog_timer;
	struct service_calls calls;
	void *ctx;
	bool stopping;
	struct worker *worker; /* NULL: not one of several */
	char worker_name[32];
};

/* Goes to the network namespace of --netns, if that was given. 0, or the exit
 * code, after one line on stderr. */
int service_enter_netns(const char *program, const struct service_options *o);
/* Opens log, report and pid file, goes to its network namespace and detaches if
 * asked for. 0, or the exit code, after one line on stderr. Call it before
 * anything else is opened and before the loop exists. */
int service_begin(struct service *s, const char *program,
		  const struct service_options *o);
/* Everything that needs a privilege is open: gives up all of them but one
 * capability (-1: this one as well), and all system calls but those that a
 * service needs. 0, or the exit code, after one line on stderr. */
int service_drop_privileges(struct service *s, int keep);
/* Signals and timer; SIGPIPE is ignored from here on. 0 or -errno. */
int service_run_on(struct service *s, uv_loop_t *loop,
		   const struct service_options *o,
		   const struct service_calls *calls, void *ctx);
/* The start has succeeded. */
void service_ready(const struct service *s);
/* From now on this process is a worker, in which signals, timers, report and
 * pid file are not ours, but the head's: it is told over worker. */
void service_become_worker(struct service *s, struct worker *worker);
/* A worker's report: this goes to its head. false: it is no worker, and its
 * report goes to the log and the JSON file. */
bool service_give_account(const struct service *s, const void *account,
			  size_t bytes);
/* How the log says that the start has succeeded: "ready" is said once. */
const char *service_ready_word(const struct service *s);
/* Closes the handles; the loop must run once more. */
void service_leave_loop(struct service *s);
/* Report, held back log lines, pid file. */
void service_end(struct service *s);

#endif
