// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation: one thread, level-triggered epoll. A connection digests
 * every byte that it reads and parses the frame headers in passing; answers
 * wait in a small queue as (id, seq, length), since their bytes can be made at
 * any time. Delays and idle limits are the same for all connections, so the
 * connections that wait for one stand in a queue in the order they are due.
 * What is pushed is one more answer, to all connections at once.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <unistd.h>

#include <sodium/crypto_generichash.h>
#include <sodium/utils.h>

#include "digest_app.h"
#include "frame.h"

#define DIGEST_BYTES 32
#define ANSWERS_MAX  1024 /* waiting; then we stop reading */

struct conn {
	crypto_generichash_state digest;
	LIST_ENTRY(conn) all;
	TAILQ_ENTRY(conn) due;	/* has an answer that must wait */
	TAILQ_ENTRY(conn) idle; /* by last activity */
	struct frame *answers;	/* a ring */
	size_t answer_cap, answer_first, answer_count;
	uint64_t due_ms, active_ms;
	uint64_t bytes, requests, id, number;
	uint32_t first_seq, next_seq, jumps; /* of the requests */
	uint32_t overlaps; /* requests that came before the last answer went */
	struct sockaddr_storage peer;
	uint8_t header[FRAME_HEADER_BYTES];
	uint32_t header_have, body_left, answer_sent;
	uint32_t interest;
	struct frame in;
	int fd;
	bool eof, is_due, broken, blocked;
	bool last; /* takes no more requests */
};

static const struct serve_config *config;
static FILE *log_file;
static bool log_dirty;
static int epoll_fd;
static uint64_t next_push_ms;
static uint32_t delay_ms; /* none any more after SIGUSR2 */
static uint64_t total_conns, total_open, total_requests, total_bytes;
static LIST_HEAD(, conn) conns = LIST_HEAD_INITIALIZER(conns);
static TAILQ_HEAD(due_queue, conn) due = TAILQ_HEAD_INITIALIZER(due);
static TAILQ_HEAD(idle_queue, conn) idle = TAILQ_HEAD_INITIALIZER(idle);

/* Of a request that has come in part. */
static uint32_t unfinished_bytes(const struct conn *c)
{
	return c->body_left ? c->in.len - c->body_left : c->header_have;
}

static void conn_log(struct conn *c, const char *end)
{
	uint8_t digest[DIGEST_BYTES];
	char hex[2 * DIGEST_BYTES + 1], text[INET6_ADDRSTRLEN];
	const struct sockaddr_in *in = (const void *)&c->peer;
	const struct sockaddr_in6 *in6 = (const void *)&c->peer;
	bool v6 = c->peer.ss_family == AF_INET6;

	crypto_generichash_final(&c->digest, digest, sizeof(digest));
	sodium_bin2hex(hex, sizeof(hex), digest, sizeof(digest));
	inet_ntop(c->peer.ss_family,
		  v6 ? (const void *)&in6->sin6_addr : &in->sin_addr, text,
		  sizeof(text));
	fprintf(log_file,
		"{\"digest\":\"%s\",\"bytes\":%llu,\"requests\":%llu,"
		"\"end\":\"%s\",\"id\":%llu,\"number\":%llu,\"broken\":%s,"
		"\"first\":%u,\"jumps\":%u,\"rest\":%u,"
		"\"overlaps\":%u,"
		"\"peer\":\"%s\",\"port\":%u}\n",
		hex, (unsigned long long)c->bytes,
		(unsigned long long)c->requests, end, (unsigned long long)c->id,
		(unsigned long long)c->number, c->broken ? "true" : "false",
		c->first_seq, c->jumps, unfinished_bytes(c), c->overlaps, text,
		ntohs(v6 ? in6->sin6_port : in->sin_port));
	log_dirty = true;
}

static void conn_end(struct conn *c, const char *end)
{
	conn_log(c, end);
	if (c->is_due)
		TAILQ_REMOVE(&due, c, due);
	TAILQ_REMOVE(&idle, c, idle);
	LIST_REMOVE(c, all);
	close(c->fd);
	free(c->answers);
	free(c);
	total_open--;
}

static void conn_interest(struct conn *c)
{
	struct epoll_event ev = {.data.ptr = c};

	if (!c->eof && !c->last && c->answer_count < ANSWERS_MAX)
		ev.events |= EPOLLIN;
	if (c->blocked)
		ev.events |= EPOLLOUT;
	if (ev.events == c->interest)
		return;
	c->interest = ev.events;
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &ev);
}

static void queue_answer(struct conn *c, uint64_t id, uint32_t seq,
			 uint32_t len)
{
	struct frame f = {FRAME_ANSWER, id, seq, len, 0};

	if (c->answer_count == c->answer_cap) {
		size_t cap = c->answer_cap ? 2 * c->answer_cap : 4;
		struct frame *ring = calloc(cap, sizeof(*ring));

		if (!ring)
			abort();
		for (size_t i = 0; i < c->answer_count; i++)
			ring[i] = c->answers[(c->answer_first + i) %
					     c->answer_cap];
		free(c->answers);
		c->answers = ring;
		c->answer_first = 0;
		c->answer_cap = cap;
	}
	c->answers[(c->answer_first + c->answer_count) % c->answer_cap] = f;
	c->answer_count++;
}

