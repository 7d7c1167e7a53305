// SPDX-License-Identifier: BSD-2-Clause
/* The start, before there is a loop. */
#include "base/workers_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t told_to_stop;

static void on_early_signal(int signum)
{
	(void)signum;
	told_to_stop = 1;
}

/* SIGTERM and SIGINT come only while we wait; there is nothing to report or to
 * open again yet. */
static void hold_signals(sigset_t *before)
{
	struct sigaction act = {.sa_handler = on_early_signal};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, before);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
}

/* In a worker, which listens to them by itself; or for good. */
static void release_signals(const sigset_t *before)
{
	struct sigaction act = {.sa_handler = SIG_DFL};

	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	sigprocmask(SIG_SETMASK, before, NULL);
}

/* The others' ends must not be kept open here: they tell that the head is gone.
 */
static int serve(struct workers *w, unsigned index, int fd,
		 const sigset_t *before)
{
	w->is_worker = true;
	for (unsigned i = 0; i < w->started; i++)
		close(w->members[i].fd);
	release_signals(before);
	w->worker = (struct worker){
		.index = index, .fd = fd, .account = workers_account(w, index)};
	service_become_worker(&w->service, &w->worker);
	return w->spec->serve(w->spec->ctx, &w->service, index);
}

int workers_wait(const struct member *m)
{
	int status = 0;

	while (waitpid(m->pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

int workers_code(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* Whether it has said that it is ready. */
static bool wait_for_ready(const struct member *m, const sigset_t *before)
{
	struct pollfd p = {.fd = m->fd, .events = POLLIN};
	char byte;

	while (!told_to_stop) {
		if (ppoll(&p, 1, NULL, before) < 0 && errno == EINTR)
			continue;
		return recv(m->fd, &byte, 1, MSG_DONTWAIT) == 1 &&
		       byte == WORKER_READY;
	}
	return false;
}

/* It did not get ready, and has said why, unless it was killed. */
static int end_of_start(struct workers *w, struct member *m)
{
	int status;

	w->ended++;
	m->ended = true;
	close(m->fd);
	status = workers_wait(m);
	/* Nothing was wrong: somebody has told it to end. */
	if (workers_code(status) == 0 ||
	    (WIFSIGNALED(status) &&
	     (WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGINT))) {
		told_to_stop = 1;
		return 0;
	}
	if (WIFSIGNALED(status))
		fprintf(stderr, "%s: --workers: one has ended by signal %d\n",
			w->spec->program, WTERMSIG(status));
	return workers_code(status);
}

/* In the head: 0 or the exit code. In the worker: that of its life. */
static int start_one(struct workers *w, const sigset_t *before)
{
	struct member *m = &w->members[w->started];
	unsigned index = w->started;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
		fprintf(stderr, "%s: --workers: %s\n", w->spec->program,
			strerror(errno));
		return OPTS_EXIT_ENVIRONMENT;
	}
	fflush(NULL);
	*m = (struct member){.all = w, .index = index, .fd = fds[0]};
	m->pid = fork();
	if (m->pid == 0) {
		close(fds[0]);
		return serve(w, index, fds[1], before);
	}
	close(fds[1]);
	if (m->pid < 0) {
		fprintf(stderr, "%s: --workers: %s\n", w->spec->program,
			strerror(errno));
		close(fds[0]);
		return OPTS_EXIT_ENVIRONMENT;
	}
	w->started++;
	if (wait_for_ready(m, before) || told_to_stop)
		return 0;
	return end_of_start(w, m);
}

int workers_start(struct workers *w, sigset_t *before)
{
	int rc = 0;

	hold_signals(before);
	while (rc == 0 && !told_to_stop && w->started < w->spec->count) {
		rc = start_one(w, before);
		if (w->is_worker)
			return rc;
	}
	w->told = told_to_stop;
	if (rc || w->told)
		release_signals(before);
	return rc;
}

void workers_give_up(struct workers *w)
{
	for (unsigned i = 0; i < w->started; i++) {
		struct member *m = &w->members[i];

		if (m->ended)
			continue;
		workers_say_stop(m);
		close(m->fd);
		workers_wait(m);
	}
}
