// SPDX-License-Identifier: BSD-2-Clause
#include "core/bucket.h"

static int64_t worth(const struct bucket *b, uint64_t us)
{
	return (int64_t)(b->per_second * us);
}

void bucket_init(struct bucket *b, uint64_t per_second, uint64_t now_us)
{
	b->per_second = per_second;
	b->level = worth(b, BUCKET_DEPTH_US);
	b->at_us = now_us;
}

static void fill(struct bucket *b, uint64_t now_us)
{
	uint64_t us = now_us - b->at_us;

	if (now_us <= b->at_us)
		return;
	b->at_us = now_us;
	if (us > BUCKET_DEPTH_US + BUCKET_OWED_US)
		us = BUCKET_DEPTH_US + BUCKET_OWED_US;
	b->level += worth(b, us);
	if (b->level > worth(b, BUCKET_DEPTH_US))
		b->level = worth(b, BUCKET_DEPTH_US);
}

void bucket_use(struct bucket *b, uint32_t n, uint64_t now_us)
{
	if (!b->per_second)
		return;
	fill(b, now_us);
	b->level -= (int64_t)n * 1000000;
	if (b->level < -worth(b, BUCKET_OWED_US))
		b->level = -worth(b, BUCKET_OWED_US);
}

bool bucket_is_empty(struct bucket *b, uint64_t now_us)
{
	if (!b->per_second)
		return false;
	fill(b, now_us);
	return b->level <= 0;
}