/* The whole request is in. false: the connection is to be closed. */
static bool on_request(struct conn *c)
{
	uint64_t len = (uint64_t)c->in.answer_len * config->answer_percent;

	if (!c->requests) {
		c->id = c->in.id;
		c->first_seq = c->in.seq;
	} else if (c->in.seq != c->next_seq || c->in.id != c->id) {
		c->jumps++;
	}
	c->next_seq = c->in.seq + 1;
	c->overlaps += c->answer_count > 0;
	c->requests++;
	total_requests++;
	if (config->close_on && c->requests == config->close_on)
		return false;
	if (config->mute)
		return true;
	len /= 100;
	if (len < FRAME_HEADER_BYTES)
		len = FRAME_HEADER_BYTES;
	if (!c->answer_count)
		c->due_ms = now_ms() + delay_ms;
	queue_answer(c, c->in.id, c->in.seq, (uint32_t)len);
	c->last = c->requests == config->close_after;
	return true;
}

/* false: the connection is to be closed. */
static bool conn_parse(struct conn *c, const uint8_t *buf, size_t len)
{
	while (len && !c->broken && !c->last) {
		uint32_t n = FRAME_HEADER_BYTES - c->header_have;

		if (c->body_left) {
			n = len < c->body_left ? (uint32_t)len : c->body_left;
			c->broken = !frame_check(
				&c->in, c->in.len - c->body_left, buf, n);
			c->body_left -= n;
		} else {
			n = len < n ? (uint32_t)len : n;
			memcpy(c->header + c->header_have, buf, n);
			c->header_have += n;
			if (c->header_have == FRAME_HEADER_BYTES) {
				c->broken = !frame_unpack(&c->in, c->header);
				c->body_left = c->in.len - FRAME_HEADER_BYTES;
			}
		}
		buf += n;
		len -= n;
		if (c->header_have < FRAME_HEADER_BYTES || c->body_left ||
		    c->broken)
			continue;
		c->header_have = 0;
		if (!on_request(c))
			return false;
	}
	return true;
}

/* NULL, or how the connection ended. */
static const char *conn_read(struct conn *c)
{
	static uint8_t buf[262144];
	ssize_t n = recv(c->fd, buf, sizeof(buf), 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? NULL : "reset";
	if (!n) {
		c->eof = true;
		return NULL;
	}
	crypto_generichash_update(&c->digest, buf, (size_t)n);
	c->bytes += (uint64_t)n;
	total_bytes += (uint64_t)n;
	if (config->close_at && c->bytes >= config->close_at)
		return "closed";
	c->active_ms = now_ms();
	TAILQ_REMOVE(&idle, c, idle);
	TAILQ_INSERT_TAIL(&idle, c, idle);
	return conn_parse(c, buf, (size_t)n) ? NULL : "closed";
}

/* One answer or a part of it; false: this will not work any more. */
static bool write_answer(struct conn *c)
{
	struct frame *f = &c->answers[c->answer_first];
	uint8_t header[FRAME_HEADER_BYTES];
	struct iovec iov[8];
	struct msghdr msg = {.msg_iov = iov};
	ssize_t n;

	msg.msg_iovlen = frame_pieces(f, c->answer_sent, header, iov, 8);
	n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
	if (n < 0) {
		c->blocked = errno == EAGAIN || errno == EINTR;
		return c->blocked;
	}
	c->answer_sent += (uint32_t)n;
	if (c->answer_sent < f->len)
		return true;
	c->answer_sent = 0;
	c->answer_first = (c->answer_first + 1) % c->answer_cap;
	c->answer_count--;
	c->due_ms = now_ms() + delay_ms;
	return true;
}

static void conn_wait(struct conn *c)
{
	if (c->is_due)
		return;
	c->is_due = true;
	TAILQ_INSERT_TAIL(&due, c, due);
}

/* false: the other side is gone. */
static bool conn_write(struct conn *c)
{
	c->blocked = false;
	while (c->answer_count && !c->blocked) {
		if (delay_ms && !c->answer_sent &&
		    c->answers[c->answer_first].seq < FRAME_SEQ_PUSH &&
		    now_ms() < c->due_ms) {
			conn_wait(c);
			break;
		}
		if (!write_answer(c))
			return false;
	}
	return true;
}

static void conn_run(struct conn *c, uint32_t events)
{
	const char *end = NULL;

	if (!c->eof && !c->last && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		end = conn_read(c);
	else if (events & (EPOLLERR | EPOLLHUP))
		end = c->eof ? "eof" : "reset";
	if (!end && !conn_write(c))
		end = c->eof ? "eof" : "reset";
	if (!end && (c->eof || c->last) && !c->answer_count)
		end = c->eof ? "eof" : "closed";
	if (end)
		conn_end(c, end);
	else
		conn_interest(c);
}

static void conn_new(int fd, const struct sockaddr_storage *peer)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct conn *c = aligned_alloc(64, (sizeof(*c) + 63) / 64 * 64);

	if (!c)
		abort();
	memset(c, 0, sizeof(*c));
	crypto_generichash_init(&c->digest, NULL, 0, DIGEST_BYTES);
	c->fd = fd;
	c->peer = *peer;
	c->number = total_conns++;
	c->interest = EPOLLIN;
	c->active_ms = now_ms();
	total_open++;
	LIST_INSERT_HEAD(&conns, c, all);
	TAILQ_INSERT_TAIL(&idle, c, idle);
	ev.data.ptr = c;
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev);
	if (!config->greeting_bytes)
		return;
	queue_answer(c, 0, FRAME_SEQ_GREETING, config->greeting_bytes);
	conn_run(c, 0);
}

