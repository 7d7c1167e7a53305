/* SPDX-License-Identifier: BSD-2-Clause */
/* Round-trip estimate and retransmission timeout (RFC 6298). */
#ifndef CORE_RTT_H
#define CORE_RTT_H

#include <stdint.h>

#define RTO_INITIAL_US 1000000u
#define RTO_MIN_US     200000u
#define RTO_MAX_US     60000000u

struct rtt {
	uint32_t srtt_us; /* 0: no sample yet */
	uint32_t rttvar_us;
	uint8_t backoff; /* doublings since the last valid sample */
};

void rtt_init(struct rtt *r);
/* A sample from a segment that was sent once (Karn); ends the back-off. */
void rtt_sample(struct rtt *r, uint64_t sample_us);
/* The timeout to arm now, back-off included, within RTO_MIN_US..RTO_MAX_US. */
uint64_t rtt_rto_us(const struct rtt *r);
/* The timer ran out: double it the next time. */
void rtt_back_off(struct rtt *r);

#endif
