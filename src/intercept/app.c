// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Everything happens in callbacks of one loop. When the queue is readable, up
 * to a batch of packets is judged and their verdicts are sent before anything
 * else is done, because a packet without a verdict holds up the application
 * under test. Then app_settle() pulls the engine's messages, gives them to the
 * links, writes, and sets the engine's timer. What is left in the queue is for
 * the next turn of the loop, so that links are read as well.
 *
 * Every batch costs a wake-up, a system call for its verdicts and one for each
 * link that has an answer of it. Under load the loop would wake up for a few
 * packets at a time, since they come faster than one by one but slower than
 * they are dealt with. So when the last batch was no small one, the next gets a
 * moment to gather, a longer one if other workers get a part of the packets or
 * nothing waits to be injected meanwhile. What comes one by one, or after a
 * pause, never waits.
 *
 * The engine holds a bounded number of messages: they are pulled at least once
 * every DIVERT_BATCH events, also in the middle of a long read from a link.
 */
#include "intercept/app.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/privileges.h"
#include "base/random.h"
#include "io/queue_nfq.h"

#define ROUTES_MAX 1048576
#define LOCALS_MAX 65535
/* After a batch of so many packets the next one, if it comes so soon, has this
 * long to gather, times the workers that share them. */
#define BUSY_PACKETS	4
#define BUSY_US		5000
#define GATHER_US	400
#define GATHER_RELAY_US 250 /* while tcpcopies send through us */
#define GATHER_MOST_US	500

/* ---- the engine's output ---- */

void app_pull(struct app *a)
{
	struct wire_msg msg;
	unsigned link_id;

	while (divert_next_msg(a->divert, &link_id, &msg))
		link_server_send(a->server, link_id, &msg);
	app_pull_acks(a);
	a->since_pull = 0;
}

static void on_divert_timer(uv_timer_t *timer);

/* Never at once: a timer that set itself so would be called again before the
 * loop looks at links and signals, as long as packets come. */
static void set_divert_timer(struct app *a)
{
	uint64_t due = divert_deadline_us(a->divert), now;

	if (due == a->divert_deadline_us)
		return;
	a->divert_deadline_us = due;
	if (due == UINT64_MAX) {
		uv_timer_stop(&a->divert_timer);
		return;
	}
	now = clock_us();
	uv_update_time(&a->loop);
	uv_timer_start(&a->divert_timer, on_divert_timer,
		       due > now ? (due - now + 999) / 1000 : 1, 0);
}

static void name_new_devices(struct app *a)
{
	char name[DEVICE_NAME_MAX + 8];

	for (; a->named_count < a->seen_count; a->named_count++) {
		uint32_t index = a->seen[a->named_count];

		if (a->devices)
			devices_name(a->devices, index, name);
		else
			snprintf(name, sizeof(name), "device %" PRIu32, index);
		log_info("queue: the first packet for device %s", name);
	}
}

void app_settle(struct app *a)
{
	app_pull(a);
	app_flush_relay(a);
	link_server_flush(a->server);
	set_divert_timer(a);
	name_new_devices(a);
}

/* ---- the queue ---- */

static void note_device(struct app *a, uint32_t ifindex)
{
	for (unsigned i = a->seen_count; i-- > 0;)
		if (a->seen[i] == ifindex)
			return;
	if (ifindex != 0 && a->seen_count < APP_DEVICES_MAX)
		a->seen[a->seen_count++] = ifindex;
}

struct batch {
	struct app *app;
	uint64_t now_us;
};

static void on_packets(void *ctx, const struct divert_packet *packets,
		       unsigned count, enum verdict *verdicts)
{
	struct batch *b = ctx;

	for (unsigned i = 0; i < count; i++)
		note_device(b->app, packets[i].out_ifindex);
	divert_on_packets(b->app->divert, packets, count, b->now_us, verdicts);
}

/* Something has come to be injected since the last call. */
static bool relays(struct app *a)
{
	uint64_t relayed = divert_counters(a->divert)->relayed;
	bool some = relayed != a->relayed;

	a->relayed = relayed;
	return some;
}

static void let_gather(struct app *a)
{
	unsigned us =
		(relays(a) ? GATHER_RELAY_US : GATHER_US) * a->options->workers;

	clock_sleep_us(us < GATHER_MOST_US ? us : GATHER_MOST_US);
}

