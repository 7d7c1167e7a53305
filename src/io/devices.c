// SPDX-License-Identifier: BSD-2-Clause
#include "io/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <net/if.h>

#include <libnfnetlink/libnfnetlink.h>

_Static_assert(DEVICE_NAME_MAX == IFNAMSIZ, "names are as long as that");

/* The library's table is all there is. */
static struct nlif_handle *table(const struct devices *d)
{
	return (struct nlif_handle *)d;
}

struct devices *devices_open(void)
{
	struct nlif_handle *h = nlif_open();
	int fd;

	if (!h)
		return NULL;
	fd = nlif_fd(h);
	/* The answer to a query has an end, news do not: they are read until
	 * there are none. */
	if (nlif_query(h) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
		nlif_close(h);
		return NULL;
	}
	return (struct devices *)h;
}

void devices_close(struct devices *d)
{
	nlif_close(table(d));
}

int devices_fd(const struct devices *d)
{
	return nlif_fd(table(d));
}

void devices_update(struct devices *d)
{
	nlif_catch(table(d));
}

char *devices_name(struct devices *d, uint32_t ifindex,
		   char buf[DEVICE_NAME_MAX + 8])
{
	if (nlif_index2name(table(d), ifindex, buf) < 0)
		snprintf(buf, DEVICE_NAME_MAX + 8, "device %" PRIu32, ifindex);
	return buf;
}
