// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * One netlink socket is bound to one queue. The kernel sends a datagram a
 * packet (with the GSO flag that is one for up to 64 KiB of a long answer),
 * numbers the packets in order, and keeps each until a verdict names its id.
 *
 * A dispatch receives up to its budget, asks for the packets' verdicts, and
 * answers with one datagram: a single ACCEPT for each packet to be let out,
 * then one batch verdict DROP up to the last id to be dropped. The order
 * matters, for the batch covers every id up to its own that is still waiting:
 * also those whose message was lost or could not be read, so that nothing
 * stays in the queue for ever. Nothing is let out by the batch or by an error.
 *
 * The kernel drops a packet instead of queueing it when the queue is full (it
 * gets no id then) or when our receive buffer is (it has used up an id, hence
 * the gaps). Both are counted in /proc, where we read them.
 *
 * The socket is connected to the kernel, which then lets nobody else send to
 * it. So no message's sender has to be asked for: of what receiving a packet
 * costs that was a tenth.
 *
 * The copy mode is set last, because nothing is delivered before it.
 */
#include "io/queue_nfq.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>

#include "io/nfq_message.h"

#define PROC_FILE "/proc/self/net/netfilter/nfnetlink_queue"

/* IPv6, a few extension headers, TCP with all its options. */
#define COPY_BYTES 160
/* The rest of a message is a dozen small attributes. */
#define SLOT_BYTES 1024
#define SLOTS	   64
/* What the receive buffer is charged for one packet. */
#define CHARGE_BYTES 832
#define BATCH_MAX    256
/* Netlink header, nfnetlink header, one attribute with the verdict. */
#define VERDICT_BYTES	 32
#define CONFIG_BYTES	 256
#define ANSWER_WAIT_MS	 2000
#define RCVBUF_BYTES_MAX (INT32_MAX / 2)

/* Packets that are judged together; their bytes are in the slots. */
struct waiting {
	unsigned count;
	uint32_t ids[DIVERT_AT_ONCE];
	struct divert_packet packets[DIVERT_AT_ONCE];
};

struct queue_nfq {
	struct queue base;
	struct mnl_socket *nl;
	int proc_fd; /* -1: not readable */
	uint16_t queue_num;
	uint32_t seq; /* of the last request */
	bool has_last_id, has_drop;
	uint32_t last_id; /* received */
	uint32_t drop_id; /* last one to be dropped in this batch */
	uint32_t proc_queue_dropped, proc_user_dropped;
	struct queue_stats stats;
	size_t verdicts_bytes;
	_Alignas(8) char verdicts[(BATCH_MAX + 1) * VERDICT_BYTES];
	struct mmsghdr slots[SLOTS];
	struct iovec iov[SLOTS];
	_Alignas(8) uint8_t buf[SLOTS][SLOT_BYTES];
};

static struct queue_nfq *of(const struct queue *q)
{
	return (struct queue_nfq *)q;
}

/* ---- verdicts ---- */

static void put_verdict(struct queue_nfq *q, int type, uint32_t id, int verdict)
{
	struct nlmsghdr *nlh = nfq_nlmsg_put(q->verdicts + q->verdicts_bytes,
					     type, q->queue_num);

	nfq_nlmsg_verdict_put(nlh, (int)id, verdict);
	q->verdicts_bytes += MNL_ALIGN(nlh->nlmsg_len);
}

static void send_verdicts(struct queue_nfq *q)
{
	if (q->has_drop)
		put_verdict(q, NFQNL_MSG_VERDICT_BATCH, q->drop_id, NF_DROP);
	if (q->verdicts_bytes > 0 &&
	    mnl_socket_sendto(q->nl, q->verdicts, q->verdicts_bytes) < 0)
		q->stats.verdict_errors++;
	q->verdicts_bytes = 0;
	q->has_drop = false;
}

static void note_verdict(struct queue_nfq *q, uint32_t id, enum verdict verdict)
{
	if (q->verdicts_bytes >= BATCH_MAX * VERDICT_BYTES)
		send_verdicts(q);
	if (verdict == VERDICT_ACCEPT) {
		put_verdict(q, NFQNL_MSG_VERDICT, id, NF_ACCEPT);
		return;
	}
	q->has_drop = true;
	q->drop_id = id;
}

/* In the order of their ids. */
static void judge(struct queue_nfq *q, struct waiting *w, queue_cb *cb,
		  void *ctx)
{
	enum verdict verdicts[DIVERT_AT_ONCE] = {VERDICT_DROP};

	if (w->count == 0)
		return;
	cb(ctx, w->packets, w->count, verdicts);
	for (unsigned i = 0; i < w->count; i++)
		note_verdict(q, w->ids[i], verdicts[i]);
	w->count = 0;
}

static void count_packet(struct queue_nfq *q, const struct nfq_message *m)
{
	if (q->has_last_id)
		q->stats.lost += m->id - q->last_id - 1;
	q->has_last_id = true;
	q->last_id = m->id;
	q->stats.received++;
}

