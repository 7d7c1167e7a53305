// SPDX-License-Identifier: BSD-2-Clause
#include "core/rtt.h"

void rtt_init(struct rtt *r)
{
	*r = (struct rtt){0};
}

void rtt_sample(struct rtt *r, uint64_t sample_us)
{
	uint32_t sample, error;

	if (sample_us > RTO_MAX_US)
		sample_us = RTO_MAX_US;
	sample = sample_us ? (uint32_t)sample_us : 1;
	r->backoff = 0;
	if (r->srtt_us == 0) {
		r->srtt_us = sample;
		r->rttvar_us = sample / 2;
		return;
	}
	error = sample > r->srtt_us ? sample - r->srtt_us : r->srtt_us - sample;
	r->rttvar_us = (3 * r->rttvar_us + error) / 4;
	r->srtt_us = (7 * r->srtt_us + sample) / 8;
	if (r->srtt_us == 0)
		r->srtt_us = 1;
}

uint64_t rtt_rto_us(const struct rtt *r)
{
	uint64_t rto_us = RTO_INITIAL_US;

	if (r->srtt_us) {
		rto_us = r->srtt_us + 4ull * r->rttvar_us;
		if (rto_us < RTO_MIN_US)
			rto_us = RTO_MIN_US;
	}
	rto_us <<= r->backoff;
	return rto_us < RTO_MAX_US ? rto_us : RTO_MAX_US;
}

void rtt_back_off(struct rtt *r)
{
	if (r->backoff < 10)
		r->backoff++;
}
