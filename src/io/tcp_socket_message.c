// SPDX-License-Identifier: BSD-2-Clause
#include "io/tcp_socket_message.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>

bool tcp_socket_parse(struct tcp_socket *out, const struct nlmsghdr *nlh)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(nlh);

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*m))
		return false;
	out->v4 = m->idiag_family == AF_INET;
	out->peer = out->v4 ? addr_from_v4((const uint8_t *)m->id.idiag_dst)
			    : addr_from_v6((const uint8_t *)m->id.idiag_dst);
	out->local_port = ntohs(m->id.idiag_sport);
	out->listens = m->idiag_state == TCP_LISTEN;
	return true;
}
