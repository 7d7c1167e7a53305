// SPDX-License-Identifier: BSD-2-Clause
/* A stream of frames: whatever is read can be written, and is read as the same
 * again. */
#include <string.h>

#include "core/check.h"
#include "core/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct wire_msg *msg)
{
	static uint8_t once[WIRE_FRAME_MAX], twice[sizeof(once)];
	size_t len = wire_append(once, 0, sizeof(once), 1, msg);
	struct wire_reader r;
	struct wire_msg again;

	ASSERT(len > WIRE_HEADER_BYTES);
	ASSERT(wire_frame(&r, once, len) == (ssize_t)len);
	ASSERT(wire_next(&r, &again) == 1 && again.type == msg->type);
	ASSERT(wire_append(twice, 0, sizeof(twice), 1, &again) == len);
	ASSERT(memcmp(once, twice, len) == 0);
	ASSERT(wire_next(&r, &again) == 0);
	/* A second one goes into the same frame, if there is room. */
	ASSERT(wire_append(once, len, sizeof(once), 1, msg) == 0);
	ASSERT(wire_append(once, len, len, 2, msg) == 0);
}

static int check_frame(struct wire_reader r)
{
	struct wire_msg msg;
	unsigned left = r.left_records;
	int rc;

	while ((rc = wire_next(&r, &msg)) == 1) {
		ASSERT(left-- > 0);
		check_again(&msg);
	}
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_reader r;
	ssize_t n;

	while ((n = wire_frame(&r, data, size)) > 0) {
		ASSERT((size_t)n <= size && n <= (ssize_t)WIRE_FRAME_MAX);
		if (check_frame(r) < 0)
			break;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}
