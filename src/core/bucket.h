/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A rate that is watched: what is used counts down, time fills up again. It
 * stops nothing by itself: what is used beyond the rate is owed, for a second's
 * worth at most.
 */
#ifndef CORE_BUCKET_H
#define CORE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* What may be used at once after a pause, as time at the full rate. */
#define BUCKET_DEPTH_US 100000
#define BUCKET_OWED_US	1000000
#define BUCKET_RATE_MAX 1000000000000ull

struct bucket {
	uint64_t per_second; /* 0: no limit */
	int64_t level;	     /* in millionths */
	uint64_t at_us;
};

/* Full; per_second <= BUCKET_RATE_MAX. */
void bucket_init(struct bucket *b, uint64_t per_second, uint64_t now_us);
/* n <= 1,000,000. */
void bucket_use(struct bucket *b, uint32_t n, uint64_t now_us);
/* More has been used than the rate allows; never without a limit. */
bool bucket_is_empty(struct bucket *b, uint64_t now_us);

#endif
