// SPDX-License-Identifier: BSD-2-Clause
#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *out, size_t len)
{
	ssize_t got;

	do {
		got = getrandom(out, len, 0);
	} while (got < 0 && errno == EINTR);
	if (got < 0 || (size_t)got != len)
		abort();
}

uint64_t random_u64(void)
{
	uint64_t v;

	random_bytes(&v, sizeof(v));
	return v;
}
