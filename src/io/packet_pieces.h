/* SPDX-License-Identifier: BSD-2-Clause */
/* A packet that is longer than its device takes, as several. */
#ifndef IO_PACKET_PIECES_H
#define IO_PACKET_PIECES_H

#include <stdbool.h>
#include <sys/socket.h>

#include "io/sender.h"

/* The least that IPv6 asks of a device. */
#define PACKET_PIECE_BYTES 1280u

/* Sends the one TCP packet of a message cut. false: it cannot be, since it is
 * not longer than a piece, has no payload, or a SYN or RST; nothing is sent. */
bool packet_pieces_send(int fd, const struct msghdr *msg,
			struct sender_stats *stats);

#endif
