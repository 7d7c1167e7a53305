// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * The head opens log, report and pid file as a single process would, and forks
 * the workers, each when the one before has said that it is ready: the order in
 * which they join a group decides what they get, and a start that fails is told
 * once. There is no loop and no other thread until they all run. Then the head
 * gives up its privileges and serves signals, timers and the workers' bytes.
 *
 * Once a second all are asked for their accounts, so that one that is killed
 * leaves an account that is not old. A report is written when the last one has
 * answered, and none is asked again before it has: what it then has written
 * nobody reads meanwhile. Who does not answer for SILENT_TICKS is left out
 * until it does. When a worker ends without having been told to, all are told
 * to stop. The final report is written when all have ended.
 */
#include "base/workers_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/opts.h"

#define ACCOUNT_ALIGN 64u
#define TICK_MS	      1000
#define SILENT_TICKS  5u

void *workers_account(const struct workers *w, unsigned index)
{
	return w->accounts + index * w->each_bytes;
}

static int make_accounts(struct workers *w)
{
	void *at;

	w->each_bytes = (w->spec->account_bytes + ACCOUNT_ALIGN - 1) &
			~(size_t)(ACCOUNT_ALIGN - 1);
	at = mmap(NULL, w->each_bytes * w->spec->count, PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED) {
		fprintf(stderr, "%s: no memory\n", w->spec->program);
		return OPTS_EXIT_ENVIRONMENT;
	}
	w->accounts = at;
	return 0;
}

/* ---- what goes to the workers, and comes from them ---- */

