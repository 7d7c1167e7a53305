// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * The kernel deals with an order within the send, so that all its answers are
 * there when the send returns: they are read without waiting. A dump is made
 * piece by piece as it is read, up to a message that ends it.
 */
#include "io/netlink.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <libmnl/libmnl.h>

#define RECEIVE_BYTES 65536
#define NEWS_AT_ONCE  256

struct netlink {
	struct mnl_socket *sock;
	uint32_t seq;
	_Alignas(8) uint8_t buf[RECEIVE_BYTES];
};

int netlink_open(struct netlink **out, int bus)
{
	struct timeval patience = {.tv_sec = 2};
	struct netlink *nl = calloc(1, sizeof(*nl));
	int on = 1, rc;

	if (!nl)
		return -ENOMEM;
	nl->sock = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!nl->sock || mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		rc = -errno;
		netlink_close(nl);
		return rc;
	}
	setsockopt(mnl_socket_get_fd(nl->sock), SOL_SOCKET, SO_RCVTIMEO,
		   &patience, sizeof(patience));
	/* A dump can be of a part only: older kernels tell all. */
	mnl_socket_setsockopt(nl->sock, NETLINK_GET_STRICT_CHK, &on,
			      sizeof(on));
	*out = nl;
	return 0;
}

void netlink_close(struct netlink *nl)
{
	if (nl->sock)
		mnl_socket_close(nl->sock);
	free(nl);
}

uint32_t netlink_seq(struct netlink *nl)
{
	return ++nl->seq;
}

/* The library takes a length beyond INT_MAX for a negative one, and looks for
 * attributes up to the length that is a multiple of four. */
bool netlink_ok(const struct nlmsghdr *nlh, int left)
{
	return mnl_nlmsg_ok(nlh, left) && nlh->nlmsg_len <= INT_MAX &&
	       MNL_ALIGN((size_t)nlh->nlmsg_len) <= (size_t)left;
}

static int error_of(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

	return mnl_nlmsg_get_payload_len(nlh) < sizeof(*e) ? -EBADMSG
							   : e->error;
}

int netlink_order(struct netlink *nl, const void *msgs, size_t len)
{
	int fd = mnl_socket_get_fd(nl->sock), rc = 0, answers = 0;
	ssize_t n;

	if (mnl_socket_sendto(nl->sock, msgs, len) < 0)
		return -errno;
	while ((n = recv(fd, nl->buf, sizeof(nl->buf), MSG_DONTWAIT)) > 0) {
		const struct nlmsghdr *nlh = (const void *)nl->buf;
		int left = (int)n;

		for (; netlink_ok(nlh, left);
		     nlh = mnl_nlmsg_next(nlh, &left)) {
			if (nlh->nlmsg_type != NLMSG_ERROR)
				continue;
			answers++;
			rc = rc ? rc : error_of(nlh);
		}
	}
	return answers ? rc : -EIO;
}

/* 1: there is more to come. */
static int take(const void *buf, ssize_t n, netlink_cb *cb, void *ctx,
		bool *interrupted)
{
	const struct nlmsghdr *nlh = buf;
	int left = (int)n, rc;

	for (; netlink_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		*interrupted |= !!(nlh->nlmsg_flags & NLM_F_DUMP_INTR);
		if (nlh->nlmsg_type == NLMSG_DONE)
			return 0;
		if (nlh->nlmsg_type == NLMSG_ERROR)
			return error_of(nlh);
		if (nlh->nlmsg_type < NLMSG_MIN_TYPE)
			continue;
		rc = cb(ctx, nlh);
		if (rc < 0)
			return rc;
	}
	return 1;
}

/* What was left of an answer that was not read to its end. */
static void discard(struct netlink *nl)
{
	int fd = mnl_socket_get_fd(nl->sock);

	while (recv(fd, nl->buf, sizeof(nl->buf), MSG_DONTWAIT) > 0)
		;
}

int netlink_ask(struct netlink *nl, const struct nlmsghdr *request,
		netlink_cb *cb, void *ctx)
{
	bool interrupted = false;
	ssize_t n;
	int rc;

	discard(nl);
	if (mnl_socket_sendto(nl->sock, request, request->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(nl->sock, nl->buf, sizeof(nl->buf));
		if (n < 0)
			return -errno;
		rc = take(nl->buf, n, cb, ctx, &interrupted);
	} while (rc > 0);
	return rc == 0 && interrupted ? -EINTR : rc;
}

int netlink_listen(int bus, const unsigned *groups, size_t count)
{
	struct sockaddr_nl me = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
			bus);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&me, sizeof(me)) < 0)
		rc = -errno;
	for (size_t i = 0; i < count && rc == 0; i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
			       &groups[i], sizeof(groups[i])) < 0)
			rc = -errno;
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

bool netlink_drain(int fd)
{
	uint8_t byte;
	bool news = false;

	for (;;) {
		if (recv(fd, &byte, sizeof(byte), 0) >= 0)
			news = true;
		else if (errno == ENOBUFS)
			news = true;
		else if (errno != EINTR)
			return news;
	}
}

static int tell(const void *buf, ssize_t n, netlink_cb *cb, void *ctx)
{
	const struct nlmsghdr *nlh = buf;
	int left = (int)n, rc = 0;

	for (; rc == 0 && netlink_ok(nlh, left);
	     nlh = mnl_nlmsg_next(nlh, &left))
		if (nlh->nlmsg_type >= NLMSG_MIN_TYPE)
			rc = cb(ctx, nlh);
	return rc;
}

int netlink_news(int fd, netlink_cb *cb, void *ctx)
{
	_Alignas(8) uint8_t buf[RECEIVE_BYTES];
	int rc = 0;

	for (unsigned i = 0; i < NEWS_AT_ONCE; i++) {
		struct sockaddr_nl from = {0};
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0,
				     (struct sockaddr *)&from, &len);

		if (n >= 0 && from.nl_pid == 0)
			rc = rc ? rc : tell(buf, n, cb, ctx);
		else if (n < 0 && errno == ENOBUFS)
			rc = -ENOBUFS;
		else if (n < 0 && errno != EINTR)
			break;
	}
	return rc;
}
