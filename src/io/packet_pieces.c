// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A large packet to an own address arrives by lo, which takes 64 KiB, unless
 * somebody has set its MTU lower. The kernel says so for each packet, before it
 * does anything with it. Then it is cut to what every device takes, and goes in
 * its place: so nothing need be known of the MTU, and it may change.
 */
#include "io/packet_pieces.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "core/bytes.h"
#include "core/packet.h"

#define V4_ID_AT 4

static bool send_piece(int fd, const struct msghdr *msg, uint8_t *l3,
		       size_t len)
{
	struct iovec iov = {.iov_base = l3, .iov_len = len};
	struct msghdr piece = {
		.msg_name = msg->msg_name,
		.msg_namelen = msg->msg_namelen,
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	ssize_t n;

	do
		n = sendmsg(fd, &piece, 0);
	while (n < 0 && errno == EINTR);
	return n >= 0;
}

static void note_piece(struct sender_stats *stats, bool sent)
{
	if (sent) {
		stats->sent++;
		return;
	}
	stats->refused++;
	stats->last_errno = errno;
	log_warn("part of a packet to the target was refused by this host: %s",
		 strerror(errno));
}

bool packet_pieces_send(int fd, const struct msghdr *msg,
			struct sender_stats *stats)
{
	const uint8_t *l3 = msg->msg_iov->iov_base;
	size_t len = msg->msg_iov->iov_len;
	uint8_t piece[PACKET_PIECE_BYTES];
	struct segment seg;
	uint16_t id;

	if (len <= sizeof(piece) ||
	    packet_parse(&seg, l3, len, len) != PACKET_OK || !seg.payload_len ||
	    seg.flags & (TCP_SYN | TCP_RST))
		return false;
	if (!stats->cut++)
		log_info("the MTU of lo is less than the packets that come by "
			 "the links: they are cut here");
	id = load_be16(l3 + V4_ID_AT);
	while ((len = packet_cut(piece, sizeof(piece), &seg, id++)) > 0)
		note_piece(stats, send_piece(fd, msg, piece, len));
	return true;
}
