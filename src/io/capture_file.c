// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * One packet is always read ahead, so that it is known when the next one is
 * due. The time it is due advances by the difference of two stamps, never
 * backwards and never by more than CAPTURE_FILE_PAUSE_US: no stamp can make us
 * sleep for ever. libpcap's own bounds keep the lengths of a hostile file in
 * check; what it gives us is looked at again before it is passed on.
 */
#include "io/capture_file.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/link_header.h"

#define SECONDS_MAX (INT64_MAX / 1000000 - 1)

struct capture_file {
	struct capture base;
	pcap_t *pcap;
	int dlt;
	double accelerate;
	uint64_t skip_idle_us;

	struct pcap_pkthdr *header; /* read ahead; NULL: at the end */
	const u_char *frame;
	bool started, ended;
	int64_t stamp_us; /* newest so far */
	double offset_us; /* when the packet read ahead is due after start */
	uint64_t start_us;

	uint64_t truncated;
	struct capture_stats stats;
	char failure[PCAP_ERRBUF_SIZE];
};

static struct capture_file *file_of(struct capture *c)
{
	return (struct capture_file *)c;
}

static const struct capture_file *const_file_of(const struct capture *c)
{
	return (const struct capture_file *)c;
}

static int64_t stamp_us(const struct timeval *t)
{
	int64_t seconds = t->tv_sec;

	if (seconds < 0)
		seconds = 0;
	if (seconds > SECONDS_MAX)
		seconds = SECONDS_MAX;
	return seconds * 1000000 + (t->tv_usec % 1000000);
}

/* How long the file pauses before a packet of this stamp. */
static uint64_t pause_before(struct capture_file *f, int64_t at_us)
{
	int64_t pause_us = at_us - f->stamp_us;

	if (pause_us < 0) {
		if (pause_us < -(int64_t)CAPTURE_FILE_BACK_US)
			f->stamp_us = at_us;
		return 0;
	}
	f->stamp_us = at_us;
	if (pause_us > (int64_t)CAPTURE_FILE_PAUSE_US)
		pause_us = CAPTURE_FILE_PAUSE_US;
	if (f->skip_idle_us && (uint64_t)pause_us > f->skip_idle_us)
		return f->skip_idle_us;
	return (uint64_t)pause_us;
}

static void read_ahead(struct capture_file *f)
{
	int64_t at_us;
	int rc = pcap_next_ex(f->pcap, &f->header, &f->frame);

	if (rc != 1) {
		if (rc == PCAP_ERROR)
			snprintf(f->failure, sizeof(f->failure), "%s",
				 pcap_geterr(f->pcap));
		f->ended = true;
		return;
	}
	at_us = stamp_us(&f->header->ts);
	if (!f->started)
		f->stamp_us = at_us;
	f->offset_us += (double)pause_before(f, at_us) / f->accelerate;
}

static void take_packet(struct capture_file *f, capture_cb *cb, void *ctx)
{
	size_t cap_len = f->header->caplen, wire_len = f->header->len;
	int skip = link_header_len(f->dlt, f->frame, cap_len);

	f->stats.received++;
	if (wire_len < cap_len)
		wire_len = cap_len;
	if (cap_len < wire_len)
		f->truncated++;
	if (skip < 0)
		f->stats.dropped_unusual++;
	else
		cb(ctx,
		   &(struct packet_bytes){f->frame + skip,
					  cap_len - (size_t)skip,
					  wire_len - (size_t)skip},
		   1);
}

static uint64_t due_us(const struct capture_file *f)
{
	return f->start_us + (uint64_t)f->offset_us;
}

static int file_dispatch(struct capture *c, int budget, uint64_t now_us,
			 capture_cb *cb, void *ctx)
{
	struct capture_file *f = file_of(c);
	int taken = 0;

	if (!f->started) {
		read_ahead(f);
		f->start_us = now_us;
		f->started = true;
	}
	while (!f->ended && taken < budget && due_us(f) <= now_us) {
		take_packet(f, cb, ctx);
		read_ahead(f);
		taken++;
	}
	return f->ended && !taken ? -1 : taken;
}

static int file_fd(const struct capture *c)
{
	(void)c;
	return -1;
}

/* What is late is not lost. */
static bool file_is_behind(const struct capture *c)
{
	(void)c;
	return false;
}

static uint64_t file_deadline_us(const struct capture *c)
{
	const struct capture_file *f = const_file_of(c);

	return f->started && !f->ended ? due_us(f) : 0;
}

static void file_stats(struct capture *c, struct capture_stats *out)
{
	*out = file_of(c)->stats;
}

static void file_close(struct capture *c)
{
	struct capture_file *f = file_of(c);

	if (f->pcap)
		pcap_close(f->pcap);
	free(f);
}

static const struct capture_ops file_ops = {
	.fd = file_fd,
	.dispatch = file_dispatch,
	.deadline_us = file_deadline_us,
	.is_behind = file_is_behind,
	.stats = file_stats,
	.close = file_close,
};

uint64_t capture_file_truncated(const struct capture *c)
{
	return const_file_of(c)->truncated;
}

const char *capture_file_failure(const struct capture *c)
{
	const struct capture_file *f = const_file_of(c);

	return f->failure[0] ? f->failure : NULL;
}

static int open_file(struct capture_file *f,
		     const struct capture_file_config *cfg, char *err,
		     size_t err_bytes)
{
	char reason[PCAP_ERRBUF_SIZE] = "";
	struct bpf_program code;
	int rc;

	f->pcap = pcap_open_offline(cfg->path, reason);
	if (!f->pcap) {
		snprintf(err, err_bytes, "%s", reason);
		return -EIO;
	}
	f->dlt = pcap_datalink(f->pcap);
	if (!link_header_known(f->dlt)) {
		const char *name = pcap_datalink_val_to_name(f->dlt);

		snprintf(err, err_bytes, "link type %s is not known here",
			 name ? name : "of its frames");
		return -EIO;
	}
	if (!cfg->filter)
		return 0;
	if (pcap_compile(f->pcap, &code, cfg->filter, 1,
			 PCAP_NETMASK_UNKNOWN)) {
		snprintf(err, err_bytes, "%s", pcap_geterr(f->pcap));
		return -EINVAL;
	}
	rc = pcap_setfilter(f->pcap, &code) ? -EIO : 0;
	if (rc)
		snprintf(err, err_bytes, "%s", pcap_geterr(f->pcap));
	pcap_freecode(&code);
	return rc;
}

int capture_file_open(struct capture **out,
		      const struct capture_file_config *cfg, char *err,
		      size_t err_bytes)
{
	struct capture_file *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return -ENOMEM;
	f->base.ops = &file_ops;
	f->accelerate = cfg->accelerate;
	f->skip_idle_us = cfg->skip_idle_us;
	rc = open_file(f, cfg, err, err_bytes);
	if (rc) {
		file_close(&f->base);
		return rc;
	}
	*out = &f->base;
	return 0;
}
