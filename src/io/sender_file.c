// SPDX-License-Identifier: BSD-2-Clause
#include "io/sender_file.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#include "base/log.h"

#define SNAP_BYTES 262144

struct sender_file {
	struct sender base;
	pcap_t *pcap;
	pcap_dumper_t *dumper;
	struct sender_file_config cfg;
	uint8_t *slot;
	struct sender_stats stats;
};

static struct sender_file *file_of(struct sender *s)
{
	return (struct sender_file *)s;
}

static uint8_t *file_reserve(struct sender *s, size_t *cap)
{
	*cap = file_of(s)->cfg.slot_bytes;
	return file_of(s)->slot;
}

static void file_commit(struct sender *s, size_t len)
{
	struct sender_file *f = file_of(s);
	struct pcap_pkthdr h = {.caplen = (bpf_u_int32)len,
				.len = (bpf_u_int32)len};

	gettimeofday(&h.ts, NULL);
	pcap_dump((u_char *)f->dumper, &h, f->slot);
	f->stats.sent++;
	if (f->cfg.on_packet)
		f->cfg.on_packet(f->cfg.ctx, f->slot, len);
}

static void file_flush(struct sender *s)
{
	struct sender_file *f = file_of(s);

	if (pcap_dump_flush(f->dumper)) {
		f->stats.last_errno = errno;
		log_error("%s: cannot be written: the file is incomplete",
			  f->cfg.path);
	}
}

static const struct sender_stats *file_stats(const struct sender *s)
{
	return &((const struct sender_file *)s)->stats;
}

static void file_close(struct sender *s)
{
	struct sender_file *f = file_of(s);

	if (f->dumper)
		pcap_dump_close(f->dumper);
	if (f->pcap)
		pcap_close(f->pcap);
	free(f->slot);
	free(f);
}

static const struct sender_ops file_ops = {
	.reserve = file_reserve,
	.commit = file_commit,
	.flush = file_flush,
	.close = file_close,
	.stats = file_stats,
};

int sender_file_open(struct sender **out, const struct sender_file_config *cfg,
		     char *err, size_t err_bytes)
{
	struct sender_file *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->base.ops = &file_ops;
	f->cfg = *cfg;
	f->slot = calloc(1, cfg->slot_bytes);
	f->pcap = pcap_open_dead(DLT_RAW, SNAP_BYTES);
	if (!f->slot || !f->pcap) {
		file_close(&f->base);
		return -ENOMEM;
	}
	f->dumper = pcap_dump_open(f->pcap, cfg->path);
	if (!f->dumper) {
		snprintf(err, err_bytes, "%s", pcap_geterr(f->pcap));
		file_close(&f->base);
		return -EIO;
	}
	*out = &f->base;
	return 0;
}
