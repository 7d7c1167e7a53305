/* SPDX-License-Identifier: BSD-2-Clause */
/* -x: what is copied where. */
#ifndef TCPCOPY_TRANSFER_H
#define TCPCOPY_TRANSFER_H

#include "base/opts.h"
#include "core/replay.h"

#define TRANSFERS_MAX 128

struct transfer {
	struct replay_mapping mappings[TRANSFERS_MAX];
	size_t mapping_count;
	struct endpoint targets[TRANSFERS_MAX];
	size_t target_count;
};

/* Adds "[sourceIP:]sourcePort-targetIP:targetPort,..." to t. IPv6 addresses are
 * in brackets; hosts may be names. */
bool transfer_parse(struct transfer *t, const char *text,
		    struct opts_fault *fault);
/* Whether some source has an address, so that packets to other hosts (of a
 * mirror port) are wanted. */
bool transfer_names_source(const struct transfer *t);
/* What the capture is to take (pcap-filter(7)): packets to what is copied, and
 * to what extra says unless it is NULL. To be freed; NULL: no memory. */
char *transfer_filter_text(const struct transfer *t, const char *extra);
/* A target that is itself copied, with one of these addresses of this host or
 * as a source with its address: a loop. NULL: there is none. */
const struct endpoint *transfer_loop(const struct transfer *t,
				     const struct ip_addr *own, size_t count);

#endif
