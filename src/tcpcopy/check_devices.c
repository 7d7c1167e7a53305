// SPDX-License-Identifier: BSD-2-Clause
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tcpcopy/check.h"

/* What the device's driver says to a question about one of its settings. */
static bool is_on(int fd, const char *name, uint32_t question, uint32_t bit)
{
	struct ethtool_value v = {.cmd = question};
	struct ifreq req = {0};

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	req.ifr_data = (void *)&v;
	return ioctl(fd, SIOCETHTOOL, &req) == 0 && v.data & bit;
}

static struct device_seen look_at(int fd, const char *name)
{
	struct device_seen seen = {.exists = if_nametoindex(name)};
	struct ifreq req = {0};

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFFLAGS, &req))
		return seen;
	seen.loopback = req.ifr_flags & IFF_LOOPBACK;
	seen.up = req.ifr_flags & IFF_UP && req.ifr_flags & IFF_RUNNING;
	seen.lro = is_on(fd, name, ETHTOOL_GFLAGS, ETH_FLAG_LRO);
	return seen;
}

void check_say_device(struct check *c, const char *name,
		      const struct device_seen *seen, bool wanted)
{
	char fix[CHECK_TEXT_MAX];

	if (!seen->exists && wanted)
		check_fail(c, "--device with another one (ip link)",
			   "there is no device %s", name);
	else if (!seen->up && wanted)
		check_fail(c, check_text(fix, "ip link set %s up", name),
			   "%s is down", name);
	else if (seen->up && seen->lro)
		check_warn(c, check_text(fix, "ethtool -K %s lro off", name),
			   "%s merges packets by itself (LRO) and loses their "
			   "ACKs",
			   name);
	else if (seen->up && (wanted || !seen->loopback))
		check_ok(c, "%s is up, its offloads do no harm", name);
}

static void say_one(struct check *c, int fd, const char *name, bool wanted)
{
	const struct device_seen seen = look_at(fd, name);

	check_say_device(c, name, &seen, wanted);
}

void check_devices(struct check *c, void *ctx)
{
	const struct tcpcopy_doctor *d = ctx;
	struct if_nameindex *all;
	int fd;

	if (d->o->file)
		return;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	all = d->o->device_count ? NULL : if_nameindex();
	for (size_t i = 0; i < d->o->device_count; i++)
		say_one(c, fd, d->o->devices[i], true);
	for (size_t i = 0; all && all[i].if_index; i++)
		say_one(c, fd, all[i].if_name, false);
	if (all)
		if_freenameindex(all);
	if (fd >= 0)
		close(fd);
}
