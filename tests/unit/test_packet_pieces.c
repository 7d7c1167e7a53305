// SPDX-License-Identifier: BSD-2-Clause
/* What is too long for a device goes in pieces; a pair of sockets is the
 * device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/packet.h"
#include "io/packet_pieces.h"

#define LARGE_BYTES 5000u

struct device {
	int in, out;
	struct sender_stats stats;
	uint8_t payload[LARGE_BYTES];
	uint8_t l3[LARGE_BYTES + PACKET_HEADER_MAX];
	struct segment seg;
	struct iovec iov;
	struct msghdr msg;
};

static void give(struct device *d, bool v6, uint8_t flags, uint32_t len)
{
	uint8_t b[16] = {0x20, 1, [15] = 9};

	d->seg = (struct segment){
		.seq = 0xfffffc00u,
		.ack = 99,
		.wnd = 501,
		.flags = flags,
		.payload = d->payload,
		.payload_len = len,
		.payload_cap = len,
	};
	for (size_t i = 0; i < sizeof(d->payload); i++)
		d->payload[i] = (uint8_t)(i * 7 + i / 256);
	d->seg.tuple.src.port = 5000;
	d->seg.tuple.dst.port = 80;
	d->seg.tuple.src.addr = v6 ? addr_from_v6(b) : addr_from_v4(b);
	b[2] = 1;
	d->seg.tuple.dst.addr = v6 ? addr_from_v6(b) : addr_from_v4(b);
	d->iov.iov_base = d->l3;
	d->iov.iov_len = packet_build(d->l3, sizeof(d->l3), &d->seg, 65535);
	assert_true(d->iov.iov_len > len);
	d->msg = (struct msghdr){.msg_iov = &d->iov, .msg_iovlen = 1};
}

static int setup(void **state)
{
	struct device *d = calloc(1, sizeof(*d));
	int fds[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds), 0);
	d->out = fds[0];
	d->in = fds[1];
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct device *d = *state;

	close(d->in);
	close(d->out);
	free(d);
	return 0;
}

static unsigned take_pieces(struct device *d)
{
	uint8_t bytes[2000];
	struct segment seg;
	unsigned count = 0;
	uint32_t at = 0;
	ssize_t n;

	while ((n = recv(d->in, bytes, sizeof(bytes), 0)) > 0) {
		size_t len = (size_t)n;

		assert_true(len <= PACKET_PIECE_BYTES);
		assert_true(packet_is_plain(bytes, len));
		assert_int_equal(packet_parse(&seg, bytes, len, len),
				 PACKET_OK);
		assert_true(four_tuple_equal(&seg.tuple, &d->seg.tuple));
		assert_int_equal(seg.seq, d->seg.seq + at);
		if (bytes[0] >> 4 == 4) /* each has its own identification */
			assert_int_equal(bytes[4] << 8 | bytes[5],
					 (65535 + count) % 65536);
		assert_memory_equal(seg.payload, d->payload + at,
				    seg.payload_len);
		at += seg.payload_len;
		count++;
	}
	assert_int_equal(at, d->seg.payload_len);
	return count;
}

static void test_in_pieces(void **state)
{
	struct device *d = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		give(d, v6, TCP_ACK | TCP_PSH, LARGE_BYTES);
		assert_true(packet_pieces_send(d->out, &d->msg, &d->stats));
		assert_int_equal(take_pieces(d), 5);
	}
	assert_int_equal(d->stats.cut, 2);
	assert_int_equal(d->stats.sent, 10);
	assert_int_equal(d->stats.refused, 0);
}

static void test_what_cannot_be_cut(void **state)
{
	struct device *d = *state;

	give(d, false, TCP_ACK, PACKET_PIECE_BYTES - 40);
	assert_false(packet_pieces_send(d->out, &d->msg, &d->stats));
	give(d, false, TCP_SYN, LARGE_BYTES);
	assert_false(packet_pieces_send(d->out, &d->msg, &d->stats));
	give(d, true, TCP_RST, LARGE_BYTES);
	assert_false(packet_pieces_send(d->out, &d->msg, &d->stats));
	give(d, false, TCP_ACK, LARGE_BYTES);
	d->l3[9] = 17;
	assert_false(packet_pieces_send(d->out, &d->msg, &d->stats));
	assert_int_equal(d->stats.cut + d->stats.sent + d->stats.refused, 0);
	d->seg.payload_len = 0;
	assert_int_equal(take_pieces(d), 0);
}

static void test_refused_pieces_are_counted(void **state)
{
	struct device *d = *state;

	give(d, false, TCP_ACK, LARGE_BYTES);
	shutdown(d->in, SHUT_RD);
	close(d->in);
	assert_true(packet_pieces_send(d->out, &d->msg, &d->stats));
	assert_int_equal(d->stats.cut, 1);
	assert_int_equal(d->stats.sent, 0);
	assert_int_equal(d->stats.refused, 5);
	assert_int_not_equal(d->stats.last_errno, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_in_pieces),
		TEST(test_what_cannot_be_cut),
		TEST(test_refused_pieces_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