static void accept_all(int listener)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int fd;

	while ((fd = accept4(listener, (struct sockaddr *)&peer, &len,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		conn_new(fd, &peer);
		len = sizeof(peer);
	}
	if (errno != EMFILE && errno != ENFILE)
		return;
	perror("digest_app: accept");
	exit(1);
}

static int listen_on(const struct address *at)
{
	const struct sockaddr *sa = (const void *)&at->ss;
	int one = 1;
	int fd = socket(sa->sa_family,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (sa->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, sa, at->len) || listen(fd, 65535))
		return -1;
	return fd;
}

static int next_wait_ms(uint64_t now)
{
	uint64_t at = UINT64_MAX;
	struct conn *c;

	TAILQ_FOREACH(c, &due, due)
	{
		if (c->due_ms < at)
			at = c->due_ms;
		break;
	}
	c = TAILQ_FIRST(&idle);
	if (config->idle_close_ms && c &&
	    c->active_ms + config->idle_close_ms < at)
		at = c->active_ms + config->idle_close_ms;
	if (config->push_ms && next_push_ms < at && !LIST_EMPTY(&conns))
		at = next_push_ms;
	if (at == UINT64_MAX)
		return -1;
	return at > now ? (int)(at - now) : 0;
}

static void run_due(uint64_t now)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&due)) && c->due_ms <= now) {
		TAILQ_REMOVE(&due, c, due);
		c->is_due = false;
		conn_run(c, 0);
	}
	while (config->idle_close_ms && (c = TAILQ_FIRST(&idle)) &&
	       c->active_ms + config->idle_close_ms <= now)
		conn_end(c, "idle");
}

/* To those who take what has been sent so far. */
static void run_pushes(uint64_t now)
{
	struct conn *next;

	if (!config->push_ms || now < next_push_ms)
		return;
	next_push_ms = now + config->push_ms;
	for (struct conn *c = LIST_FIRST(&conns); c; c = next) {
		next = LIST_NEXT(c, all);
		if (c->eof || c->last || c->blocked || c->is_due)
			continue;
		queue_answer(c, 0, FRAME_SEQ_PUSH, config->push_bytes);
		conn_run(c, 0);
	}
}

static void print_totals(void)
{
	printf("{\"open\":%llu,\"connections\":%llu,\"requests\":%llu,"
	       "\"bytes\":%llu}\n",
	       (unsigned long long)total_open, (unsigned long long)total_conns,
	       (unsigned long long)total_requests,
	       (unsigned long long)total_bytes);
	fflush(stdout);
	got_usr1 = 0;
}

static void run_events(const int *listeners, const sigset_t *open_mask)
{
	struct epoll_event ev[256];
	int n;

	if (log_dirty)
		fflush(log_file);
	log_dirty = false;
	n = epoll_pwait(epoll_fd, ev, 256, next_wait_ms(now_ms()), open_mask);
	for (int i = 0; i < n; i++) {
		if (ev[i].data.u64 < LISTENERS_MAX)
			accept_all(listeners[ev[i].data.u64]);
		else
			conn_run(ev[i].data.ptr, ev[i].events);
	}
	if (got_usr2)
		delay_ms = 0;
	run_due(now_ms());
	run_pushes(now_ms());
	if (got_usr1)
		print_totals();
}

int serve(const struct serve_config *cfg)
{
	int listeners[LISTENERS_MAX];
	sigset_t open_mask;

	config = cfg;
	delay_ms = cfg->delay_ms;
	sigemptyset(&open_mask);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	log_file = fopen(cfg->log_path, "w");
	if (epoll_fd < 0 || !log_file) {
		perror(cfg->log_path);
		return 1;
	}
	for (int i = 0; i < cfg->listen_count; i++) {
		struct epoll_event ev = {.events = EPOLLIN,
					 .data.u64 = (uint64_t)i};

		listeners[i] = listen_on(&cfg->listen[i]);
		if (listeners[i] < 0) {
			perror("digest_app: listen");
			return 1;
		}
		if (!cfg->backlog_only)
			epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listeners[i], &ev);
	}
	printf("ready\n");
	fflush(stdout);
	while (!got_term)
		run_events(listeners, &open_mask);
	while (!LIST_EMPTY(&conns))
		conn_end(LIST_FIRST(&conns), "open");
	return fclose(log_file) ? 1 : 0;
}
