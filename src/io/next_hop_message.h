/* SPDX-License-Identifier: BSD-2-Clause */
/* rtnetlink's messages about routes, neighbours and devices, as far as a next
 * hop is concerned. */
#ifndef IO_NEXT_HOP_MESSAGE_H
#define IO_NEXT_HOP_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"

#define MAC_BYTES      6
#define HOP_DEVICE_MAX 16 /* a name, with the terminator */
/* Of each question below; a multiple of what a message header needs. */
#define NEXT_HOP_QUESTION_BYTES 256

struct nlmsghdr;

struct hop_route {
	struct addr_prefix to;
	struct ip_addr gateway; /* addr_is_none(): to itself */
	uint32_t ifindex;
	bool unicast;	    /* to another host */
	bool local;	    /* to this one */
	bool encapsulated;  /* by more than a device's header */
	uint32_t mtu_bytes; /* 0: the device's */
};

struct hop_neighbour {
	struct ip_addr addr;
	uint32_t ifindex;
	bool known; /* mac holds, as far as this host knows */
	bool stale; /* but it has not looked for some time */
	uint8_t mac[MAC_BYTES];
};

struct hop_device {
	uint32_t ifindex;
	uint32_t mtu_bytes;
	bool ethernet; /* frames have an Ethernet header, neighbours a MAC */
	uint8_t mac[MAC_BYTES];
	char name[HOP_DEVICE_MAX];
};

/* false: it is another kind of message, or none of ours. A neighbour or device
 * that is gone is one that is not known, or is no Ethernet. */
bool hop_route_parse(struct hop_route *out, const struct nlmsghdr *nlh);
bool hop_neighbour_parse(struct hop_neighbour *out, const struct nlmsghdr *nlh);
bool hop_device_parse(struct hop_device *out, const struct nlmsghdr *nlh);

/* Questions about one thing each, that ask for an ACK. In buf, of
 * NEXT_HOP_QUESTION_BYTES, aligned as the header. */
struct nlmsghdr *hop_route_question(void *buf, const struct ip_addr *to,
				    uint32_t seq);
struct nlmsghdr *hop_neighbour_question(void *buf, const struct ip_addr *addr,
					uint32_t ifindex, uint32_t seq);
struct nlmsghdr *hop_device_question(void *buf, uint32_t ifindex, uint32_t seq);

#endif
