/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands before the IP header in captured frames. */
#ifndef IO_LINK_HEADER_H
#define IO_LINK_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* dlt: libpcap's DLT_ number. */
bool link_header_known(int dlt);
/* Length of what stands before the IPv4 or IPv6 header, at most cap_len; -1
 * when there is none in this frame. VLAN tags, also doubled ones, are walked.
 */
int link_header_len(int dlt, const uint8_t *frame, size_t cap_len);
/* Linux cooked frames say to whom they were: not to this host. */
bool link_header_other_host(int dlt, const uint8_t *frame, size_t cap_len);

#endif