/* ---- receiving ---- */

static void prepare_slots(struct queue_nfq *q)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		q->iov[i] = (struct iovec){q->buf[i], SLOT_BYTES};
		q->slots[i].msg_hdr = (struct msghdr){
			.msg_iov = &q->iov[i],
			.msg_iovlen = 1,
		};
	}
}

/* Datagrams received into the slots, 0: none, -errno. */
static int receive(struct queue_nfq *q, int max)
{
	int n = recvmmsg(mnl_socket_get_fd(q->nl), q->slots,
			 max < SLOTS ? (unsigned)max : SLOTS, MSG_DONTWAIT,
			 NULL);

	if (n >= 0)
		return n;
	/* ENOBUFS: packets were lost, which the ids show as well. */
	if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
		return 0;
	return -errno;
}

static struct reader slot_reader(struct queue_nfq *q, int i)
{
	size_t len = q->slots[i].msg_len;

	return reader_of(q->buf[i], len < SLOT_BYTES ? len : SLOT_BYTES);
}

static void add_packet(struct waiting *w, const struct nfq_message *m)
{
	w->ids[w->count] = m->id;
	w->packets[w->count++] = (struct divert_packet){
		.bytes = {m->l3, m->cap_len, m->wire_len},
		.out_ifindex = m->out_ifindex,
	};
}

/* Packets in slot i; an unreadable one is a gap in the ids. */
static int on_datagram(struct queue_nfq *q, int i, struct waiting *w,
		       queue_cb *cb, void *ctx)
{
	struct reader r = slot_reader(q, i);
	struct nfq_message m;
	int packets = 0;

	while (nfq_message_next(&r, &m) == 1) {
		if (m.type == NFQ_MESSAGE_ERROR && m.error != 0)
			q->stats.verdict_errors++;
		if (m.type != NFQ_MESSAGE_PACKET)
			continue;
		count_packet(q, &m);
		add_packet(w, &m);
		if (w->count == DIVERT_AT_ONCE)
			judge(q, w, cb, ctx);
		packets++;
	}
	return packets;
}

static int queue_nfq_dispatch(struct queue *base, int budget, queue_cb *cb,
			      void *ctx)
{
	struct queue_nfq *q = of(base);
	struct waiting w = {.count = 0};
	int seen = 0, n;

	do {
		n = receive(q, budget - seen);
		for (int i = 0; i < n; i++)
			seen += on_datagram(q, i, &w, cb, ctx);
		judge(q, &w, cb, ctx); /* before the slots are used again */
	} while (n == SLOTS && seen < budget);
	send_verdicts(q);
	return n < 0 ? n : seen;
}

/* ---- configuration ---- */

/* The kernel's answer to request seq in slot i: its error, or 1: not there. A
 * packet that is already being queued is dropped, its sender will repeat it. */
static int find_answer(struct queue_nfq *q, int i)
{
	struct reader r = slot_reader(q, i);
	struct nfq_message m;

	while (nfq_message_next(&r, &m) == 1) {
		if (m.type == NFQ_MESSAGE_ERROR && m.seq == q->seq)
			return m.error;
		if (m.type != NFQ_MESSAGE_PACKET)
			continue;
		count_packet(q, &m);
		note_verdict(q, m.id, VERDICT_DROP);
	}
	return 1;
}

static int wait_answer(struct queue_nfq *q)
{
	struct pollfd p = {.fd = mnl_socket_get_fd(q->nl), .events = POLLIN};
	int n, error;

	for (;;) {
		n = poll(&p, 1, ANSWER_WAIT_MS);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ETIMEDOUT;
		n = receive(q, 1);
		if (n < 0)
			return n;
		error = n == 1 ? find_answer(q, 0) : 1;
		if (error <= 0)
			return error;
	}
}

static struct nlmsghdr *config_message(struct queue_nfq *q, char *buf)
{
	struct nlmsghdr *nlh =
		nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, q->queue_num);

	nlh->nlmsg_flags |= NLM_F_ACK;
	nlh->nlmsg_seq = ++q->seq;
	return nlh;
}

