// SPDX-License-Identifier: BSD-2-Clause
/* Which backends serve, and what is missing when they do not open. */
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

#include "base/privileges.h"
#include "io/capture_file.h"
#include "io/capture_live.h"
#include "io/sender_file.h"
#include "tcpcopy/app.h"

#define REASON_BYTES 256

static int add_capture(struct app *a, struct capture *c)
{
	struct app_capture *ac = &a->captures[a->capture_count++];
	int fd = c->ops->fd(c);
	int err;

	ac->app = a;
	ac->capture = c;
	if (fd < 0)
		return 0;
	err = uv_poll_init(&a->loop, &ac->poll, fd);
	if (err)
		return app_refuse(OPTS_EXIT_ENVIRONMENT, "capture: %s",
				  uv_strerror(err));
	ac->poll.data = ac;
	ac->polled = true;
	return 0;
}

/* libpcap says the name of the file before what is wrong with it. */
static const char *without_name(const char *reason, const char *path)
{
	size_t len = strlen(path);

	return strncmp(reason, path, len) == 0 && reason[len] == ':'
		       ? reason + len + strspn(reason + len, ": ")
		       : reason;
}

static int refuse_capture(const struct app *a, int err, const char *device,
			  const char *reason)
{
	if (err == -EINVAL)
		return app_refuse(OPTS_EXIT_BAD_INPUT,
				  "--filter %s: %s; man pcap-filter says how",
				  a->options->filter ? a->options->filter : "",
				  reason);
	if (device) /* one that is there may be of use later */
		return app_refuse(err == -ENODEV ? OPTS_EXIT_BAD_INPUT
						 : OPTS_EXIT_ENVIRONMENT,
				  "--device %s: %s%s", device, reason,
				  err == -ENODEV ? "; \"ip link\" names those "
						   "that there are"
						 : "");
	return app_refuse(OPTS_EXIT_ENVIRONMENT, "capture: %s", reason);
}

static int open_live_on(struct app *a, struct capture_live_config *cfg,
			const char *device, struct capture_groups *groups)
{
	char reason[REASON_BYTES] = "";
	struct capture *c;
	int err;

	cfg->device = device;
	cfg->groups = groups;
	err = a->options->capture_pcap
		      ? capture_pcap_open(&c, cfg, reason, sizeof(reason))
		      : capture_ring_open(&c, cfg, reason, sizeof(reason));
	return err ? refuse_capture(a, err, device, reason) : add_capture(a, c);
}

static int open_live(struct app *a)
{
	const struct tcpcopy_options *o = a->options;
	size_t count = o->device_count ? o->device_count : 1;
	char *filter = transfer_filter_text(&o->transfer, o->filter);
	struct capture_live_config cfg = {
		.filter = filter,
		.other_hosts = transfer_names_source(&o->transfer),
		.promiscuous = a->plan.mirror,
		.buffer_bytes = a->plan.buffer_bytes / count,
		.split = o->split,
	};
	int rc = 0;

	if (!filter)
		return app_refuse(OPTS_EXIT_ENVIRONMENT, "no memory");
	for (size_t i = 0; !rc && i < count; i++)
		rc = open_live_on(a, &cfg,
				  o->device_count ? o->devices[i] : NULL,
				  o->groups ? &o->groups[i] : NULL);
	free(filter);
	return rc;
}

static int open_file(struct app *a)
{
	const struct tcpcopy_options *o = a->options;
	const struct capture_file_config cfg = {
		.path = o->file,
		.filter = o->filter,
		.accelerate = o->accelerate,
		.skip_idle_us = o->skip_idle_ms * 1000ull,
	};
	char reason[REASON_BYTES] = "";
	struct capture *c;
	int err = capture_file_open(&c, &cfg, reason, sizeof(reason));

	if (err == -EINVAL)
		return refuse_capture(a, err, NULL, reason);
	if (err)
		return app_refuse(OPTS_EXIT_BAD_INPUT,
				  "-i %s: %s; name a pcap or pcapng file",
				  o->file, without_name(reason, o->file));
	return add_capture(a, c);
}

static void on_dry_packet(void *ctx, const uint8_t *l3, size_t len)
{
	struct app *a = ctx;

	dry_target_on_packet(a->dry_target, l3, len);
}

static int open_dry_sender(struct app *a)
{
	const struct sender_file_config cfg = {
		.path = a->options->dry_run,
		.slot_bytes = a->plan.replay.mtu_bytes,
		.on_packet = on_dry_packet,
		.ctx = a,
	};
	char reason[REASON_BYTES] = "";

	if (!sender_file_open(&a->own, &cfg, reason, sizeof(reason)))
		return 0;
	return app_refuse(
		OPTS_EXIT_BAD_INPUT, "--dry-run %s: %s; name another file",
		a->options->dry_run, without_name(reason, a->options->dry_run));
}

static int open_senders(struct app *a)
{
	int rc = 0;

	if (a->options->dry_run)
		rc = open_dry_sender(a);
	else if (!a->plan.replay.relay)
		rc = app_open_path(a);
	if (!rc && a->plan.may_relay)
		rc = app_open_relay(a);
	a->sender = a->own ? a->own : a->relay;
	return rc;
}

int app_open_io(struct app *a)
{
	const struct tcpcopy_options *o = a->options;
	int rc;

	if (plan_needs_raw(&a->plan, o) && !privileges_have(CAP_NET_RAW))
		return app_refuse(OPTS_EXIT_ENVIRONMENT,
				  "CAP_NET_RAW is missing: run it as root, or "
				  "once: setcap cap_net_raw+ep "
				  "\"$(command -v tcpcopy)\"");
	rc = open_senders(a);
	if (rc)
		return rc;
	return o->file ? open_file(a) : open_live(a);
}

void app_close_io(struct app *a)
{
	for (size_t i = 0; i < a->capture_count; i++) {
		struct capture *c = a->captures[i].capture;

		c->ops->close(c);
	}
	a->capture_count = 0;
	if (a->own)
		a->own->ops->close(a->own);
	if (a->relay)
		a->relay->ops->close(a->relay);
	a->own = a->relay = a->sender = NULL;
	app_close_path(a);
}
