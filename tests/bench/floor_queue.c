// SPDX-License-Identifier: BSD-2-Clause
/*
 * The floor under intercept: takes packets' headers from a queue and drops all
 * with batch verdicts, one a batch. After it has slept for want of packets it
 * lets WAIT-US pass, so that a batch can form.
 *
 * Usage: floor_queue QUEUE [WAIT-US], until SIGTERM.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>

#include "floor.h"

#define COPY_BYTES   96
#define SLOT_BYTES   512
#define BATCH_MAX    256
#define QUEUE_LENGTH 65536
#define BUFFER_BYTES (128 << 20)
#define WAIT_US	     400

static _Alignas(8) uint8_t slots[BATCH_MAX][SLOT_BYTES];
static struct iovec iov[BATCH_MAX];
static struct mmsghdr msgs[BATCH_MAX];
static unsigned queue_num, last_id;
static unsigned long packets, batches, lost;

static struct mnl_socket *bind_queue(void)
{
	_Alignas(8) char buf[512];
	struct mnl_socket *nl = mnl_socket_open(NETLINK_NETFILTER);
	struct nlmsghdr *h;
	int on = 1, bytes = BUFFER_BYTES;

	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		floor_die("netlink");
	setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVBUFFORCE, &bytes,
		   sizeof(bytes));
	mnl_socket_setsockopt(nl, NETLINK_NO_ENOBUFS, &on, sizeof(on));
	h = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, (int)queue_num);
	nfq_nlmsg_cfg_put_cmd(h, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
	if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
		floor_die("bind");
	h = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, (int)queue_num);
	nfq_nlmsg_cfg_put_qmaxlen(h, QUEUE_LENGTH);
	if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
		floor_die("length");
	h = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, (int)queue_num);
	nfq_nlmsg_cfg_put_params(h, NFQNL_COPY_PACKET, COPY_BYTES);
	mnl_attr_put_u32(h, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO));
	mnl_attr_put_u32(h, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO));
	if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
		floor_die("copy mode");
	return nl;
}

static int on_packet(const struct nlmsghdr *h, void *data)
{
	struct nlattr *attr[NFQA_MAX + 1] = {0};
	const struct nfqnl_msg_packet_hdr *packet;
	unsigned id;

	(void)data;
	if (nfq_nlmsg_parse(h, attr) < 0 || !attr[NFQA_PACKET_HDR])
		return MNL_CB_ERROR;
	packet = mnl_attr_get_payload(attr[NFQA_PACKET_HDR]);
	id = ntohl(packet->packet_id);
	lost += packets ? id - last_id - 1 : 0;
	last_id = id;
	packets++;
	return MNL_CB_OK;
}

static void prepare_slots(void)
{
	for (unsigned i = 0; i < BATCH_MAX; i++) {
		iov[i] = (struct iovec){slots[i], SLOT_BYTES};
		msgs[i].msg_hdr =
			(struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
	}
}

/* How many packets came. */
static int receive_batch(int fd)
{
	unsigned long before = packets;
	int n = recvmmsg(fd, msgs, BATCH_MAX, MSG_DONTWAIT, NULL);

	for (int i = 0; i < n; i++)
		mnl_cb_run(slots[i], msgs[i].msg_len, 0, 0, on_packet, NULL);
	return (int)(packets - before);
}

static void drop_batch(const struct mnl_socket *nl)
{
	_Alignas(8) char buf[128];
	struct nlmsghdr *h =
		nfq_nlmsg_put(buf, NFQNL_MSG_VERDICT_BATCH, (int)queue_num);

	nfq_nlmsg_verdict_put(h, (int)last_id, NF_DROP);
	if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
		floor_die("verdict");
	batches++;
}

static void drain(const struct mnl_socket *nl, unsigned wait_us)
{
	const struct timespec pause = {.tv_nsec = wait_us * 1000L};
	struct pollfd p = {.fd = mnl_socket_get_fd(nl), .events = POLLIN};

	while (!floor_ended) {
		int n = poll(&p, 1, FLOOR_TICK_MS);

		if (n < 0 && errno != EINTR)
			floor_die("poll");
		if (n > 0 && wait_us)
			nanosleep(&pause, NULL);
		while ((n = receive_batch(p.fd)) > 0) {
			drop_batch(nl);
			if (n < BATCH_MAX)
				break;
		}
	}
}

int main(int argc, char **argv)
{
	struct mnl_socket *nl;
	double begin_us;

	if (argc < 2)
		return 2;
	floor_signals();
	prepare_slots();
	queue_num = floor_number(argv[1]);
	nl = bind_queue();
	floor_ready();
	begin_us = floor_cpu_us();
	drain(nl, argc > 2 ? floor_number(argv[2]) : WAIT_US);
	printf("{\"packets\":%lu,\"batches\":%lu,\"lost\":%lu,"
	       "\"cpu_us\":%.1f}\n",
	       packets, batches, lost, floor_cpu_us() - begin_us);
	mnl_socket_close(nl);
	return 0;
}
