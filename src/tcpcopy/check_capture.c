// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "io/capture_file.h"
#include "io/capture_live.h"
#include "io/tcp_sockets.h"
#include "tcpcopy/check.h"

#define LISTEN_US 2000000u
/* When others have been heard. */
#define LISTEN_MORE_US 500000u
#define CAPTURES_MAX   (DEVICES_MAX + 1)

/* ---- the server that is copied ---- */

void check_server(struct check *c, void *ctx)
{
	const struct tcpcopy_doctor *d = ctx;
	const struct transfer *t = &d->o->transfer;

	for (size_t i = 0; !d->o->file && i < t->mapping_count; i++) {
		uint16_t port = t->mappings[i].source.port;

		/* Seen on a mirror port, or another's: not for us to say. */
		if (!addr_is_none(&t->mappings[i].source.addr))
			continue;
		if (tcp_sockets_listening(port) == 0)
			check_warn(c, "-x with the port that clients use here",
				   "nothing on this host listens on port %u",
				   port);
		else
			check_ok(c, "something listens on port %u", port);
	}
}

/* ---- packets ---- */

struct ear {
	struct capture *captures[CAPTURES_MAX];
	size_t count;
	bool heard;
};

static void on_packets(void *ctx, const struct packet_bytes *packets,
		       size_t count)
{
	struct ear *ear = ctx;

	(void)packets;
	(void)count;
	ear->heard = true;
}

static int open_ear(struct ear *ear, const struct tcpcopy_doctor *d,
		    const char *device, const char *more, char *why,
		    size_t why_bytes)
{
	char *filter = transfer_filter_text(&d->o->transfer, more);
	const struct capture_live_config cfg = {
		.device = device,
		.filter = filter,
		.other_hosts = transfer_names_source(&d->o->transfer),
		.promiscuous = device && d->plan.mirror,
		.buffer_bytes = CAPTURE_BUFFER_MIN_BYTES,
	};
	struct capture **out = &ear->captures[ear->count];
	int rc = -ENOMEM;

	if (filter)
		rc = d->o->capture_pcap
			     ? capture_pcap_open(out, &cfg, why, why_bytes)
			     : capture_ring_open(out, &cfg, why, why_bytes);
	ear->count += rc == 0;
	free(filter);
	return rc;
}

static void listen_once(struct ear *ear, uint64_t now_us)
{
	for (size_t i = 0; i < ear->count; i++)
		ear->captures[i]->ops->dispatch(ear->captures[i], 16, now_us,
						on_packets, ear);
}

/* Until ear has heard something; when only other has, for a little longer. */
static void listen_to(struct ear *ear, struct ear *other)
{
	uint64_t now_us = clock_us(), end_us = now_us + LISTEN_US;

	while (!ear->heard && now_us < end_us) {
		clock_sleep_us(10000);
		now_us = clock_us();
		listen_once(ear, now_us);
		listen_once(other, now_us);
		if (other->heard && end_us > now_us + LISTEN_MORE_US)
			end_us = now_us + LISTEN_MORE_US;
	}
}

static void close_ear(struct ear *ear)
{
	for (size_t i = 0; i < ear->count; i++)
		ear->captures[i]->ops->close(ear->captures[i]);
}

static void say_heard(struct check *c, const struct tcpcopy_doctor *d,
		      const struct ear *ear, const struct ear *other)
{
	if (ear->heard)
		check_ok(c, "clients' packets are seen");
	else if (other->heard)
		check_fail(c, "another --device or --filter, or none",
			   "%s%s leaves out the clients' packets, which there "
			   "are",
			   d->o->device_count ? "--device " : "--filter ",
			   d->o->device_count ? d->o->devices[0]
					      : d->o->filter);
	else
		check_warn(c, "look where clients connect to (ss -tn, tcpdump)",
			   "no packet of a client in 2 s");
}

static void look_live(struct check *c, const struct tcpcopy_doctor *d)
{
	struct ear ear = {.heard = false}, other = {.heard = false};
	const struct tcpcopy_options *o = d->o;
	size_t count = o->device_count ? o->device_count : 1;
	char why[256] = "";
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = open_ear(&ear, d, o->device_count ? o->devices[i] : NULL,
			      o->filter, why, sizeof(why));
	if (rc == 0 && (o->device_count || o->filter))
		rc = open_ear(&other, d, NULL, NULL, why, sizeof(why));
	if (rc < 0) {
		check_fail(c, "--device, --filter, or run it as root", "%s",
			   why[0] ? why : strerror(-rc));
	} else {
		listen_to(&ear, &other);
		say_heard(c, d, &ear, &other);
	}
	close_ear(&ear);
	close_ear(&other);
}

static void look_at_file(struct check *c, const struct tcpcopy_options *o)
{
	const struct capture_file_config cfg = {
		.path = o->file, .filter = o->filter, .accelerate = 1};
	struct ear ear = {.heard = false};
	struct capture *file;
	char why[256] = "";

	if (capture_file_open(&file, &cfg, why, sizeof(why))) {
		check_fail(c, "-i with another file", "-i %s: %s", o->file,
			   why);
	} else {
		file->ops->dispatch(file, 1, clock_us(), on_packets, &ear);
		file->ops->close(file);
		if (ear.heard)
			check_ok(c, "-i %s has packets", o->file);
		else
			check_fail(c, "-i with another file, another --filter",
				   "-i %s has no packet for us", o->file);
	}
}

void check_capture(struct check *c, void *ctx)
{
	const struct tcpcopy_doctor *d = ctx;

	if (d->o->file)
		look_at_file(c, d->o);
	else
		look_live(c, d);
}
