/* SPDX-License-Identifier: BSD-2-Clause */
/* A pcap or pcapng file as a capture, paced by its own time stamps. */
#ifndef IO_CAPTURE_FILE_H
#define IO_CAPTURE_FILE_H

#include "io/capture.h"

struct capture_file_config {
	const char *path;
	const char *filter;    /* pcap-filter(7), NULL: everything */
	double accelerate;     /* so many times as fast, > 0 */
	uint64_t skip_idle_us; /* longer pauses are shortened to it */
};

/* No pause in a file is taken for longer, whatever its stamps say. */
#define CAPTURE_FILE_PAUSE_US 3600000000u
/* Stamps that go back by more than this begin a new clock; by less, they come
 * from packets that were stored out of order. */
#define CAPTURE_FILE_BACK_US 1000000u

/* The clock of the file starts with the first dispatch. 0, or -errno and a
 * reason in err; -EINVAL: the filter is wrong. */
int capture_file_open(struct capture **out,
		      const struct capture_file_config *cfg, char *err,
		      size_t err_bytes);
/* Packets that the file has only in part. */
uint64_t capture_file_truncated(const struct capture *c);
/* Why the file ended before its time; NULL: it did not. */
const char *capture_file_failure(const struct capture *c);

#endif
