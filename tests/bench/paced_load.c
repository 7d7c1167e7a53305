// SPDX-License-Identifier: BSD-2-Clause
/*
 * A load at a rate: requests of the lab's digest application leave at random
 * moments (the gaps are exponential), RATE a second on average, each on a
 * connection that has no answer to wait for. A moment for which there is none
 * is counted as missed.
 *
 * Usage: paced_load ADDR PORT CONNECTIONS RATE SECONDS
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include "../lab/frame.h"
#include "floor.h"

#define REQUEST_BYTES	100
#define ANSWER_BYTES	500
#define CONNECTIONS_MAX 1000

struct flow {
	uint32_t seq, awaited_bytes;
};

static struct flow flows[CONNECTIONS_MAX];
static struct pollfd polls[CONNECTIONS_MAX];
static unsigned flow_count, next_flow;
static unsigned long sent, missed;

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int open_one(const char *addr, const char *port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)floor_number(port)),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (inet_pton(AF_INET, addr, &to.sin_addr) != 1 || fd < 0 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)))
		floor_die(addr);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static void ask(unsigned i)
{
	struct frame f = {
		.kind = FRAME_REQUEST,
		.id = i + 1,
		.seq = flows[i].seq++,
		.len = REQUEST_BYTES,
		.answer_len = ANSWER_BYTES,
	};
	uint8_t header[FRAME_HEADER_BYTES];
	struct iovec iov[8];
	struct msghdr msg = {.msg_iov = iov};

	msg.msg_iovlen = frame_pieces(&f, 0, header, iov, 8);
	if (sendmsg(polls[i].fd, &msg, MSG_NOSIGNAL) != REQUEST_BYTES)
		floor_die("send");
	flows[i].awaited_bytes = ANSWER_BYTES;
	sent++;
}

static void ask_someone(void)
{
	for (unsigned n = 0; n < flow_count; n++) {
		unsigned i = next_flow++ % flow_count;

		if (flows[i].awaited_bytes)
			continue;
		ask(i);
		return;
	}
	missed++;
}

static void take_answers(void)
{
	uint8_t buf[4 * ANSWER_BYTES];

	for (unsigned i = 0; i < flow_count; i++) {
		ssize_t n;

		if (!polls[i].revents)
			continue;
		n = recv(polls[i].fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			floor_die("receive");
		if (n > 0)
			flows[i].awaited_bytes -= (uint32_t)n;
	}
}

static void wait_until(double at)
{
	double left = at - now_s();
	struct timespec ts = {0};

	if (left > 0) {
		ts.tv_sec = (time_t)left;
		ts.tv_nsec = (long)((left - (double)ts.tv_sec) * 1e9);
	}
	if (ppoll(polls, flow_count, &ts, NULL) > 0)
		take_answers();
}

static void run(double rate, double seconds)
{
	double at = now_s(), end = at + seconds;

	while (at < end && !floor_ended) {
		if (now_s() < at) {
			wait_until(at);
			continue;
		}
		ask_someone();
		at -= log(1 - drand48()) / rate;
	}
	for (end = now_s() + 1; now_s() < end && !floor_ended;)
		wait_until(end);
}

int main(int argc, char **argv)
{
	if (argc != 6 || floor_number(argv[3]) > CONNECTIONS_MAX)
		return 2;
	floor_signals();
	frame_setup();
	/* The kernel may wake us 50 us late otherwise. */
	prctl(PR_SET_TIMERSLACK, 1);
	flow_count = floor_number(argv[3]);
	for (unsigned i = 0; i < flow_count; i++)
		polls[i] = (struct pollfd){.fd = open_one(argv[1], argv[2]),
					   .events = POLLIN};
	/* Copies need a handshake of their own first. */
	for (unsigned i = 0; i < flow_count; i++)
		ask(i);
	for (double end = now_s() + 1; now_s() < end && !floor_ended;)
		wait_until(end);
	run(floor_number(argv[4]), floor_number(argv[5]));
	printf("{\"requests\":%lu,\"missed\":%lu}\n", sent, missed);
	return 0;
}
