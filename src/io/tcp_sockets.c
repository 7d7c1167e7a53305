// SPDX-License-Identifier: BSD-2-Clause
#include "io/tcp_sockets.h"

#include <errno.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>

#include "io/netlink.h"
#include "io/tcp_socket_message.h"

#define NEW_SYN_RECV 12 /* where the kernel keeps half-open connections */
#define STATES                                                                 \
	(1u << TCP_ESTABLISHED | 1u << TCP_SYN_RECV | 1u << TCP_FIN_WAIT1 |    \
	 1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSE_WAIT | 1u << TCP_LAST_ACK |     \
	 1u << TCP_CLOSING | 1u << NEW_SYN_RECV)

struct search {
	uint16_t port;
	uint32_t states;
	int count, listening;
};

static int on_socket(void *ctx, const struct nlmsghdr *nlh)
{
	struct search *s = ctx;
	struct tcp_socket found;

	if (!tcp_socket_parse(&found, nlh))
		return -EBADMSG;
	if (found.local_port != s->port)
		return 0;
	if (found.listens)
		s->listening |= found.v4 ? TCP_SOCKETS_V4 : TCP_SOCKETS_V6;
	else if (!addr_is_loopback(&found.peer))
		s->count++;
	return 0;
}

static int search(struct netlink *nl, int family, struct search *s)
{
	_Alignas(8) uint8_t buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct inet_diag_req_v2 *req;

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = netlink_seq(nl);
	req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
	req->sdiag_family = (uint8_t)family;
	req->sdiag_protocol = IPPROTO_TCP;
	req->idiag_states = s->states;
	req->id.idiag_sport = htons(s->port);
	return netlink_ask(nl, nlh, on_socket, s);
}

static int search_all(struct search *s)
{
	struct netlink *nl;
	int rc = netlink_open(&nl, NETLINK_SOCK_DIAG);

	if (rc < 0)
		return rc;
	rc = search(nl, AF_INET, s);
	if (rc == 0)
		rc = search(nl, AF_INET6, s);
	netlink_close(nl);
	/* Without IPv6 in the kernel there are none. */
	return rc == -ENOENT ? 0 : rc;
}

int tcp_sockets_count(uint16_t port)
{
	struct search s = {.port = port, .states = STATES};
	int rc = search_all(&s);

	return rc < 0 ? rc : s.count;
}

int tcp_sockets_listening(uint16_t port)
{
	struct search s = {.port = port, .states = 1u << TCP_LISTEN};
	int rc = search_all(&s);

	return rc < 0 ? rc : s.listening;
}
