// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation: up to `concurrent` flows at a time, each with its own
 * socket; a finished one is replaced until all have run. What a flow sends
 * and expects follows from the seed, its number and the request's number.
 * Flows come to a barrier at most twice: with open_together before the first
 * request (all are connected), with pause after so many answers (until
 * SIGUSR1 comes).
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <unistd.h>

#include "digest_app.h"
#include "frame.h"

struct flow {
	TAILQ_ENTRY(flow) thinking;
	uint64_t id, think_until_ms;
	uint32_t sent, answered, out_done, in_done, interest;
	uint32_t push_left; /* to be passed over */
	uint8_t header[FRAME_HEADER_BYTES];
	int fd;
	bool used, connected, greeted, arrived, is_thinking;
};

static const struct load_config *config;
static struct flow *flows;
static int epoll_fd;
static uint32_t started, finished, failed, at_start, at_pause;
static bool start_open, pause_open;
static uint64_t requests_done, bytes_out, bytes_in;
static TAILQ_HEAD(, flow) thinking = TAILQ_HEAD_INITIALIZER(thinking);

static struct frame request_of(const struct flow *f, uint32_t seq)
{
	const struct range *q = &config->request_bytes;
	const struct range *a = &config->answer_bytes;
	struct frame r = {.kind = FRAME_REQUEST, .id = f->id, .seq = seq};

	r.len = frame_pick(q->lo, q->hi, f->id, seq);
	r.answer_len = frame_pick(a->lo, a->hi, ~f->id, seq);
	return r;
}

static struct frame answer_of(const struct flow *f, uint32_t seq)
{
	struct frame a = {.kind = FRAME_ANSWER, .id = f->id, .seq = seq};

	if (!f->greeted) {
		a.id = 0;
		a.seq = FRAME_SEQ_GREETING;
		a.len = config->greeting_bytes;
	} else {
		a.len = request_of(f, seq).answer_len;
	}
	return a;
}

static void flow_start(struct flow *f);

static void flow_end(struct flow *f, const char *fault)
{
	struct linger abort_now = {.l_onoff = 1, .l_linger = 0};

	if (fault) {
		failed++;
		fprintf(stderr, "digest_app: connection %llu: %s (%s)\n",
			(unsigned long long)(f->id & UINT32_MAX), fault,
			strerror(errno));
	}
	if (config->end == END_RESET)
		setsockopt(f->fd, SOL_SOCKET, SO_LINGER, &abort_now,
			   sizeof(abort_now));
	if (f->is_thinking)
		TAILQ_REMOVE(&thinking, f, thinking);
	close(f->fd);
	f->used = false;
	finished++;
	if (started < config->connections)
		flow_start(f);
}

static void flow_interest(struct flow *f, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = f};

	if (f->interest == events)
		return;
	f->interest = events;
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, f->fd, &ev);
}

static void flow_start(struct flow *f)
{
	const struct sockaddr *to = (const void *)&config->to.ss;
	struct epoll_event ev = {.events = EPOLLOUT, .data.ptr = f};
	uint32_t number = started++;
	int one = 1;

	memset(f, 0, sizeof(*f));
	f->id = ((uint64_t)config->seed << 32) | number;
	f->used = true;
	f->greeted = !config->greeting_bytes;
	f->interest = EPOLLOUT;
	f->fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (f->fd >= 0 && config->from_count) {
		const struct address *from =
			&config->from[number % (uint32_t)config->from_count];

		setsockopt(f->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
			   sizeof(one));
		if (bind(f->fd, (const void *)&from->ss, from->len))
			perror("digest_app: bind");
	}
	if (f->fd < 0 ||
	    (connect(f->fd, to, config->to.len) && errno != EINPROGRESS)) {
		perror("digest_app: connect");
		exit(1);
	}
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, f->fd, &ev);
}