static int request(struct queue_nfq *q, const struct nlmsghdr *nlh)
{
	if (mnl_socket_sendto(q->nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	return wait_answer(q);
}

static int bind_queue(struct queue_nfq *q)
{
	_Alignas(8) char buf[CONFIG_BYTES];
	struct nlmsghdr *nlh = config_message(q, buf);

	nfq_nlmsg_cfg_put_cmd(nlh, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
	return request(q, nlh);
}

static int set_length(struct queue_nfq *q, uint32_t length)
{
	_Alignas(8) char buf[CONFIG_BYTES];
	struct nlmsghdr *nlh = config_message(q, buf);

	nfq_nlmsg_cfg_put_qmaxlen(nlh, length);
	return request(q, nlh);
}

static int set_gso(struct queue_nfq *q)
{
	_Alignas(8) char buf[CONFIG_BYTES];
	struct nlmsghdr *nlh = config_message(q, buf);

	mnl_attr_put_u32(nlh, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO));
	mnl_attr_put_u32(nlh, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO));
	return request(q, nlh);
}

static int set_copy_mode(struct queue_nfq *q)
{
	_Alignas(8) char buf[CONFIG_BYTES];
	struct nlmsghdr *nlh = config_message(q, buf);

	nfq_nlmsg_cfg_put_params(nlh, NFQNL_COPY_PACKET, COPY_BYTES);
	return request(q, nlh);
}

int queue_nfq_buffer_bytes(uint32_t length)
{
	uint64_t wanted = (uint64_t)length * CHARGE_BYTES;

	return wanted < RCVBUF_BYTES_MAX ? (int)wanted : RCVBUF_BYTES_MAX;
}

/* The kernel grants twice what is asked for; more than its limit only to
 * CAP_NET_ADMIN. */
static void size_receive_buffer(struct queue_nfq *q, uint32_t length)
{
	int fd = mnl_socket_get_fd(q->nl), on = 1, granted = 0;
	int bytes = queue_nfq_buffer_bytes(length);
	socklen_t len = sizeof(granted);

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) <
	    0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &len);
	q->stats.receive_buffer_bytes = (size_t)granted;
	/* Without these two the socket still works: overruns would stop
	 * delivery until it is drained, and refusals are a little longer. */
	mnl_socket_setsockopt(q->nl, NETLINK_NO_ENOBUFS, &on, sizeof(on));
	mnl_socket_setsockopt(q->nl, NETLINK_CAP_ACK, &on, sizeof(on));
}

static int configure(struct queue_nfq *q, const struct queue_nfq_config *cfg)
{
	int rc = bind_queue(q);

	if (rc < 0)
		return rc;
	size_receive_buffer(q, cfg->length);
	/* Older kernels know neither, and the queue works without them. */
	set_length(q, cfg->length);
	set_gso(q);
	rc = set_copy_mode(q);
	send_verdicts(q);
	return rc;
}

/* ---- counters ---- */

static void on_proc_line(struct queue_nfq *q, const char *text)
{
	struct nfq_proc_line line;

	if (!nfq_proc_parse(&line, text) || line.queue_num != q->queue_num)
		return;
	/* 32 bits in the kernel: add what was added. */
	q->stats.queue_dropped +=
		(uint32_t)(line.queue_dropped - q->proc_queue_dropped);
	q->stats.user_dropped +=
		(uint32_t)(line.user_dropped - q->proc_user_dropped);
	q->proc_queue_dropped = line.queue_dropped;
	q->proc_user_dropped = line.user_dropped;
}

/* The kernel gives whole lines, a page of them at most. */
static void read_proc(struct queue_nfq *q)
{
	char text[4096 + 1], *line, *rest;
	off_t at = 0;
	ssize_t n;

	if (q->proc_fd < 0)
		return;
	while ((n = pread(q->proc_fd, text, sizeof(text) - 1, at)) > 0) {
		text[n] = '\0';
		rest = text;
		while ((line = strsep(&rest, "\n")))
			on_proc_line(q, line);
		at += n;
	}
}

static void queue_nfq_stats(struct queue *base, struct queue_stats *out)
{
	struct queue_nfq *q = of(base);

	read_proc(q);
	*out = q->stats;
}

/* ---- life ---- */

static int queue_nfq_fd(const struct queue *base)
{
	return mnl_socket_get_fd(of(base)->nl);
}

/* The kernel drops what still waits for a verdict. */
static void queue_nfq_close(struct queue *base)
{
	struct queue_nfq *q = of(base);

	if (q->nl)
		mnl_socket_close(q->nl);
	if (q->proc_fd >= 0)
		close(q->proc_fd);
	free(q);
}

static const struct queue_ops queue_nfq_ops = {
	.fd = queue_nfq_fd,
	.dispatch = queue_nfq_dispatch,
	.stats = queue_nfq_stats,
	.close = queue_nfq_close,
};

/* Connecting gives it an address as well. */
static int connect_to_kernel(const struct queue_nfq *q)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

	return connect(mnl_socket_get_fd(q->nl),
		       (const struct sockaddr *)&kernel, sizeof(kernel));
}

int queue_nfq_open(struct queue **out, const struct queue_nfq_config *cfg)
{
	struct queue_nfq *q = calloc(1, sizeof(*q));
	int rc;

	if (!q)
		return -ENOMEM;
	q->base.ops = &queue_nfq_ops;
	q->queue_num = cfg->queue_num;
	prepare_slots(q);
	q->proc_fd = open(PROC_FILE, O_RDONLY | O_CLOEXEC);
	q->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!q->nl || connect_to_kernel(q) < 0)
		rc = -errno;
	else
		rc = configure(q, cfg);
	if (rc < 0) {
		queue_nfq_close(&q->base);
		return rc;
	}
	*out = &q->base;
	return 0;
}
