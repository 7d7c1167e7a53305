// SPDX-License-Identifier: BSD-2-Clause
/* A capture file: every packet that comes out can be read, and the file ends
 * in bounded time whatever its stamps say. Its last byte says how it is read.
 * And the same bytes as one frame. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <pcap/dlt.h>

#include "core/check.h"
#include "io/capture_file.h"
#include "io/link_header.h"

#define NAME_BYTES  64
#define PACKETS_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_packets(void *ctx, const struct packet_bytes *packets,
		       size_t count)
{
	unsigned *sum = ctx;

	for (const struct packet_bytes *p = packets; p < packets + count; p++) {
		ASSERT(p->wire_len >= p->cap_len);
		for (size_t i = 0; i < p->cap_len; i++)
			*sum += p->l3[i];
	}
}

static void play(struct capture *c)
{
	uint64_t now_us = 1, due_us;
	unsigned sum = 0, packets = 0;
	int n;

	while ((n = c->ops->dispatch(c, 8, now_us, on_packets, &sum)) >= 0 &&
	       packets < PACKETS_MAX) {
		packets += (unsigned)n;
		due_us = c->ops->deadline_us(c);
		ASSERT(n > 0 || due_us > now_us);
		ASSERT(due_us <= now_us + CAPTURE_FILE_PAUSE_US);
		if (due_us > now_us)
			now_us = due_us;
	}
}

static void check_frame(const uint8_t *frame, size_t len)
{
	static const int kinds[] = {DLT_EN10MB, DLT_LINUX_SLL, DLT_LINUX_SLL2,
				    DLT_RAW,	DLT_IPV4,      DLT_IPV6,
				    DLT_NULL,	DLT_LOOP};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int at = link_header_len(kinds[i], frame, len);

		ASSERT(link_header_known(kinds[i]));
		ASSERT(at >= -1 && at <= (int)len);
		if (link_header_other_host(kinds[i], frame, len))
			ASSERT(kinds[i] == DLT_LINUX_SLL ||
			       kinds[i] == DLT_LINUX_SLL2);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t how = size ? data[size - 1] : 0;
	struct capture_file_config cfg = {
		.accelerate = 1,
		.filter = how & 1 ? "tcp" : NULL,
		.skip_idle_us = how & 2 ? 1000 : 0,
	};
	struct capture_stats stats;
	char path[NAME_BYTES], err[256];
	struct capture *c;
	int fd = memfd_create("capture", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	check_frame(data, size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	cfg.path = path;
	if (!capture_file_open(&c, &cfg, err, sizeof(err))) {
		play(c);
		c->ops->stats(c, &stats);
		ASSERT(capture_file_truncated(c) <= stats.received);
		ASSERT(!capture_file_failure(c) || capture_file_failure(c)[0]);
		c->ops->close(c);
	}
	close(fd);
	return 0;
}