static bool may_send(struct flow *f)
{
	if (!f->greeted || f->is_thinking ||
	    (config->open_together && !start_open))
		return false;
	if (config->pause && !pause_open && f->sent >= config->pause_after)
		return false;
	if (config->think_ms && f->sent > f->answered && !f->out_done)
		return false;
	return f->sent < config->requests &&
	       (f->out_done || f->sent - f->answered < config->pipeline);
}

/* One request or a part of it; false: the socket takes no more. */
static bool send_some(struct flow *f)
{
	struct frame r = request_of(f, f->sent);
	uint8_t header[FRAME_HEADER_BYTES];
	struct iovec iov[8];
	struct msghdr msg = {.msg_iov = iov};
	ssize_t n;

	msg.msg_iovlen = frame_pieces(&r, f->out_done, header, iov, 8);
	n = sendmsg(f->fd, &msg, MSG_NOSIGNAL);
	if (n < 0) {
		if (errno == EAGAIN)
			flow_interest(f, EPOLLIN | EPOLLOUT);
		return false; /* any other fault shows when we read */
	}
	bytes_out += (uint64_t)n;
	f->out_done += (uint32_t)n;
	if (f->out_done < r.len)
		return true;
	f->out_done = 0;
	f->sent++;
	if (f->sent == config->requests && config->end == END_HALF)
		shutdown(f->fd, SHUT_WR);
	return true;
}

static void flow_pump(struct flow *f)
{
	flow_interest(f, EPOLLIN);
	while (may_send(f) && send_some(f))
		;
}

static void open_start(void)
{
	start_open = true;
	for (uint32_t i = 0; i < config->concurrent; i++)
		flow_pump(&flows[i]);
}

/* Reached the point where all wait for SIGUSR1. */
static void at_barrier(struct flow *f)
{
	if (!config->pause || pause_open || f->answered != config->pause_after)
		return;
	if (++at_pause < config->connections)
		return;
	printf("paused\n");
	fflush(stdout);
}

/* The server closes first, or after our half. */
static bool awaits_close(void)
{
	return config->end == END_HALF || config->end == END_AWAIT;
}

static bool is_done(const struct flow *f)
{
	if (f->answered < config->requests || awaits_close())
		return false;
	return !config->pause || pause_open;
}

static void open_pause(void)
{
	got_usr1 = 0;
	if (pause_open || at_pause < config->connections)
		return;
	pause_open = true;
	for (uint32_t i = 0; i < config->concurrent; i++) {
		if (is_done(&flows[i]))
			flow_end(&flows[i], NULL);
		else
			flow_pump(&flows[i]);
	}
}

static void on_ready_to_send(struct flow *f)
{
	at_barrier(f); /* --pause-after 0 */
	if (config->open_together && ++at_start == config->connections)
		open_start();
	else
		flow_pump(f);
}

static void on_answer(struct flow *f)
{
	f->in_done = 0;
	if (!f->greeted) {
		f->greeted = true;
		on_ready_to_send(f);
		return;
	}
	f->answered++;
	requests_done++;
	at_barrier(f);
	if (is_done(f))
		return;
	if (config->think_ms && f->answered < config->requests) {
		f->is_thinking = true;
		f->think_until_ms = now_ms() + config->think_ms;
		TAILQ_INSERT_TAIL(&thinking, f, thinking);
	}
}

/* false: not what should have come. */
static bool take_header(struct flow *f, const struct frame *want)
{
	struct frame got;

	if (!frame_unpack(&got, f->header) || got.kind != want->kind)
		return false;
	if (got.seq == FRAME_SEQ_PUSH) {
		f->push_left = got.len - FRAME_HEADER_BYTES;
		f->in_done = 0;
		return true;
	}
	if (f->greeted && f->answered >= config->requests)
		return false;
	return got.id == want->id && got.seq == want->seq &&
	       got.len == want->len;
}

static uint32_t pass_over(struct flow *f, size_t len)
{
	uint32_t n = len < f->push_left ? (uint32_t)len : f->push_left;

	f->push_left -= n;
	return n;
}

