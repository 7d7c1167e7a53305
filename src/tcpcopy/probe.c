// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A link is opened to an intercept of the target. A route is registered for a
 * client that does not exist, intercept is asked to look out for its packets,
 * and a SYN is sent in its name, several times if nothing comes back. Then
 * intercept is asked how far these came, and the target's half-open connection
 * is reset.
 */
#include "tcpcopy/probe.h"

#include <string.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/random.h"
#include "core/packet.h"
#include "io/link_client.h"
#include "io/sender_link.h"
#include "io/sender_raw.h"

#define TICK_MS	     20
#define LINK_US	     4000000u
#define SEEN_US	     1500000u
#define ANSWER_US    1000000u
#define AGAIN_US     400000u
#define SETTLE_US    50000u /* the kernel's counters, after an answer */
#define PACKET_MAX   65535u
#define PORT_FIRST   40000u
#define PORT_COUNT   20000u
#define ROUTE_ID     1u
#define SMALL_WINDOW 1024

enum stage { LINKING, WATCHING, SENT, TELLING, OVER };

struct probe {
	struct probe_result r;
	uint32_t iss;
	size_t payload_bytes;
	struct sender *sender;
	struct link_client *links;
	uv_loop_t loop;
	uv_timer_t timer;
	enum stage stage;
	uint64_t due_us, again_us; /* of the stage; of the next SYN */
	bool linked;
};

/* ---- what is sent ---- */

static void send_by_link(struct probe *p, const struct segment *seg)
{
	uint8_t packet[PACKET_HEADER_MAX];
	const struct wire_msg msg = {
		.type = WIRE_RELAY,
		.relay = {.l3 = packet,
			  .len = (uint16_t)packet_build(packet, sizeof(packet),
							seg, (uint16_t)p->iss)},
	};

	link_client_send(p->links, 0, &msg);
	link_client_flush(p->links);
}

static void send_by_sender(struct probe *p, const struct segment *seg)
{
	const struct sender_stats *stats;
	size_t cap, len;
	uint8_t *slot = p->sender->ops->reserve(p->sender, &cap);

	len = slot ? packet_build(slot, cap, seg, (uint16_t)p->iss) : 0;
	if (!len)
		return;
	p->sender->ops->commit(p->sender, len);
	p->sender->ops->flush(p->sender);
	stats = p->sender->ops->stats(p->sender);
	if (stats->refused > 0)
		p->r.error = stats->last_errno;
}

static void send_segment(struct probe *p, uint8_t flags, uint32_t seq,
			 size_t payload_bytes)
{
	static const uint8_t zeros[PACKET_MAX];
	const struct segment seg = {
		.tuple = {.src = p->r.client, .dst = p->r.target},
		.seq = seq,
		.flags = flags,
		.wnd = SMALL_WINDOW,
		.payload = payload_bytes ? zeros : NULL,
		.payload_len = (uint32_t)payload_bytes,
		.payload_cap = (uint32_t)payload_bytes,
	};

	if (p->r.relayed)
		send_by_link(p, &seg);
	else
		send_by_sender(p, &seg);
}

static void send_route(struct probe *p, enum wire_type type)
{
	const struct wire_msg msg = {.type = type,
				     .route = {.route_id = ROUTE_ID,
					       .client = p->r.client,
					       .target = p->r.target,
					       .iss = p->iss}};

	for (unsigned i = 0; i < link_client_count(p->links); i++)
		link_client_send(p->links, i, &msg);
}

static void send_probe(struct probe *p, bool tell)
{
	const struct wire_msg msg = {.type = WIRE_PROBE,
				     .probe = {.tell = tell,
					       .client = p->r.client,
					       .target = p->r.target}};

	link_client_send(p->links, 0, &msg);
	link_client_flush(p->links);
}

/* ---- the stages ---- */

static void end(struct probe *p)
{
	if (p->stage == OVER)
		return;
	if (p->stage > WATCHING)
		send_segment(p, TCP_RST, p->iss + 1, 0);
	p->stage = OVER;
	send_route(p, WIRE_ROUTE_DEL);
	link_client_flush(p->links);
	link_client_close(p->links);
	uv_close((uv_handle_t *)&p->timer, NULL);
}

static void enter(struct probe *p, enum stage stage, uint64_t time_us)
{
	p->stage = stage;
	p->due_us = clock_us() + time_us;
}

static void send_syn(struct probe *p)
{
	p->again_us = clock_us() + AGAIN_US;
	send_segment(p, TCP_SYN, p->iss, p->payload_bytes);
}

static void begin(struct probe *p)
{
	send_syn(p);
	enter(p, SENT, ANSWER_US);
}

static void on_tick(uv_timer_t *timer)
{
	struct probe *p = timer->data;
	uint64_t now_us = clock_us();
	bool due = now_us >= p->due_us;

	if (p->stage == SENT && !p->r.answered && now_us >= p->again_us)
		send_syn(p);
	if (!due)
		return;
	if (p->stage == WATCHING) {
		begin(p);
	} else if (p->stage == SENT && p->r.has_seen) {
		p->r.has_seen = false;
		send_probe(p, true);
		enter(p, TELLING, SEEN_US);
	} else {
		end(p);
	}
}

