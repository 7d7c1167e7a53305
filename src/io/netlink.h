/* SPDX-License-Identifier: BSD-2-Clause */
/* Questions and orders to the kernel over netlink, and its news. */
#ifndef IO_NETLINK_H
#define IO_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct netlink;
struct nlmsghdr;

/* bus: NETLINK_ROUTE and the like. 0 or -errno. */
int netlink_open(struct netlink **out, int bus);
void netlink_close(struct netlink *nl);
/* For the header of the next message. */
uint32_t netlink_seq(struct netlink *nl);

/* Sends one or more messages of which at least one asks for an ACK. 0, or the
 * first error that the kernel answers. */
int netlink_order(struct netlink *nl, const void *msgs, size_t len);

/* Whether a whole message stands at nlh, with left bytes from there on. */
bool netlink_ok(const struct nlmsghdr *nlh, int left);

/* Called for each message of an answer..
 * 0, or -errno, which becomes the result. */
typedef int netlink_cb(void *ctx, const struct nlmsghdr *nlh);
/* Sends a dump request, or one that asks for an ACK, and takes all of the
 * answer. 0 or -errno; -EINTR: what was told changed meanwhile, ask again. */
int netlink_ask(struct netlink *nl, const struct nlmsghdr *request,
		netlink_cb *cb, void *ctx);

/* A non-blocking socket that is in these multicast groups, or -errno. */
int netlink_listen(int bus, const unsigned *groups, size_t count);
/* Reads all there is. Whether there was any news, or some was lost. */
bool netlink_drain(int fd);
/* Reads what there is, up to a limit, and calls cb for each message. 0, or
 * -errno: some was lost, or the callback's. */
int netlink_news(int fd, netlink_cb *cb, void *ctx);

#endif
