/* SPDX-License-Identifier: BSD-2-Clause */
/* Raw IP sockets as a sender: the kernel routes, any source address goes. */
#ifndef IO_SENDER_RAW_H
#define IO_SENDER_RAW_H

#include <stdbool.h>

#include "io/sender.h"

struct sender_raw_config {
	size_t slot_bytes; /* largest packet */
	bool v4, v6;	   /* families that will be sent */
	bool cuts;	   /* what is too long for its device goes in pieces */
};

/* 0 or -errno (-EPERM: CAP_NET_RAW is missing). */
int sender_raw_open(struct sender **out, const struct sender_raw_config *cfg);
/* A packet of any size at once, behind what is committed; not kept. */
void sender_raw_send(struct sender *s, const uint8_t *l3, size_t len);

#endif