static void judge(struct app *a, uint64_t now_us)
{
	struct batch b = {.app = a, .now_us = now_us};
	int n = a->queue->ops->dispatch(a->queue, DIVERT_BATCH, on_packets, &b);

	if (n < 0)
		log_error("reading the queue: %s", strerror(-n));
	if (n == 0)
		return;
	a->gather = n >= BUSY_PACKETS && n < DIVERT_BATCH;
	a->batch_us = now_us;
}

static void on_queue(uv_poll_t *poll, int status, int events)
{
	struct app *a = poll->data;
	uint64_t now_us = clock_us();

	(void)events;
	if (a->gather && now_us < a->batch_us + BUSY_US) {
		let_gather(a);
		now_us = clock_us();
	}
	judge(a, now_us);
	app_settle(a);
	/* libuv has stopped the poll after an error on the socket. */
	if (status < 0)
		uv_poll_start(poll, UV_READABLE, on_queue);
}

/* What seems to have paused may be in the queue: then we were late. What comes
 * from there is settled first, so that those who are due stay in their order.
 */
static void on_divert_timer(uv_timer_t *timer)
{
	struct app *a = timer->data;

	a->divert_deadline_us = UINT64_MAX;
	judge(a, clock_us());
	app_pull(a);
	divert_on_timer(a->divert, clock_us());
	app_settle(a);
}

static void on_devices(uv_poll_t *poll, int status, int events)
{
	struct app *a = poll->data;

	(void)events;
	devices_update(a->devices);
	if (status < 0)
		uv_poll_start(poll, UV_READABLE, on_devices);
}

/* ---- STATUS ---- */

void app_fill_status(struct app *a, struct wire_msg *msg)
{
	struct queue_stats stats;

	a->queue->ops->stats(a->queue, &stats);
	*msg = (struct wire_msg){
		.type = WIRE_STATUS,
		.status = {.queue_bound = true,
			   .queued = stats.received,
			   .queue_dropped =
				   stats.queue_dropped + stats.user_dropped},
	};
	app_guard_tell(&a->guard, &msg->status);
}

static void send_status(void *ctx)
{
	struct app *a = ctx;
	struct wire_msg msg;

	app_fill_status(a, &msg);
	link_server_broadcast(a->server, &msg);
	app_settle(a);
}

/* ---- once a second ---- */

static void on_second(uv_timer_t *timer)
{
	struct app *a = timer->data;
	struct queue_stats stats;
	uint64_t dropped;

	a->strangers_said = 0;
	a->queue->ops->stats(a->queue, &stats);
	dropped = stats.queue_dropped + stats.user_dropped;
	if (dropped > a->dropped)
		log_warn("the kernel found no room for packets: intercept is "
			 "too slow or -q %" PRIu32 " too small",
			 a->options->queue_length);
	a->dropped = dropped;
	app_look_relay(a);
	send_status(a);
}

/* ---- life ---- */