static void on_up(void *ctx, unsigned link_id)
{
	struct probe *p = ctx;

	(void)link_id;
	if (p->linked || link_client_up(p->links) < link_client_count(p->links))
		return;
	p->linked = true;
	send_route(p, WIRE_ROUTE_ADD);
	send_probe(p, false);
	enter(p, WATCHING, SEEN_US);
}

static void on_seen(struct probe *p, const struct wire_probe_seen *seen)
{
	p->r.has_seen = true;
	p->r.seen = *seen;
	if (p->stage == WATCHING)
		begin(p);
	else if (p->stage == TELLING)
		end(p);
}

static void on_msg(void *ctx, unsigned link_id, const struct wire_msg *msg)
{
	struct probe *p = ctx;

	(void)link_id;
	if (msg->type == WIRE_PROBE_SEEN) {
		on_seen(p, &msg->probe_seen);
	} else if (msg->type == WIRE_RESPONSE && p->stage == SENT &&
		   !p->r.answered && msg->response.route_id == ROUTE_ID) {
		p->r.answered = true;
		p->r.flags = msg->response.flags;
		enter(p, SENT, SETTLE_US);
	}
}

static void on_failed(void *ctx, unsigned link_id, const char *why)
{
	(void)link_id;
	(void)why;
	end(ctx);
}

/* ---- one probe ---- */

/* The intercept, and behind it its other workers: the answer may come out at
 * any of them. How many. */
static unsigned workers_of(const struct tcpcopy_doctor *d,
			   const struct endpoint *intercept,
			   struct endpoint out[REPLAY_GROUPS_MAX])
{
	unsigned count = 1;

	out[0] = *intercept;
	for (unsigned g = 0; g < d->plan.replay.group_count; g++) {
		const struct endpoint *at = &d->plan.intercepts[g];

		if (addr_equal(&at->addr, &intercept->addr) &&
		    at->port != intercept->port)
			out[count++] = *at;
	}
	return count;
}

static bool talk(struct probe *p, const struct tcpcopy_doctor *d,
		 const struct endpoint *intercept)
{
	struct endpoint workers[REPLAY_GROUPS_MAX];
	const struct link_client_config cfg = {
		.servers = workers,
		.server_count = workers_of(d, intercept, workers),
		.links_each = 1,
		.instance = random_u64(),
		.max_records = 1,
		.key = d->o->key,
	};
	const struct link_client_events events = {.up = on_up,
						  .msg = on_msg,
						  .down = on_failed,
						  .failed = on_failed,
						  .ctx = p};

	uv_loop_init(&p->loop);
	if (link_client_open(&p->links, &p->loop, &cfg, &events, &heap_mem))
		return false;
	enter(p, LINKING, LINK_US);
	uv_timer_init(&p->loop, &p->timer);
	p->timer.data = p;
	uv_timer_start(&p->timer, on_tick, TICK_MS, TICK_MS);
	uv_run(&p->loop, UV_RUN_DEFAULT);
	link_client_free(p->links);
	uv_loop_close(&p->loop);
	return p->linked;
}

/* Of -c, or of what is kept for documentation and belongs to nobody. */
static struct ip_addr client_for(const struct tcpcopy_options *o, bool v4)
{
	static const uint8_t doc4[4] = {203, 0, 113, 77};
	static const uint8_t doc6[16] = {0x20, 0x01, 0x0d,	 0xb8,
					 0xff, 0xff, [15] = 0x77};

	for (size_t i = 0; i < o->clients.count; i++)
		if (addr_is_v4(&o->clients.ranges[i].first) == v4)
			return o->clients.ranges[i].first;
	return v4 ? addr_from_v4(doc4) : addr_from_v6(doc6);
}

/* As copies would go. 0 or -errno. */
static int open_sender(struct probe *p, const struct tcpcopy_doctor *d,
		       enum tcpcopy_path path)
{
	bool v4 = addr_is_v4(&p->r.target.addr);
	const struct sender_raw_config raw = {
		.slot_bytes = PACKET_MAX, .v4 = v4, .v6 = !v4};
	struct sender_link_config frames = {.slot_bytes = PACKET_MAX,
					    .hops = d->hops};
	int rc;

	p->r.relayed = path == PATH_RELAY;
	if (p->r.relayed)
		return 0;
	rc = sender_raw_open(&p->sender, &raw);
	if (rc < 0 || path != PATH_LINK || !d->hops)
		return rc;
	/* If that is not to be had, the raw one stays. */
	frames.other = p->sender;
	sender_link_open(&p->sender, &frames);
	return 0;
}

bool probe_run(struct probe_result *out, const struct tcpcopy_doctor *d,
	       size_t target, const struct endpoint *intercept, size_t bytes)
{
	const struct endpoint *at = &d->o->transfer.targets[target];
	bool v4 = addr_is_v4(&at->addr), done;
	size_t header = v4 ? 40 : 60;
	struct probe p = {
		.r = {.client = {client_for(d->o, v4),
				 (uint16_t)(PORT_FIRST +
					    random_u64() % PORT_COUNT)},
		      .target = *at},
		.iss = (uint32_t)random_u64(),
		.payload_bytes = bytes > header ? bytes - header : 0,
	};

	if (open_sender(&p, d, doctor_path(d, target)))
		return false;
	done = talk(&p, d, intercept);
	if (p.sender)
		p.sender->ops->close(p.sender);
	*out = p.r;
	return done;
}
