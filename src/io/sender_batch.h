/* SPDX-License-Identifier: BSD-2-Clause */
/* What senders by datagram sockets have in common. */
#ifndef IO_SENDER_BATCH_H
#define IO_SENDER_BATCH_H

#include <sys/socket.h>

#include "io/sender.h"

#define SENDER_BATCH 64 /* packets */

struct mmsghdr;

/* As much room for output as the kernel grants. */
void sender_batch_room(int fd);
/* Gives all of them to the kernel, counts, and says what was refused. */
void sender_batch_send(int fd, struct mmsghdr *msgs, unsigned count,
		       struct sender_stats *stats);

#endif
