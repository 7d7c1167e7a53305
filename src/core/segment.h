/* SPDX-License-Identifier: BSD-2-Clause */
/* One TCP segment as a value; every number in host order. */
#ifndef CORE_SEGMENT_H
#define CORE_SEGMENT_H

#include "core/addr.h"
#include "core/tcp_opts.h"

enum {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
};

struct segment {
	struct four_tuple tuple;
	uint32_t seq, ack;
	uint32_t payload_len;	/* bytes on the wire */
	uint32_t payload_cap;	/* bytes readable at payload, <= payload_len */
	const uint8_t *payload; /* borrowed; NULL if there is none to read */
	uint16_t wnd;		/* as on the wire, unscaled */
	uint8_t flags;		/* TCP_* */
	struct tcp_opts opts;
};

#endif