bool workers_say(const struct member *m, char byte)
{
	ssize_t n;

	do {
		n = send(m->fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n == 1;
}

void workers_say_stop(const struct member *m)
{
	if (!workers_say(m, WORKER_STOP))
		shutdown(m->fd, SHUT_WR);
}

static void say_to_all(struct workers *w, char byte)
{
	for (unsigned i = 0; i < w->started; i++)
		if (!w->members[i].ended)
			workers_say(&w->members[i], byte);
}

static void write_report(struct workers *w, bool final)
{
	const void *accounts[WORKERS_MAX];

	for (unsigned i = 0; i < w->spec->count; i++)
		accounts[i] = workers_account(w, i);
	w->spec->report(w->spec->ctx, &w->service, accounts, final);
}

/* Whether its account is still to come. */
static bool is_due(const struct member *m)
{
	return !m->ended && m->asked != m->answered;
}

static void ask(struct workers *w)
{
	w->asking = true;
	w->ask_again = false;
	w->ticks = 0;
	for (unsigned i = 0; i < w->started; i++) {
		struct member *m = &w->members[i];

		if (!m->ended && !is_due(m) && workers_say(m, WORKER_REPORT))
			m->asked++;
	}
}

static void report_if_complete(struct workers *w)
{
	for (unsigned i = 0; i < w->started; i++)
		if (is_due(&w->members[i]) && !w->members[i].silent)
			return;
	w->asking = false;
	if (!w->wanted || w->stopping)
		return;
	if (w->ask_again) {
		ask(w);
		return;
	}
	w->wanted = false;
	write_report(w, false);
}

static void on_report(void *ctx)
{
	struct workers *w = ctx;

	if (w->wanted || w->stopping)
		return;
	w->wanted = true;
	w->ask_again = w->asking;
	if (w->asking)
		return;
	ask(w);
	report_if_complete(w); /* all may be silent */
}

static void note_silent(struct workers *w)
{
	for (unsigned i = 0; i < w->started; i++) {
		struct member *m = &w->members[i];

		if (!is_due(m) || m->silent)
			continue;
		m->silent = true;
		log_error("worker %u does not answer: until it does, its part "
			  "of reports is an old one",
			  i);
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct workers *w = timer->data;

	if (w->stopping)
		return;
	if (!w->asking) {
		ask(w);
	} else if (++w->ticks == SILENT_TICKS) {
		note_silent(w);
		report_if_complete(w);
	}
}

static void on_answer(struct member *m)
{
	m->answered++;
	if (m->silent)
		log_info("worker %u answers again", m->index);
	m->silent = false;
}

static void on_stop(void *ctx)
{
	struct workers *w = ctx;

	for (unsigned i = 0; !w->stopping && i < w->started; i++)
		if (!w->members[i].ended)
			workers_say_stop(&w->members[i]);
	w->stopping = true;
}

static void on_reopened(void *ctx)
{
	say_to_all(ctx, WORKER_REOPEN);
}

/* Whether all have answered since this was asked last. */
static bool are_alive(void *ctx)
{
	struct workers *w = ctx;
	bool all = true;

	for (unsigned i = 0; i < w->started; i++) {
		struct member *m = &w->members[i];

		if (m->ended)
			continue;
		all &= m->alive;
		/* One that owes a sign need not be asked for another. */
		if (m->alive && workers_say(m, WORKER_SIGN))
			m->alive = false;
	}
	return all;
}

static void close_handles(struct workers *w)
{
	for (unsigned i = 0; i < w->started; i++)
		if (w->members[i].polled)
			uv_close((uv_handle_t *)&w->members[i].poll, NULL);
	uv_close((uv_handle_t *)&w->tick, NULL);
	service_leave_loop(&w->service);
}

/* With 0 it was told to: by us, by a manager who tells all, or it alone. */
static void say_end(const struct workers *w, const struct member *m, int status)
{
	if (workers_code(status))
		log_error("worker %u has ended by %s %d: all end; its account "
			  "is that of a moment before",
			  m->index,
			  WIFEXITED(status) ? "itself with" : "signal",
			  WIFEXITED(status) ? WEXITSTATUS(status)
					    : WTERMSIG(status));
	else if (!w->stopping)
		log_info("worker %u was told to end: all do", m->index);
}

static void on_end(struct member *m)
{
	struct workers *w = m->all;
	int status;

	m->ended = true;
	w->ended++;
	uv_poll_stop(&m->poll);
	status = workers_wait(m);
	say_end(w, m, status);
	if (workers_code(status))
		w->exit_code = workers_code(status);
	on_stop(w);
	report_if_complete(w);
	if (w->ended < w->started)
		return;
	write_report(w, true);
	uv_stop(&w->loop);
}

static void on_bytes(uv_poll_t *poll, int status, int events)
{
	struct member *m = poll->data;
	char bytes[16];
	ssize_t n = recv(m->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	(void)status;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	for (ssize_t i = 0; i < n; i++) {
		if (bytes[i] == WORKER_REPORTED)
			on_answer(m);
		m->alive |= bytes[i] == WORKER_ALIVE;
	}
	if (n <= 0)
		on_end(m);
	else
		report_if_complete(m->all);
}

/* ---- the head's life ---- */

static int start_head(struct workers *w)
{
	static const struct service_calls calls = {.report = on_report,
						   .stop = on_stop,
						   .reopened = on_reopened,
						   .alive = are_alive};
	int err = 0;

	for (unsigned i = 0; !err && i < w->started; i++) {
		struct member *m = &w->members[i];

		err = uv_poll_init(&w->loop, &m->poll, m->fd);
		m->poll.data = m;
		m->alive = true;
		m->polled = !err;
		if (!err)
			err = uv_poll_start(&m->poll, UV_READABLE, on_bytes);
	}
	uv_timer_init(&w->loop, &w->tick);
	w->tick.data = w;
	if (!err)
		err = uv_timer_start(&w->tick, on_tick, TICK_MS, TICK_MS);
	if (!err)
		err = service_run_on(&w->service, &w->loop, w->spec->options,
				     &calls, w);
	return err;
}

static void say_ready(struct workers *w)
{
	struct json *j = report_begin(&w->service.report, "ready");

	if (j)
		report_end(&w->service.report);
	if (w->spec->options->daemon)
		say_to_all(w, WORKER_DETACH);
	service_ready(&w->service);
	log_info("ready: %u workers", w->started);
}

/* All workers run. */
static int lead(struct workers *w, const sigset_t *before)
{
	int rc = service_drop_privileges(&w->service, -1);
	int err;

	if (rc) {
		workers_give_up(w);
		return rc;
	}
	err = uv_loop_init(&w->loop);
	if (!err)
		err = start_head(w);
	if (err) {
		fprintf(stderr, "%s: event loop: %s\n", w->spec->program,
			uv_strerror(err));
		workers_give_up(w);
		return OPTS_EXIT_ENVIRONMENT;
	}
	say_ready(w);
	/* What was held is the loop's now. */
	sigprocmask(SIG_SETMASK, before, NULL);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	close_handles(w);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	uv_loop_close(&w->loop);
	return w->exit_code;
}

int workers_run(const struct workers_spec *spec)
{
	static struct workers w;
	sigset_t before;
	int rc;

	w = (struct workers){.spec = spec};
	rc = service_begin(&w.service, spec->program, spec->options);
	if (!rc)
		rc = make_accounts(&w);
	if (!rc)
		rc = workers_start(&w, &before);
	if (!w.is_worker && (rc || w.told))
		workers_give_up(&w);
	else if (!w.is_worker)
		rc = lead(&w, &before);
	service_end(&w.service);
	return rc;
}
