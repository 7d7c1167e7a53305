// SPDX-License-Identifier: BSD-2-Clause
#include "base/service.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/daemon.h"
#include "base/file.h"
#include "base/netns.h"
#include "base/notify.h"
#include "base/syscalls.h"

void service_options_init(struct service_options *o)
{
	*o = (struct service_options){.log_level = LOG_LEVEL_INFO};
}

static bool take_path(const char **path, const char *value,
		      struct opts_fault *fault)
{
	if (!*value)
		return opts_fail(fault, "must be the name of a file");
	*path = value;
	return true;
}

static bool take_user(struct service_options *o, const char *value,
		      struct opts_fault *fault)
{
	o->user_text = value;
	return privileges_user_find(value, &o->user) ||
	       opts_fail(fault, "must be a user of this host");
}

bool service_option(struct service_options *o, int id, const char *value,
		    struct opts_fault *fault, bool *ok)
{
	*ok = true;
	switch (id) {
	case 'l':
		*ok = take_path(&o->log_path, value, fault);
		return true;
	case 'P':
		*ok = take_path(&o->pid_path, value, fault);
		return true;
	case 'd':
		o->daemon = true;
		return true;
	case 'v':
		o->version = true;
		return true;
	case 'h':
		o->help = true;
		return true;
	case SERVICE_OPT_STATS:
		*ok = opts_seconds(value, "seconds between reports", 0.1, 86400,
				   &o->stats_us, fault);
		return true;
	case SERVICE_OPT_JSON:
		*ok = take_path(&o->json_path, value, fault);
		return true;
	case SERVICE_OPT_LOG_LEVEL:
		*ok = log_level_parse(value, &o->log_level) ||
		      opts_fail(fault, "must be error, warn, info or debug");
		return true;
	case SERVICE_OPT_NETNS:
		o->netns = value;
		*ok = *value || opts_fail(fault, "must not be empty");
		return true;
	case SERVICE_OPT_USER:
		*ok = take_user(o, value, fault);
		return true;
	default:
		return false;
	}
}

static int refuse(const char *program, const char *option, const char *path,
		  int err)
{
	bool busy = err == -EBUSY;

	opts_complain(program, "%s %s: %s; %sname another file", option, path,
		      busy ? "a running process has it" : strerror(-err),
		      busy ? "end that, or " : "");
	return OPTS_EXIT_ENVIRONMENT;
}

/* Who will serve; needed now, since that user's files are made first. */
static int choose_user(struct service *s)
{
	bool may = privileges_may_change_user();
	uid_t now = geteuid();

	s->user = s->options->user;
	if (!s->options->user_text && now == 0 && may)
		privileges_user_default(&s->user);
	else if (!s->options->user_text || s->user.uid == now)
		return 0;
	if (!may) {
		opts_complain(
			s->program,
			"--user %s: CAP_SETUID and CAP_SETGID are missing: "
			"start it as root, or as this user",
			s->options->user_text);
		return OPTS_EXIT_ENVIRONMENT;
	}
	s->becomes_user = true;
	file_give_to(s->user.uid, s->user.gid);
	return 0;
}

static int open_files(struct service *s)
{
	const struct service_options *o = s->options;
	int err = log_open(s->program, o->log_path, o->log_level);

	if (err)
		return refuse(s->program, "-l", o->log_path, err);
	err = report_open(&s->report, o->json_path, s->program);
	if (err)
		return refuse(s->program, "--json", o->json_path, err);
	err = o->pid_path ? daemon_pid_file(o->pid_path) : 0;
	if (err)
		return refuse(s->program, "-P", o->pid_path, err);
	return 0;
}

int service_enter_netns(const char *program, const struct service_options *o)
{
	struct opts_fault fault;
	int rc = o->netns ? netns_enter(o->netns, &fault) : 0;

	if (rc)
		opts_complain(program, "--netns %s: %s", o->netns, fault.text);
	return rc;
}

int service_begin(struct service *s, const char *program,
		  const struct service_options *o)
{
	int err;

	*s = (struct service){.program = program, .options = o};
	/* libuv's own way to the kernel would go past the list of system
	 * calls. */
	setenv("UV_USE_IO_URING", "0", 1);
	err = choose_user(s);
	if (err)
		return err;
	/* Before, since the manager's socket may belong to the namespace. */
	notify_open();
	err = service_enter_netns(program, o);
	if (err)
		return err;
	if (o->daemon) {
		err = daemon_detach();
		if (err)
			return refuse(program, "-d", "", err);
	}
	return open_files(s);
}

static int drop(const struct service *s, int keep)
{
	int err = privileges_drop(s->becomes_user ? &s->user : NULL, keep);

	/* A namespace in which root is the only user there is. */
	if (err && s->becomes_user && !s->options->user_text)
		err = privileges_drop(NULL, keep);
	return err;
}

