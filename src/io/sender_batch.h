/* SPDX-License-Identifier: BSD-2-Clause */
/* What senders by datagram sockets have in common. */
#ifndef IO_SENDER_BATCH_H
#define IO_SENDER_BATCH_H

#include <stdbool.h>
#include <sys/socket.h>

#include "io/sender.h"

#define SENDER_BATCH 64 /* packets */

struct mmsghdr;

/* As much room for output as the kernel grants. */
void sender_batch_room(int fd);
/* Gets what the device finds too long. true: it has gone in another way, and is
 * counted. */
typedef bool sender_too_long(int fd, const struct msghdr *msg,
			     struct sender_stats *stats);

/* Gives all of them to the kernel, counts, and says what was refused. packets
 * are in each message; NULL: one. too_long may be NULL. */
void sender_batch_send(int fd, struct mmsghdr *msgs, const unsigned *packets,
		       unsigned count, sender_too_long *too_long,
		       struct sender_stats *stats);

/* The kernel did not take so many packets: counts, and says why. */
void sender_batch_refused(struct sender_stats *stats, unsigned count, int err);

#endif
