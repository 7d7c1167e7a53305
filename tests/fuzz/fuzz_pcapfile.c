// SPDX-License-Identifier: BSD-2-Clause
/* A capture file: every packet that comes out can be read, and the file ends
 * in bounded time whatever its stamps say. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/check.h"
#include "io/capture_file.h"

#define NAME_BYTES  64
#define PACKETS_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_packet(void *ctx, const uint8_t *l3, size_t cap_len,
		      size_t wire_len)
{
	unsigned *sum = ctx;

	ASSERT(wire_len >= cap_len);
	for (size_t i = 0; i < cap_len; i++)
		*sum += l3[i];
}

static void play(struct capture *c)
{
	uint64_t now_us = 1, due_us;
	unsigned sum = 0, packets = 0;
	int n;

	while ((n = c->ops->dispatch(c, 8, now_us, on_packet, &sum)) >= 0 &&
	       packets < PACKETS_MAX) {
		packets += (unsigned)n;
		due_us = c->ops->deadline_us(c);
		ASSERT(n > 0 || due_us > now_us);
		ASSERT(due_us <= now_us + CAPTURE_FILE_PAUSE_US);
		if (due_us > now_us)
			now_us = due_us;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct capture_file_config cfg = {.accelerate = 1};
	struct capture_stats stats;
	char path[NAME_BYTES], err[256];
	struct capture *c;
	int fd = memfd_create("capture", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	cfg.path = path;
	if (!capture_file_open(&c, &cfg, err, sizeof(err))) {
		play(c);
		c->ops->stats(c, &stats);
		ASSERT(capture_file_truncated(c) <= stats.received);
		c->ops->close(c);
	}
	close(fd);
	return 0;
}
