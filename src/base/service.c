// SPDX-License-Identifier: BSD-2-Clause
#include "base/service.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/daemon.h"

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
	default:
		return false;
	}
}

static int refuse(const char *program, const char *option, const char *path,
		  int err)
{
	fprintf(stderr, "%s: %s %s: %s\n", program, option, path,
		err == -EBUSY ? "a running process has this file"
			      : strerror(-err));
	return OPTS_EXIT_ENVIRONMENT;
}

int service_begin(struct service *s, const char *program,
		  const struct service_options *o)
{
	int err;

	*s = (struct service){0};
	if (o->daemon) {
		err = daemon_detach();
		if (err)
			return refuse(program, "-d", "", err);
	}
	err = log_open(program, o->log_path, o->log_level);
	if (err)
		return refuse(program, "-l", o->log_path, err);
	err = report_open(&s->report, o->json_path, program);
	if (err)
		return refuse(program, "--json", o->json_path, err);
	err = o->pid_path ? daemon_pid_file(o->pid_path) : 0;
	if (err)
		return refuse(program, "-P", o->pid_path, err);
	return 0;
}

static void on_signal(uv_signal_t *handle, int signum)
{
	struct service *s = handle->data;

	switch (signum) {
	case SIGHUP:
		log_reopen();
		report_reopen(&s->report);
		break;
	case SIGUSR1:
		s->calls.report(s->ctx);
		break;
	default:
		if (!s->stopping)
			s->calls.stop(s->ctx);
		s->stopping = true;
		break;
	}
}

static void on_stats(uv_timer_t *timer)
{
	struct service *s = timer->data;

	s->calls.report(s->ctx);
}

int service_run_on(struct service *s, uv_loop_t *loop,
		   const struct service_options *o,
		   const struct service_calls *calls, void *ctx)
{
	static const int signums[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
	uint64_t period_ms = o->stats_us / 1000;
	int err;

	s->calls = *calls;
	s->ctx = ctx;
	signal(SIGPIPE, SIG_IGN);
	for (unsigned i = 0; i < 4; i++) {
		uv_signal_init(loop, &s->signals[i]);
		s->signals[i].data = s;
		err = uv_signal_start(&s->signals[i], on_signal, signums[i]);
		if (err)
			return err;
	}
	uv_timer_init(loop, &s->stats_timer);
	s->stats_timer.data = s;
	if (period_ms)
		return uv_timer_start(&s->stats_timer, on_stats, period_ms,
				      period_ms);
	return 0;
}

void service_ready(void)
{
	daemon_ready();
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
}

void service_end(struct service *s)
{
	report_close(&s->report);
	log_flush();
	daemon_pid_file_remove();
}
