// SPDX-License-Identifier: BSD-2-Clause
#include "tcpcopy/host.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>

#include "io/sockaddr.h"

int host_addresses(struct ip_addr **out, size_t *count)
{
	struct ifaddrs *list;
	size_t max = 0, n = 0;

	if (getifaddrs(&list))
		return -errno;
	for (const struct ifaddrs *at = list; at; at = at->ifa_next)
		max++;
	*out = calloc(max + 1, sizeof(**out));
	if (*out)
		for (const struct ifaddrs *at = list; at; at = at->ifa_next)
			n += sockaddr_to_addr(at->ifa_addr, &(*out)[n]);
	freeifaddrs(list);
	*count = n;
	return *out ? 0 : -ENOMEM;
}