/* false: not what should have come. */
static bool flow_parse(struct flow *f, const uint8_t *buf, size_t len)
{
	while (len) {
		struct frame want = answer_of(f, f->answered);
		uint32_t n = want.len - f->in_done;

		if (f->push_left) {
			n = pass_over(f, len);
			buf += n;
			len -= n;
			continue;
		}
		if (f->in_done < FRAME_HEADER_BYTES) {
			n = FRAME_HEADER_BYTES - f->in_done;
			n = len < n ? (uint32_t)len : n;
			memcpy(f->header + f->in_done, buf, n);
		} else {
			n = len < n ? (uint32_t)len : n;
			if (!frame_check(&want, f->in_done, buf, n))
				return false;
		}
		f->in_done += n;
		buf += n;
		len -= n;
		if (f->in_done == FRAME_HEADER_BYTES && !take_header(f, &want))
			return false;
		if (f->in_done == want.len)
			on_answer(f);
	}
	return true;
}

static void flow_read(struct flow *f)
{
	static uint8_t buf[262144];
	ssize_t n = recv(f->fd, buf, sizeof(buf), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		flow_end(f, "broken off");
		return;
	}
	errno = 0;
	if (!n) {
		bool good = awaits_close() && f->answered == config->requests;

		flow_end(f, good ? NULL : "closed by the server");
		return;
	}
	bytes_in += (uint64_t)n;
	if (!flow_parse(f, buf, (size_t)n)) {
		flow_end(f, "not the answer that was asked for");
		return;
	}
	if (is_done(f))
		flow_end(f, NULL);
	else
		flow_pump(f);
}

static void flow_event(struct flow *f, uint32_t events)
{
	int fault = 0;
	socklen_t len = sizeof(fault);

	if (!f->used)
		return;
	if (!f->connected) {
		getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &fault, &len);
		errno = fault;
		if (fault) {
			flow_end(f, "no connection");
			return;
		}
		f->connected = true;
		flow_interest(f, EPOLLIN);
		if (f->greeted)
			on_ready_to_send(f);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		flow_read(f);
	else if (events & EPOLLOUT)
		flow_pump(f);
}

static void run_thinking(uint64_t now)
{
	struct flow *f;

	while ((f = TAILQ_FIRST(&thinking)) && f->think_until_ms <= now) {
		TAILQ_REMOVE(&thinking, f, thinking);
		f->is_thinking = false;
		flow_pump(f);
	}
}

static void run_events(const sigset_t *open_mask, uint64_t deadline)
{
	struct epoll_event ev[256];
	struct flow *f = TAILQ_FIRST(&thinking);
	uint64_t now = now_ms(), at = f ? f->think_until_ms : deadline;
	int n;

	if (at > deadline)
		at = deadline;
	n = epoll_pwait(epoll_fd, ev, 256, at > now ? (int)(at - now) : 0,
			open_mask);
	for (int i = 0; i < n; i++)
		flow_event(ev[i].data.ptr, ev[i].events);
	run_thinking(now_ms());
	if (got_usr1)
		open_pause();
}

int load(const struct load_config *cfg)
{
	uint64_t begin = now_ms();
	uint64_t deadline = begin + (uint64_t)cfg->deadline_s * 1000;
	sigset_t open_mask;
	bool good;

	config = cfg;
	sigemptyset(&open_mask);
	flows = calloc(cfg->concurrent, sizeof(*flows));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!flows || epoll_fd < 0)
		return 1;
	while (started < cfg->concurrent)
		flow_start(&flows[started]);
	while (finished < cfg->connections && !got_term && now_ms() < deadline)
		run_events(&open_mask, deadline);
	good = finished == cfg->connections && !failed;
	printf("{\"connections\":%u,\"finished\":%u,\"failed\":%u,"
	       "\"requests\":%llu,\"bytes_out\":%llu,\"bytes_in\":%llu,"
	       "\"elapsed_s\":%.3f}\n",
	       started, finished, failed, (unsigned long long)requests_done,
	       (unsigned long long)bytes_out, (unsigned long long)bytes_in,
	       (double)(now_ms() - begin) / 1000);
	free(flows);
	return good ? 0 : 1;
}
