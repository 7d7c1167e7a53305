// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * The ring gives a packet when its block is closed, up to 10 ms after it came.
 * That is what makes it cheap and deep while packets are dense; while they are
 * rare it is only a delay. Then a plain socket with the same filter has each
 * packet, too, and gives it at once. The ring has every packet in any case, and
 * gives what was not given ahead (ahead_given.c): nothing that it has is lost
 * here, nor given twice.
 *
 * Order: the socket gives a packet only if everything older has been given. It
 * is turned on (ON) in a moment in which the ring is empty, the socket is, and
 * the ring still is; until there is one (WAITING) it gets nothing, so that it
 * wakes nobody for what only the ring can give. When its buffer overflows it is
 * turned off, with what it holds, and the ring gives the rest.
 *
 * The ring may have a packet that the socket has not given: the kernel gives it
 * to the ring first, and a processor that was taken away in between (from a
 * virtual machine, say) gives it to the socket milliseconds later. Then the
 * ring gives it, and the socket's one is thrown away when it comes. So it goes
 * for LATE_MAX of them; are there more, the socket has more than one turn
 * takes, and is turned off. That is for 50 ms at least, in which all packets
 * wait for their blocks.
 *
 * Packets are counted over spans of SPAN_US, or longer ones if nothing comes.
 * As soon as there are as many as make one dense it is turned off: a load
 * begins at once, and each packet that is given ahead costs a turn of the loop.
 */
#include "io/capture_ahead.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/capture_filter.h"
#include "io/packet_socket.h"

#define SPAN_US	      50000u
#define DENSE_EACH_S  5000u
#define RARE_EACH_S   2500u
#define LATE_MAX      64u
#define CONTROL_BYTES 64

static void shut(struct capture_ahead *a)
{
	static struct sock_filter nothing[] = {
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	static const struct sock_fprog prog = {.len = 1, .filter = nothing};

	packet_socket_filter(a->fd, &prog);
}

static void turn_off(struct capture_ahead *a)
{
	if (a->state == AHEAD_ON)
		shut(a);
	a->state = AHEAD_OFF;
}

int capture_ahead_open(struct capture_ahead *a,
		       const struct capture_live_config *cfg,
		       struct sock_fprog *filter)
{
	int on = 1;

	*a = (struct capture_ahead){.filter = *filter};
	a->fd = packet_socket_open();
	if (a->fd < 0)
		return a->fd;
	shut(a);
	if (setsockopt(a->fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on)))
		return -errno;
	return packet_socket_start(a->fd, cfg);
}

void capture_ahead_close(struct capture_ahead *a)
{
	capture_filter_free(&a->filter);
	if (a->fd >= 0)
		close(a->fd);
}

/* How many packets the socket had no room for before this one. */
static uint32_t read_overflows(struct msghdr *msg)
{
	uint32_t overflows = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL)
			memcpy(&overflows, CMSG_DATA(c), sizeof(overflows));
	return overflows;
}

/* The next packet's length, 0: none. */
static size_t read_packet(struct capture_ahead *a, uint32_t *overflows)
{
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_BYTES];
	struct iovec iov = {.iov_base = a->packet,
			    .iov_len = sizeof(a->packet)};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t len = recvmsg(a->fd, &msg, MSG_DONTWAIT | MSG_TRUNC);

	/* That a device went down is said in place of a packet, once. */
	if (len < 0 && errno != EAGAIN)
		len = recvmsg(a->fd, &msg, MSG_DONTWAIT | MSG_TRUNC);
	if (len <= 0)
		return 0;
	*overflows = read_overflows(&msg);
	return (size_t)len;
}

static bool is_late(struct capture_ahead *a, uint64_t sum)
{
	return a->late.count > 0 && ahead_given_take(&a->late, sum);
}

/* Whether it may be given now; if not, the ring will or has. */
static bool admit(struct capture_ahead *a, uint32_t overflows, size_t len)
{
	bool lost = overflows != a->overflows;

	a->overflows = overflows;
	if (a->state != AHEAD_ON)
		return false;
	if (!lost && len <= sizeof(a->packet)) {
		uint64_t sum = ahead_given_sum(a->packet, len, len);

		if (is_late(a, sum))
			return false;
		if (ahead_given_add(&a->given, sum))
			return true;
	}
	turn_off(a);
	return false;
}

int capture_ahead_dispatch(struct capture_ahead *a, int budget, capture_cb *cb,
			   void *ctx)
{
	uint32_t overflows;
	int given = 0;
	size_t len;

	while (budget-- > 0 && (len = read_packet(a, &overflows)) > 0) {
		if (!admit(a, overflows, len))
			continue;
		cb(ctx, &(struct packet_bytes){a->packet, len, len}, 1);
		given++;
	}
	return given;
}

bool capture_ahead_gave(struct capture_ahead *a, const uint8_t *l3,
			size_t cap_len, size_t wire_len)
{
	uint64_t sum;

	if (a->state != AHEAD_ON && a->given.count == 0)
		return false;
	sum = ahead_given_sum(l3, cap_len, wire_len);
	if (a->given.count > 0 && ahead_given_take(&a->given, sum))
		return true;
	if (a->state == AHEAD_ON &&
	    (a->late.count == LATE_MAX || !ahead_given_add(&a->late, sum)))
		turn_off(a);
	return false;
}

static void watch_density(struct capture_ahead *a, uint64_t now_us)
{
	uint64_t span_us = now_us - a->span_us;
	bool over = span_us >= SPAN_US;
	uint64_t each_s =
		a->span_packets * 1000000ull / (over ? span_us : SPAN_US);

	if (a->state != AHEAD_OFF && each_s >= DENSE_EACH_S)
		turn_off(a);
	else if (!over)
		return;
	else if (a->state == AHEAD_OFF && each_s < RARE_EACH_S)
		a->state = AHEAD_WAITING;
	a->span_us = now_us;
	a->span_packets = 0;
}

static void throw_away(struct capture_ahead *a)
{
	uint32_t overflows;

	while (read_packet(a, &overflows) > 0)
		a->overflows = overflows;
}

static void try_on(struct capture_ahead *a, bool (*is_empty)(void *ring),
		   void *ring)
{
	if (!is_empty(ring) || packet_socket_filter(a->fd, &a->filter))
		return;
	throw_away(a);
	/* What came meanwhile the ring alone may have. */
	if (!is_empty(ring)) {
		shut(a);
		return;
	}
	ahead_given_clear(&a->given);
	ahead_given_clear(&a->late);
	a->state = AHEAD_ON;
}

void capture_ahead_pace(struct capture_ahead *a, unsigned packets,
			uint64_t now_us, bool (*is_empty)(void *ring),
			void *ring)
{
	a->span_packets += packets;
	watch_density(a, now_us);
	if (a->state == AHEAD_WAITING)
		try_on(a, is_empty, ring);
}
