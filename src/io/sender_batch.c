// SPDX-License-Identifier: BSD-2-Clause
#include "io/sender_batch.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

#define ROOM_BYTES (4 << 20)

void sender_batch_room(int fd)
{
	int bytes = ROOM_BYTES;

	/* The first needs CAP_NET_ADMIN, the second may grant less. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

void sender_batch_refused(struct sender_stats *stats, unsigned count, int err)
{
	stats->refused += count;
	stats->last_errno = err;
	log_warn("packets to the target were refused by this host: %s%s",
		 strerror(err),
		 err == EPERM ? " (a firewall rule, or conntrack is full)"
		 : err == EMSGSIZE
			 ? " (lower -M to the MTU of the way to the target)"
			 : "");
}

static unsigned packets_in(const unsigned *packets, unsigned from, unsigned to)
{
	unsigned sum = 0;

	if (!packets)
		return to - from;
	while (from < to)
		sum += packets[from++];
	return sum;
}

void sender_batch_send(int fd, struct mmsghdr *msgs, const unsigned *packets,
		       unsigned count, sender_too_long *too_long,
		       struct sender_stats *stats)
{
	unsigned at = 0;

	while (at < count) {
		int n = sendmmsg(fd, msgs + at, count - at, 0);

		if (n > 0) {
			stats->sent +=
				packets_in(packets, at, at + (unsigned)n);
			at += (unsigned)n;
		} else if (errno == EAGAIN) {
			/* No room: the others would meet the same. */
			sender_batch_refused(
				stats, packets_in(packets, at, count), ENOBUFS);
			at = count;
		} else if (errno == EMSGSIZE && too_long &&
			   too_long(fd, &msgs[at].msg_hdr, stats)) {
			at++;
		} else if (errno != EINTR) {
			sender_batch_refused(
				stats, packets_in(packets, at, at + 1), errno);
			at++;
		}
	}
}