static void report(void *ctx)
{
	app_report(ctx, false);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void close_handles(struct app *a)
{
	if (a->server)
		link_server_close(a->server);
	if (a->guard.used && !a->guard.follows)
		log_info("guard: rules and fences stay; intercept --unguard "
			 "removes them");
	uv_walk(&a->loop, close_handle, NULL);
}

static void stop(void *ctx)
{
	app_report(ctx, true);
	close_handles(ctx);
}

int app_refuse(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	opts_vcomplain("intercept", fmt, args);
	va_end(args);
	return OPTS_EXIT_ENVIRONMENT;
}

static int open_queue(struct app *a)
{
	unsigned num = a->options->queue_num;
	struct queue_nfq_config cfg = {
		.queue_num = a->options->queue_num,
		.length = a->options->queue_length,
	};
	int rc;

	if (!privileges_have(CAP_NET_ADMIN))
		return app_refuse(
			"CAP_NET_ADMIN is missing: run it as root, or "
			"setcap cap_net_admin=ep on its binary");
	rc = queue_nfq_open(&a->queue, &cfg);
	if (rc == 0)
		return 0;
	if (rc == -EPERM || rc == -EBUSY)
		return app_refuse(
			"--queue-num %u: another process has this queue; "
			"end it, or choose another number here and in "
			"the rule",
			num);
	if (rc == -EINVAL || rc == -EPROTONOSUPPORT)
		return app_refuse(
			"--queue-num %u: the kernel knows no NFQUEUE; "
			"modprobe nfnetlink_queue",
			num);
	return app_refuse("--queue-num %u: %s", num, strerror(-rc));
}

static int open_engine(struct app *a)
{
	struct divert_config cfg = {
		.passlist = a->options->passlist.items,
		.passlist_count = a->options->passlist.count,
		.relay_ports = a->options->relay_ports,
		.relay_port_count = a->options->relay_count,
		.routes_max = ROUTES_MAX,
		.links_max = APP_LINKS_MAX,
		.locals_max = a->options->relay_count ? LOCALS_MAX : 0,
	};

	random_bytes(cfg.hash_key.b, sizeof(cfg.hash_key.b));
	a->divert = divert_new(&cfg, &heap_mem, clock_us());
	return a->divert ? 0 : app_refuse("no memory");
}

static void start_poll(struct app *a, uv_poll_t *poll, int fd, uv_poll_cb cb)
{
	uv_poll_init(&a->loop, poll, fd);
	poll->data = a;
	uv_poll_start(poll, UV_READABLE, cb);
}

static void start_handles(struct app *a)
{
	start_poll(a, &a->queue_poll, a->queue->ops->fd(a->queue), on_queue);
	if (a->devices)
		start_poll(a, &a->devices_poll, devices_fd(a->devices),
			   on_devices);
	uv_timer_init(&a->loop, &a->divert_timer);
	uv_timer_init(&a->loop, &a->second_timer);
	a->divert_timer.data = a->second_timer.data = a;
	a->divert_deadline_us = UINT64_MAX;
	app_guard_start(&a->guard, &a->loop, send_status, a);
	uv_timer_start(&a->second_timer, on_second, 1000, 1000);
}

static void say_ready(const struct app *a)
{
	struct endpoint at = {.addr = a->options->address,
			      .port = a->options->port};
	char text[ENDPOINT_TEXT_MAX];
	struct queue_stats stats;

	a->queue->ops->stats(a->queue, &stats);
	log_info("%s: queue %u of %" PRIu32
		 " packets, receive buffer %zu bytes; listening on %s",
		 service_ready_word(a->service), a->options->queue_num,
		 a->options->queue_length, stats.receive_buffer_bytes,
		 endpoint_text(&at, text));
	app_say_access(a);
}

static int start(struct app *a)
{
	struct service_calls calls = {.report = report, .stop = stop};
	int rc;

	a->devices = devices_open();
	if (!a->devices)
		log_warn("names of devices are not known: %s", strerror(errno));
	start_handles(a);
	app_probe_start(&a->probe, &a->loop);
	rc = service_run_on(a->service, &a->loop, &a->options->service, &calls,
			    a);
	if (rc != 0)
		return app_refuse("signals: %s", strerror(-rc));
	/* Every verdict needs it. */
	rc = service_drop_privileges(a->service, CAP_NET_ADMIN);
	if (rc == 0)
		say_ready(a);
	return rc;
}

int app_open(struct app *a, const struct options *o, struct service *s)
{
	int rc;

	*a = (struct app){.options = o, .service = s};
	uv_loop_init(&a->loop);
	rc = open_engine(a);
	if (rc == 0)
		rc = open_queue(a);
	if (rc == 0)
		rc = app_guard_open(&a->guard, o);
	if (rc == 0)
		app_probe_open(&a->probe);
	if (rc == 0)
		rc = app_open_relay(a);
	if (rc == 0)
		rc = app_open_links(a);
	if (rc == 0)
		rc = start(a);
	if (rc == 0)
		return 0;
	close_handles(a);
	app_run(a);
	app_free(a);
	return rc;
}

void app_run(struct app *a)
{
	uv_run(&a->loop, UV_RUN_DEFAULT);
}

void app_free(struct app *a)
{
	uv_loop_close(&a->loop);
	app_free_links(a);
	if (a->devices)
		devices_close(a->devices);
	app_free_relay(a);
	app_guard_free(&a->guard);
	app_probe_free(&a->probe);
	if (a->queue)
		a->queue->ops->close(a->queue);
	if (a->divert)
		divert_free(a->divert, &heap_mem);
}
