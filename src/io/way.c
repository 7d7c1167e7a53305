// SPDX-License-Identifier: BSD-2-Clause
#include "io/way.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <unistd.h>

#include "io/sockaddr.h"

static int mtu_of(int fd, bool v4, unsigned *out)
{
	int mtu;
	socklen_t len = sizeof(mtu);

	if (getsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
		       v4 ? IP_MTU : IPV6_MTU, &mtu, &len))
		return -errno;
	*out = (unsigned)mtu;
	return 0;
}

static int ask(int fd, const struct endpoint *target, struct way *out)
{
	struct sockaddr_storage sa;
	socklen_t len = sockaddr_from_endpoint(&sa, target);

	if (connect(fd, (struct sockaddr *)&sa, len))
		return -errno;
	len = sizeof(sa);
	if (getsockname(fd, (struct sockaddr *)&sa, &len))
		return -errno;
	out->source = sockaddr_to_endpoint(&sa).addr;
	return mtu_of(fd, addr_is_v4(&target->addr), &out->mtu_bytes);
}

int way_to(const struct endpoint *target, struct way *out)
{
	int fd = socket(addr_is_v4(&target->addr) ? AF_INET : AF_INET6,
			SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	rc = ask(fd, target, out);
	close(fd);
	return rc;
}
