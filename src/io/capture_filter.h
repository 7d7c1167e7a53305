/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel is to give us, as an expression and as classic BPF. */
#ifndef IO_CAPTURE_FILTER_H
#define IO_CAPTURE_FILTER_H

#include <linux/filter.h>

#include "core/addr.h"
#include "core/split.h"

/* The expression (pcap-filter(7)) for TCP packets to any of these endpoints
 * (addr_is_none(): to that port), and to what extra says unless it is NULL. To
 * be freed by the caller; NULL: no memory. */
char *capture_filter_text(const struct endpoint *sources, size_t count,
			  const char *extra);

/* Compiles for packets that begin with their IP header, as a packet socket of
 * type SOCK_DGRAM sees them. Only incoming packets pass, and of clients whose
 * port is ours; other_hosts: also those that were not addressed to this host.
 * 0, or -EINVAL and a reason in err. The code is freed by
 * capture_filter_free(). */
int capture_filter_compile(struct sock_fprog *out, const char *text,
			   bool other_hosts, const struct split *split,
			   char *err, size_t err_bytes);
void capture_filter_free(struct sock_fprog *prog);

#endif
