// SPDX-License-Identifier: BSD-2-Clause
#include "io/guard_watch.h"

#include <unistd.h>
#include <sys/socket.h>

#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>

#include "io/netlink.h"

int guard_watch_open(struct guard_watch *w)
{
	static const unsigned nft[] = {NFNLGRP_NFTABLES};
	static const unsigned rules[] = {RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE};

	w->fds[0] = netlink_listen(NETLINK_NETFILTER, nft, 1);
	if (w->fds[0] < 0)
		return w->fds[0];
	w->fds[1] = netlink_listen(NETLINK_ROUTE, rules, 2);
	if (w->fds[1] >= 0)
		return 0;
	close(w->fds[0]);
	return w->fds[1];
}

void guard_watch_close(struct guard_watch *w)
{
	for (unsigned i = 0; i < GUARD_WATCH_FDS; i++)
		close(w->fds[i]);
}

bool guard_watch_news(struct guard_watch *w)
{
	bool news = false;

	for (unsigned i = 0; i < GUARD_WATCH_FDS; i++)
		news |= netlink_drain(w->fds[i]);
	return news;
}
