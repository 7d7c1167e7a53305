/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP options that matter to the copy: MSS, window scale, timestamps. */
#ifndef CORE_TCP_OPTS_H
#define CORE_TCP_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TCP_OPTS_MAX   40
#define TCP_WSCALE_MAX 14

struct tcp_opts {
	uint16_t mss_bytes; /* 0: absent */
	uint8_t wscale;	    /* meaningful if has_wscale, <= TCP_WSCALE_MAX */
	bool has_wscale;
	bool has_tstamp;
	uint32_t tsval, tsecr;
};

/* Fills opts from the option bytes of a header. A malformed option ends the
 * parse; what came before it stands (as receivers do). Always fills opts. */
void tcp_opts_parse(struct tcp_opts *opts, const uint8_t *bytes, size_t len);
/* Writes what opts holds, padded with NOPs to a multiple of four. Returns the
 * length, at most TCP_OPTS_MAX. */
size_t tcp_opts_build(const struct tcp_opts *opts, uint8_t out[TCP_OPTS_MAX]);

#endif