int service_drop_privileges(struct service *s, int keep)
{
	int err = drop(s, keep);

	if (err) {
		opts_complain(s->program,
			      "--user %s: privileges cannot be given up: %s; "
			      "name a user that this host has",
			      s->options->user_text ? s->options->user_text
						    : "",
			      strerror(-err));
		return OPTS_EXIT_ENVIRONMENT;
	}
	err = syscalls_restrict();
	if (err) {
		opts_complain(
			s->program,
			"the kernel takes no seccomp filter: %s; build it "
			"with configure --disable-seccomp",
			strerror(-err));
		return OPTS_EXIT_ENVIRONMENT;
	}
	if (geteuid() == 0)
		log_warn("runs as root; --user names another user");
	return 0;
}

static void stop_once(void *ctx)
{
	struct service *s = ctx;

	notify_say("STOPPING=1");
	if (!s->stopping)
		s->calls.stop(s->ctx);
	s->stopping = true;
}

static void on_signal(uv_signal_t *handle, int signum)
{
	struct service *s = handle->data;

	switch (signum) {
	case SIGHUP:
		log_reopen();
		report_reopen(&s->report);
		if (s->calls.reopened)
			s->calls.reopened(s->ctx);
		break;
	case SIGUSR1:
		s->calls.report(s->ctx);
		break;
	default:
		stop_once(s);
		break;
	}
}

static void on_stats(uv_timer_t *timer)
{
	struct service *s = timer->data;

	s->calls.report(s->ctx);
}

static void on_watchdog(uv_timer_t *timer)
{
	const struct service *s = timer->data;

	if (!s->calls.alive || s->calls.alive(s->ctx))
		notify_say("WATCHDOG=1");
}

static int start_signals(struct service *s, uv_loop_t *loop)
{
	static const int signums[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
	unsigned ours = s->worker ? 2 : 4;
	int err = 0;

	signal(SIGPIPE, SIG_IGN);
	for (unsigned i = 0; i < 4; i++) {
		uv_signal_init(loop, &s->signals[i]);
		s->signals[i].data = s;
		if (i >= ours)
			signal(signums[i], SIG_IGN);
		else if (!err)
			err = uv_signal_start(&s->signals[i], on_signal,
					      signums[i]);
	}
	return err;
}

static int start_timer(uv_timer_t *timer, uv_timer_cb cb, uint64_t period_us)
{
	uint64_t ms = period_us / 1000;

	return ms ? uv_timer_start(timer, cb, ms, ms) : 0;
}

static void report_now(void *ctx)
{
	struct service *s = ctx;

	s->calls.report(s->ctx);
}

static int follow_head(struct service *s, uv_loop_t *loop)
{
	const struct worker_calls calls = {
		.report = report_now, .stop = stop_once, .ctx = s};

	return worker_run_on(s->worker, loop, &calls);
}

int service_run_on(struct service *s, uv_loop_t *loop,
		   const struct service_options *o,
		   const struct service_calls *calls, void *ctx)
{
	int err;

	s->calls = *calls;
	s->ctx = ctx;
	err = start_signals(s, loop);
	uv_timer_init(loop, &s->stats_timer);
	s->stats_timer.data = s;
	if (!err && !s->worker)
		err = start_timer(&s->stats_timer, on_stats, o->stats_us);
	/* Twice as often as the manager wants to hear it. */
	uv_timer_init(loop, &s->watchdog_timer);
	s->watchdog_timer.data = s;
	if (!err)
		err = start_timer(&s->watchdog_timer, on_watchdog,
				  notify_watchdog_us() / 2);
	if (!err && s->worker)
		err = follow_head(s, loop);
	return err;
}

void service_become_worker(struct service *s, struct worker *worker)
{
	s->worker = worker;
	snprintf(s->worker_name, sizeof(s->worker_name), "%s/%u", s->program,
		 worker->index);
	log_rename(s->worker_name);
	report_close(&s->report);
	notify_close();
	daemon_forget();
}

/* At once, when it is whole: we may be killed at any time. */
bool service_give_account(const struct service *s, const void *account,
			  size_t bytes)
{
	if (s->worker)
		memcpy(s->worker->account, account, bytes);
	return s->worker != NULL;
}

const char *service_ready_word(const struct service *s)
{
	return s->worker ? "works" : "ready";
}

void service_ready(const struct service *s)
{
	if (s->worker) {
		worker_say(s->worker, WORKER_READY);
		return;
	}
	daemon_ready();
	notify_say("READY=1");
}

/* From here on nobody listens to signals, and they shall not cut the end short.
 */
static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

void service_leave_loop(struct service *s)
{
	block_signals();
	for (unsigned i = 0; i < 4; i++)
		uv_close((uv_handle_t *)&s->signals[i], NULL);
	uv_close((uv_handle_t *)&s->stats_timer, NULL);
	uv_close((uv_handle_t *)&s->watchdog_timer, NULL);
	if (s->worker)
		worker_leave(s->worker);
}

void service_end(struct service *s)
{
	report_close(&s->report);
	log_flush();
	daemon_pid_file_remove();
	notify_close();
}
