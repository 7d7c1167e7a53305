/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What nfnetlink_queue sends: a bounds-checked walk over the netlink messages
 * of one datagram, and over the lines of its /proc file. Nothing here calls the
 * kernel, and no byte is believed.
 */
#ifndef IO_NFQ_MESSAGE_H
#define IO_NFQ_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bytes.h"

enum nfq_message_type {
	NFQ_MESSAGE_PACKET, /* a queued packet: it needs a verdict */
	NFQ_MESSAGE_ERROR,  /* an acknowledgement or a refusal */
	NFQ_MESSAGE_OTHER   /* nothing to us */
};

struct nfq_message {
	enum nfq_message_type type;
	uint32_t seq; /* of the request that an ERROR answers */
	int error;    /* ERROR: 0 or -errno */
	/* PACKET: */
	uint32_t id;
	uint32_t out_ifindex; /* 0: not said */
	/* Borrows the datagram. cap_len is 0 unless the payload is what the
	 * kernel calls it, IPv4 or IPv6, and the message is whole. */
	const uint8_t *l3;
	size_t cap_len;
	size_t wire_len; /* before the copy range cut it */
};

/* The next message of the datagram in r: 1: *m is set; 0: no more; -EPROTO:
 * the rest cannot be read (the verdict of a packet in it is then covered by the
 * next batch verdict). */
int nfq_message_next(struct reader *r, struct nfq_message *m);

/* One line of /proc/net/netfilter/nfnetlink_queue. */
struct nfq_proc_line {
	uint32_t queue_num, portid, queued, copy_mode, copy_range;
	uint32_t queue_dropped, user_dropped, id_sequence;
};

bool nfq_proc_parse(struct nfq_proc_line *out, const char *line);

#endif
