// SPDX-License-Identifier: BSD-2-Clause
#include "intercept/check.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include "base/count.h"
#include "base/privileges.h"
#include "check/host.h"
#include "io/queue_nfq.h"
#include "io/tcp_sockets.h"

static void look_capabilities(struct check *c, void *ctx)
{
	const struct intercept_doctor *d = ctx;

	check_capability(c, CAP_NET_ADMIN, "cap_net_admin");
	if (d->o->relay_count > 0)
		check_capability(c, CAP_NET_RAW, "cap_net_raw");
}

/* ---- the queue ---- */

static bool is_intercept(const struct queue_owner *q)
{
	return q->bound && !strcmp(q->name, "intercept");
}

static void say_owner(struct check *c, const struct queue_owner *q,
		      unsigned num)
{
	char fix[CHECK_TEXT_MAX];

	if (!is_intercept(q))
		check_fail(c,
			   check_text(fix, "end that process, or another "
					   "--queue-num here and in the rule"),
			   "queue %u belongs to %s (process %d)", num,
			   q->name[0] ? q->name : "another program", q->pid);
	else if (q->dropped > 0)
		check_warn(c, "a larger -q, more CPU for intercept",
			   "queue %u: the kernel found no room for %" PRIu32
			   " packets",
			   num, q->dropped);
	else
		check_ok(c, "queue %u: intercept (process %d) has it", num,
			 q->pid);
}

/* The kernel loads what it needs for it. */
static void try_queue(struct check *c, uint16_t num)
{
	struct queue_nfq_config cfg = {.queue_num = num, .length = 1};
	struct queue *queue;
	int rc = queue_nfq_open(&queue, &cfg);

	if (rc == 0) {
		queue->ops->close(queue);
		check_ok(c, "queue %u is free", num);
	} else if (!privileges_have(CAP_NET_ADMIN)) {
		check_warn(c, "run the check as root",
			   "whether queue %u can be had is not known", num);
	} else if (rc == -EINVAL || rc == -EPROTONOSUPPORT) {
		check_fail(c, "modprobe nfnetlink_queue",
			   "the kernel knows no NFQUEUE");
	} else {
		check_fail(c, "another --queue-num here and in the rule",
			   "queue %u: %s", num, strerror(-rc));
	}
}

static void look_queue(struct check *c, void *ctx)
{
	struct intercept_doctor *d = ctx;

	struct queue_owner other;

	/* Each worker's; the first stands for all. */
	for (unsigned i = 0; i < d->o->workers; i++) {
		struct queue_owner *q = i == 0 ? &d->queue : &other;
		uint16_t num = (uint16_t)(d->o->queue_num + i);

		queue_owner_find(q, num);
		if (q->bound)
			say_owner(c, q, num);
		else
			try_queue(c, num);
	}
	d->running = is_intercept(&d->queue);
}

static void look_buffer(struct check *c, void *ctx)
{
	const struct intercept_doctor *d = ctx;
	uint64_t wanted = queue_nfq_buffer_bytes(d->o->queue_length);
	int granted = queue_buffer_granted((int)wanted);
	char fix[CHECK_TEXT_MAX];

	/* The kernel grants twice what is asked for, or its limit. */
	if (granted >= 0 && (uint64_t)granted < wanted)
		check_warn(c,
			   check_text(fix,
				      "start intercept with CAP_NET_ADMIN, or "
				      "sysctl -w net.core.rmem_max=%" PRIu64,
				      wanted),
			   "receive buffer of %d bytes instead of %" PRIu64
			   ": packets are lost when many come at once",
			   granted, wanted);
	else
		check_ok(c, "%d bytes are granted", granted);
}

/* ---- the links ---- */

static struct endpoint own_end(const struct options *o, unsigned worker)
{
	static const uint8_t v4[4] = {127, 0, 0, 1};
	struct endpoint at = {.addr = o->address,
			      .port = (uint16_t)(o->port + worker)};

	if (addr_is_any(&at.addr))
		at.addr = addr_from_v4(v4);
	return at;
}

static void look_at_worker(struct check *c, struct intercept_doctor *d,
			   unsigned worker)
{
	struct endpoint at = own_end(d->o, worker);
	struct link_said other;
	char text[ENDPOINT_TEXT_MAX];
	int error;

	if (d->running || link_reach(&at, &error) != REACH_REFUSED)
		check_link(c, &at, d->o->key, worker == 0 ? &d->link : &other);
	else if (d->queue.bound)
		check_fail(c, "start intercept once its queue is free",
			   "intercept does not run");
	else
		check_warn(c, "start it with these options",
			   "intercept does not run: nobody listens on %s",
			   endpoint_text(&at, text));
}

static void look_links(struct check *c, void *ctx)
{
	struct intercept_doctor *d = ctx;

	for (unsigned i = 0; i < d->o->workers; i++)
		look_at_worker(c, d, i);
}

/* ---- the application ---- */

static void look_application(struct check *c, void *ctx)
{
	const struct intercept_doctor *d = ctx;
	char fix[CHECK_TEXT_MAX];

	for (size_t i = 0; i < d->port_count; i++) {
		uint16_t port = d->ports[i];

		if (port == 0)
			continue;
		if (tcp_sockets_listening(port) == 0)
			check_fail(c,
				   check_text(fix,
					      "start the server on port %u",
					      port),
				   "nothing listens on port %u", port);
		else
			check_ok(c, "something listens on port %u", port);
	}
}

/* ---- the rest ---- */

static void look_rp_filter(struct check *c, void *ctx)
{
	(void)ctx;
	check_rp_filter(c);
}

static void look_conntrack(struct check *c, void *ctx)
{
	(void)ctx;
	check_conntrack(c);
}

int intercept_check(const struct options *o, bool json)
{
	static const struct check_item items[] = {
		{"capabilities", look_capabilities},
		{"queue", look_queue},
		{"receive buffer", look_buffer},
		{"links", look_links},
		{"rules", check_rules},
		{"fence", check_fence},
		{"application", look_application},
		{"input", check_input},
		{"rp_filter", look_rp_filter},
		{"conntrack", look_conntrack},
	};
	struct intercept_doctor d = {.o = o};
	int rc;

	if (o->unguard || o->print_rules || o->make_key) {
		fputs("intercept: check: not together with --unguard, "
		      "--print-rules or --make-key\n",
		      stderr);
		return OPTS_EXIT_BAD_INPUT;
	}
	rules_host_read(&d.rules);
	rc = check_run("intercept", json, items, COUNT(items), &d);
	rules_host_free(&d.rules);
	return rc;
}
