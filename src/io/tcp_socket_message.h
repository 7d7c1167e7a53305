/* SPDX-License-Identifier: BSD-2-Clause */
/* What sock_diag tells of one TCP socket. */
#ifndef IO_TCP_SOCKET_MESSAGE_H
#define IO_TCP_SOCKET_MESSAGE_H

#include "core/addr.h"

struct nlmsghdr;

struct tcp_socket {
	struct ip_addr peer;
	uint16_t local_port;
	bool v4, listens;
};

/* false: it is too short. */
bool tcp_socket_parse(struct tcp_socket *out, const struct nlmsghdr *nlh);

#endif
