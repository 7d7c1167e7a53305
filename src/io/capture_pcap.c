// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation: libpcap's own ring. Never in "immediate mode", which
 * makes a ring of a few dozen slots; a short timeout instead.
 */
#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/capture_live.h"
#include "io/link_header.h"

#define SNAP_BYTES 262144
#define TIMEOUT_MS 2

struct capture_pcap {
	struct capture base;
	pcap_t *pcap;
	int dlt;
	bool other_hosts;
	capture_cb *cb; /* of the dispatch that is running */
	void *cb_ctx;
	unsigned seen_drop, seen_ifdrop; /* libpcap's counters wrap */
	struct capture_stats stats;
};

static struct capture_pcap *pcap_of(struct capture *c)
{
	return (struct capture_pcap *)c;
}

static int live_fd(const struct capture *c)
{
	return pcap_get_selectable_fd(((const struct capture_pcap *)c)->pcap);
}

/* The library does not tell. */
static bool live_is_behind(const struct capture *c)
{
	(void)c;
	return true;
}

static uint64_t live_deadline_us(const struct capture *c)
{
	(void)c;
	return UINT64_MAX;
}

static void on_frame(u_char *user, const struct pcap_pkthdr *h,
		     const u_char *frame)
{
	struct capture_pcap *p = (struct capture_pcap *)(void *)user;
	int skip = link_header_len(p->dlt, frame, h->caplen);

	p->stats.received++;
	if (skip < 0)
		p->stats.dropped_unusual++;
	else if (p->other_hosts ||
		 !link_header_other_host(p->dlt, frame, h->caplen))
		p->cb(p->cb_ctx,
		      &(struct packet_bytes){frame + skip,
					     h->caplen - (size_t)skip,
					     h->len - (size_t)skip},
		      1);
}

static int live_dispatch(struct capture *c, int budget, uint64_t now_us,
			 capture_cb *cb, void *ctx)
{
	struct capture_pcap *p = pcap_of(c);
	int n;

	(void)now_us;
	p->cb = cb;
	p->cb_ctx = ctx;
	n = pcap_dispatch(p->pcap, budget, on_frame, (u_char *)p);
	return n >= 0 ? n : -EIO;
}

static void live_stats(struct capture *c, struct capture_stats *out)
{
	struct capture_pcap *p = pcap_of(c);
	struct pcap_stat s;

	if (!pcap_stats(p->pcap, &s)) {
		p->stats.dropped_kernel += s.ps_drop - p->seen_drop;
		p->stats.dropped_device += s.ps_ifdrop - p->seen_ifdrop;
		p->seen_drop = s.ps_drop;
		p->seen_ifdrop = s.ps_ifdrop;
	}
	*out = p->stats;
}

static void live_close(struct capture *c)
{
	struct capture_pcap *p = pcap_of(c);

	if (p->pcap)
		pcap_close(p->pcap);
	free(p);
}

static const struct capture_ops live_ops = {
	.fd = live_fd,
	.dispatch = live_dispatch,
	.deadline_us = live_deadline_us,
	.is_behind = live_is_behind,
	.stats = live_stats,
	.close = live_close,
};

static int activate(pcap_t *pcap, const struct capture_live_config *cfg)
{
	bool bounded = cfg->buffer_bytes < INT32_MAX;

	pcap_set_snaplen(pcap, SNAP_BYTES);
	pcap_set_timeout(pcap, TIMEOUT_MS);
	pcap_set_promisc(pcap, cfg->promiscuous && cfg->device);
	pcap_set_buffer_size(pcap,
			     bounded ? (int)cfg->buffer_bytes : INT32_MAX);
	return pcap_activate(pcap);
}

static int set_filter(pcap_t *pcap, const char *text)
{
	struct bpf_program code;
	int rc;

	if (pcap_compile(pcap, &code, text, 1, PCAP_NETMASK_UNKNOWN))
		return -EINVAL;
	rc = pcap_setfilter(pcap, &code) ? -EIO : 0;
	pcap_freecode(&code);
	return rc;
}

static int open_live(struct capture_pcap *p,
		     const struct capture_live_config *cfg, char *err,
		     size_t err_bytes)
{
	char reason[PCAP_ERRBUF_SIZE] = "";
	int rc;

	p->pcap = pcap_create(cfg->device ? cfg->device : "any", reason);
	if (!p->pcap) {
		snprintf(err, err_bytes, "%s", reason);
		return -EIO;
	}
	rc = activate(p->pcap, cfg);
	if (rc < 0) {
		const char *more = pcap_geterr(p->pcap);

		snprintf(err, err_bytes, "%s",
			 *more ? more : pcap_statustostr(rc));
		return -EIO;
	}
	p->dlt = pcap_datalink(p->pcap);
	if (!link_header_known(p->dlt)) {
		snprintf(err, err_bytes, "frames of a kind not known here");
		return -EIO;
	}
	if (pcap_setdirection(p->pcap, PCAP_D_IN)) {
		snprintf(err, err_bytes, "%s", pcap_geterr(p->pcap));
		return -EIO;
	}
	rc = set_filter(p->pcap, cfg->filter);
	if (!rc && pcap_setnonblock(p->pcap, 1, reason))
		rc = -EIO;
	if (rc)
		snprintf(err, err_bytes, "%s", pcap_geterr(p->pcap));
	return rc;
}

int capture_pcap_open(struct capture **out,
		      const struct capture_live_config *cfg, char *err,
		      size_t err_bytes)
{
	struct capture_pcap *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -ENOMEM;
	p->base.ops = &live_ops;
	p->other_hosts = cfg->other_hosts;
	rc = open_live(p, cfg, err, err_bytes);
	if (rc) {
		live_close(&p->base);
		return rc;
	}
	*out = &p->base;
	return 0;
}
