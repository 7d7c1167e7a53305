// SPDX-License-Identifier: BSD-2-Clause
#include "base/worker.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/daemon.h"
#include "base/log.h"

/* A head that has gone hears nothing; reading tells us. */
void worker_say(const struct worker *w, char byte)
{
	ssize_t n;

	do {
		n = send(w->fd, &byte, 1, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
}

static void obey(struct worker *w, char byte)
{
	switch (byte) {
	case WORKER_REPORT:
		w->calls.report(w->calls.ctx);
		worker_say(w, WORKER_REPORTED);
		break;
	case WORKER_REOPEN:
		log_reopen();
		break;
	case WORKER_DETACH:
		daemon_leave_terminal();
		break;
	case WORKER_SIGN:
		worker_say(w, WORKER_ALIVE);
		break;
	default:
		w->told = true;
		w->calls.stop(w->calls.ctx);
		break;
	}
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct worker *w = poll->data;
	char bytes[16];
	ssize_t n = recv(w->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	(void)status;
	(void)events;
	for (ssize_t i = 0; i < n; i++)
		obey(w, bytes[i]);
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	uv_poll_stop(poll);
	if (!w->told)
		log_error("the process that leads the workers has gone");
	w->calls.stop(w->calls.ctx);
}

int worker_run_on(struct worker *w, uv_loop_t *loop,
		  const struct worker_calls *calls)
{
	int err = uv_poll_init(loop, &w->poll, w->fd);

	w->calls = *calls;
	w->poll.data = w;
	return err ? err : uv_poll_start(&w->poll, UV_READABLE, on_readable);
}

void worker_leave(struct worker *w)
{
	uv_close((uv_handle_t *)&w->poll, NULL);
}
