/* SPDX-License-Identifier: BSD-2-Clause */
/* A pcap file of what would be sent. */
#ifndef IO_SENDER_FILE_H
#define IO_SENDER_FILE_H

#include "io/sender.h"

/* Called for each packet that was written, before the slot is used again. */
typedef void sender_file_cb(void *ctx, const uint8_t *l3, size_t len);

struct sender_file_config {
	const char *path; /* "-": stdout */
	size_t slot_bytes;
	sender_file_cb *on_packet; /* NULL: nobody wants to know */
	void *ctx;
};

/* 0, or -errno and a reason in err. */
int sender_file_open(struct sender **out, const struct sender_file_config *cfg,
		     char *err, size_t err_bytes);

#endif
