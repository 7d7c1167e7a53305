// SPDX-License-Identifier: BSD-2-Clause
#include "check/link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/random.h"
#include "io/link_client.h"
#include "io/sockaddr.h"

#define CONNECT_MS 2000
/* intercept closes who is not allowed as soon as it sees him. */
#define CLOSE_MS  200
#define ANSWER_MS 4000

/* ---- without a word ---- */

static int wait_for(int fd, short events, int ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	int n;

	do
		n = poll(&p, 1, ms);
	while (n < 0 && errno == EINTR);
	return n;
}

static int connect_to(int fd, const struct endpoint *at)
{
	struct sockaddr_storage sa;
	socklen_t len = sockaddr_from_endpoint(&sa, at);
	int error = 0;

	if (connect(fd, (struct sockaddr *)&sa, len) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	if (wait_for(fd, POLLOUT, CONNECT_MS) <= 0)
		return -ETIMEDOUT;
	len = sizeof(error);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	return -error;
}

static enum link_reach reach_of(int error)
{
	switch (error) {
	case 0:
		return REACH_OPEN;
	case -ECONNREFUSED:
		return REACH_REFUSED;
	case -ENETUNREACH:
	case -EHOSTUNREACH:
		return REACH_NO_WAY;
	case -ETIMEDOUT:
		return REACH_NO_CONNECTION;
	default:
		return REACH_ERROR;
	}
}

enum link_reach link_reach(const struct endpoint *at, int *error)
{
	int fd = socket(addr_is_v4(&at->addr) ? AF_INET : AF_INET6,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	enum link_reach reach;

	*error = fd < 0 ? -errno : connect_to(fd, at);
	reach = reach_of(*error);
	if (reach == REACH_OPEN && wait_for(fd, POLLIN, CLOSE_MS) > 0)
		reach = REACH_NOT_ALLOWED;
	if (fd >= 0)
		close(fd);
	return reach;
}

/* ---- a link ---- */

struct talk {
	struct link_said *said;
	struct link_client *client;
	uv_timer_t limit;
	bool over;
};

static void finish(struct talk *t)
{
	if (t->over)
		return;
	t->over = true;
	link_client_close(t->client);
	uv_close((uv_handle_t *)&t->limit, NULL);
}

static void on_up(void *ctx, unsigned link_id)
{
	struct talk *t = ctx;
	struct link_state state;

	link_client_state(t->client, link_id, &state);
	t->said->up = true;
	t->said->features = state.features;
}

static void on_msg(void *ctx, unsigned link_id, const struct wire_msg *msg)
{
	struct talk *t = ctx;

	(void)link_id;
	if (msg->type != WIRE_STATUS)
		return;
	t->said->has_status = true;
	t->said->status = msg->status;
	finish(t);
}

static void on_failed(void *ctx, unsigned link_id, const char *why)
{
	struct talk *t = ctx;

	(void)link_id;
	snprintf(t->said->why, sizeof(t->said->why), "%s", why);
	finish(t);
}

static void on_limit(uv_timer_t *timer)
{
	finish(timer->data);
}

void link_ask(struct link_said *out, const struct endpoint *at,
	      const struct link_key *key)
{
	struct talk t = {.said = out};
	const struct link_client_config cfg = {
		.servers = at,
		.server_count = 1,
		.links_each = 1,
		.instance = random_u64(),
		.max_records = 1,
		.key = key,
	};
	const struct link_client_events events = {.up = on_up,
						  .msg = on_msg,
						  .down = on_failed,
						  .failed = on_failed,
						  .ctx = &t};
	uv_loop_t loop;

	*out = (struct link_said){.why = "no answer"};
	uv_loop_init(&loop);
	if (link_client_open(&t.client, &loop, &cfg, &events, &heap_mem) == 0) {
		uv_timer_init(&loop, &t.limit);
		t.limit.data = &t;
		uv_timer_start(&t.limit, on_limit, ANSWER_MS, 0);
		uv_run(&loop, UV_RUN_DEFAULT);
		link_client_free(t.client);
	}
	uv_loop_close(&loop);
}

/* ---- what it means ---- */

static void say_unreached(struct check *c, enum link_reach reach, int error,
			  const struct endpoint *at)
{
	char text[ENDPOINT_TEXT_MAX], fix[CHECK_TEXT_MAX];

	endpoint_text(at, text);
	switch (reach) {
	case REACH_REFUSED:
		check_fail(c,
			   "start intercept there, or say where it is (-p, -s)",
			   "nobody listens on %s", text);
		break;
	case REACH_NOT_ALLOWED:
		check_fail(c,
			   "there: intercept --allow with this host's address, "
			   "or a --key-file on both sides",
			   "intercept at %s closes at once: this host's "
			   "address is not allowed",
			   text);
		break;
	case REACH_NO_WAY:
		check_fail(c, "ip route get, and the cable", "no way to %s: %s",
			   text, strerror(-error));
		break;
	case REACH_NO_CONNECTION:
		check_fail(c,
			   check_text(fix,
				      "there: iptables -I INPUT -p tcp --dport "
				      "%u -j ACCEPT, and the same on the way",
				      at->port),
			   "no connection to %s: a packet filter drops it, or "
			   "the host is down",
			   text);
		break;
	default:
		check_fail(c, "-p, -s", "%s: %s", text, strerror(-error));
	}
}

/* It may speak to who comes without a key. */
static void say_unlinked(struct check *c, const struct endpoint *at,
			 const struct link_key *key,
			 const struct link_said *said)
{
	char text[ENDPOINT_TEXT_MAX];
	struct link_said other;

	endpoint_text(at, text);
	if (strstr(said->why, "version")) {
		check_fail(c, "install the same version on both hosts",
			   "intercept at %s is of another version: %s", text,
			   said->why);
		return;
	}
	if (strstr(said->why, "in time")) {
		check_fail(c, "is it stopped? (ps, its log)",
			   "what listens at %s says nothing", text);
		return;
	}
	if (key) {
		link_ask(&other, at, NULL);
		if (other.up)
			check_fail(c, "intercept --key-file with the same file",
				   "intercept at %s has no key", text);
		else
			check_fail(c, "the same --key-file on both sides",
				   "intercept at %s has another key: %s", text,
				   said->why);
		return;
	}
	check_fail(c,
		   "the --key-file that intercept has; or end the other "
		   "program that listens there",
		   "no answer of an intercept without a key at %s: it has a "
		   "key, or is something else: %s",
		   text, said->why);
}

bool check_link(struct check *c, const struct endpoint *at,
		const struct link_key *key, struct link_said *out)
{
	char text[ENDPOINT_TEXT_MAX];
	enum link_reach reach;
	int error;

	*out = (struct link_said){.up = false};
	reach = link_reach(at, &error);
	if (reach != REACH_OPEN) {
		say_unreached(c, reach, error, at);
		return false;
	}
	link_ask(out, at, key);
	if (!out->up) {
		say_unlinked(c, at, key, out);
		return false;
	}
	check_ok(c, "link to %s, same version%s", endpoint_text(at, text),
		 key ? ", same key" : "");
	return true;
}
