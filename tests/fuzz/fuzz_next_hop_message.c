// SPDX-License-Identifier: BSD-2-Clause
/* A datagram of rtnetlink: whatever comes out has its bounds. */
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>

#include "core/check.h"
#include "io/netlink.h"
#include "io/next_hop_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is asked about it has room. */
static void ask(const struct ip_addr *addr, uint32_t ifindex)
{
	_Alignas(8) uint8_t buf[NEXT_HOP_QUESTION_BYTES];

	ASSERT(hop_route_question(buf, addr, 1)->nlmsg_len <= sizeof(buf));
	ASSERT(hop_neighbour_question(buf, addr, ifindex, 2)->nlmsg_len <=
	       sizeof(buf));
	ASSERT(hop_device_question(buf, ifindex, 3)->nlmsg_len <= sizeof(buf));
}

static void parse(const struct nlmsghdr *nlh)
{
	struct hop_neighbour neighbour;
	struct hop_device device;
	struct hop_route route;

	if (hop_route_parse(&route, nlh)) {
		ASSERT(route.to.len <= 128);
		addr_in_prefix(&route.to.addr, &route.to);
	}
	if (hop_neighbour_parse(&neighbour, nlh)) {
		ASSERT(!addr_is_none(&neighbour.addr));
		ask(&neighbour.addr, neighbour.ifindex);
	}
	if (hop_device_parse(&device, nlh)) {
		ASSERT(device.ifindex > 0);
		ASSERT(memchr(device.name, '\0', sizeof(device.name)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* As aligned as a buffer of ours, and not a byte longer. */
	struct nlmsghdr *msgs = malloc(size ? size : 1);
	const struct nlmsghdr *nlh = msgs;
	int left = (int)size;

	if (!msgs)
		return 0;
	memcpy(msgs, data, size);
	for (; netlink_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
		parse(nlh);
	free(msgs);
	return 0;
}
