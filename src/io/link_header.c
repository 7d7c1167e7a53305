// SPDX-License-Identifier: BSD-2-Clause
#include "io/link_header.h"

#include <pcap/dlt.h>

#include "core/bytes.h"

#define TYPE_IPV4     0x0800
#define TYPE_IPV6     0x86dd
#define TYPE_VLAN     0x8100
#define TYPE_QINQ     0x88a8
#define TYPE_QINQ_OLD 0x9100
#define TAGS_MAX      4

#define SLL_OTHER_HOST 3

#define ETHERNET_TYPE_AT 12
#define SLL_TYPE_AT	 14
#define SLL_LEN		 16
#define SLL2_LEN	 20
#define FAMILY_LEN	 4

bool link_header_known(int dlt)
{
	switch (dlt) {
	case DLT_EN10MB:
	case DLT_LINUX_SLL:
	case DLT_LINUX_SLL2:
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
	case DLT_NULL:
	case DLT_LOOP:
		return true;
	default:
		return false;
	}
}

/* An EtherType at type_at, whose payload begins at payload_at: walks tags. */
static int after_type(const uint8_t *frame, size_t cap_len, size_t type_at,
		      size_t payload_at)
{
	for (int tags = 0; tags <= TAGS_MAX; tags++) {
		uint16_t type;

		if (cap_len < payload_at) /* behind the type always */
			return -1;
		type = load_be16(frame + type_at);
		if (type == TYPE_IPV4 || type == TYPE_IPV6)
			return (int)payload_at;
		if (type != TYPE_VLAN && type != TYPE_QINQ &&
		    type != TYPE_QINQ_OLD)
			return -1;
		/* The tag itself, then the next type. */
		type_at = payload_at + 2;
		payload_at += 4;
	}
	return -1;
}

/* For link types that say no more than "IP", or a family in whatever byte
 * order and of whatever system: the version in the IP header decides. */
static int if_ip_at(const uint8_t *frame, size_t cap_len, int at)
{
	uint8_t version;

	if (cap_len <= (size_t)at)
		return -1;
	version = frame[at] >> 4;
	return version == 4 || version == 6 ? at : -1;
}

int link_header_len(int dlt, const uint8_t *frame, size_t cap_len)
{
	switch (dlt) {
	case DLT_EN10MB:
		return after_type(frame, cap_len, ETHERNET_TYPE_AT,
				  ETHERNET_TYPE_AT + 2);
	case DLT_LINUX_SLL:
		return after_type(frame, cap_len, SLL_TYPE_AT, SLL_LEN);
	case DLT_LINUX_SLL2:
		return after_type(frame, cap_len, 0, SLL2_LEN);
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
		return if_ip_at(frame, cap_len, 0);
	case DLT_NULL:
	case DLT_LOOP:
		return if_ip_at(frame, cap_len, FAMILY_LEN);
	default:
		return -1;
	}
}

bool link_header_other_host(int dlt, const uint8_t *frame, size_t cap_len)
{
	if (dlt == DLT_LINUX_SLL)
		return cap_len >= 2 && load_be16(frame) == SLL_OTHER_HOST;
	if (dlt == DLT_LINUX_SLL2)
		return cap_len > 10 && frame[10] == SLL_OTHER_HOST;
	return false;
}
