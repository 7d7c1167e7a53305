// SPDX-License-Identifier: BSD-2-Clause
/* What the kernel says of rules, routes, firewall and sockets: whatever comes
 * out can be used, and what is asked and ordered by it has room. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "core/check.h"
#include "io/fence_rules.h"
#include "io/netlink.h"
#include "io/nft_message.h"
#include "io/probe_rule.h"
#include "io/tcp_socket_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RULES_MAX 64u

static const struct guard_prefix passlist[] = {
	{{192, 0, 2, 1}, 32},
	{{198, 51, 100}, 24},
};

struct run {
	struct fence_rule rules[RULES_MAX];
	size_t count;
	struct guard_line_config cfg;
};

/* What is told of a rule can be told to the kernel, and comes back. */
static void say_again(const struct fence_rule *r)
{
	_Alignas(8) uint8_t buf[FENCE_MESSAGE_MAX];
	const struct nlmsghdr *nlh;
	struct fence_rule again;

	if (r->more || r->sport_first == 0)
		return;
	nlh = fence_rule_message(buf, r, AF_INET6, RTM_NEWRULE, 0, 1);
	ASSERT(nlh->nlmsg_len <= sizeof(buf));
	ASSERT(fence_rule_parse(&again, nlh));
	ASSERT(again.pref == r->pref && again.action == r->action &&
	       again.protocol == r->protocol && again.dst_len == r->dst_len &&
	       again.sport_last == r->sport_last && !again.more);
}

static void read_rule(struct run *run, const struct nlmsghdr *nlh)
{
	struct fence_rule *r = &run->rules[run->count];

	if (run->count == RULES_MAX || !fence_rule_parse(r, nlh))
		return;
	run->count++;
	say_again(r);
	if (r->sport_first)
		run->cfg.port = r->sport_first;
}

static void read_rest(const struct nlmsghdr *nlh)
{
	struct fence_route route;
	struct probe_rule rule;
	struct tcp_socket sock;
	uint32_t generation;

	fence_route_parse(&route, nlh);
	if (probe_rule_parse(&rule, nlh))
		ASSERT(strlen(rule.table) + strlen(rule.chain) <
		       nlh->nlmsg_len);
	nft_generation(nlh, &generation);
	if (tcp_socket_parse(&sock, nlh))
		addr_is_loopback(&sock.peer);
}

/* The rules that there should be, after those that there are. */
static void judge(struct run *run)
{
	struct fence_view v;
	uint32_t place;

	fence_rules_judge(&v, run->rules, run->count, &run->cfg);
	place = fence_rules_place(&v);
	ASSERT(!v.whole || v.pref);
	if (!place)
		return;
	run->count = 0;
	for (size_t i = 0; i < fence_rules_count(&run->cfg); i++) {
		run->rules[i] = fence_rules_at(&run->cfg, place, i);
		ASSERT(fence_rule_equal(&run->rules[i], &run->rules[i]));
		ASSERT(fence_rule_is_ours(&run->rules[i], run->cfg.port));
		say_again(&run->rules[i]);
	}
	fence_rules_judge(&v, run->rules, fence_rules_count(&run->cfg),
			  &run->cfg);
	ASSERT(v.whole && v.pref == place);
}

static void order(const struct run *run, uint8_t how)
{
	struct nft_guard g = {
		.family = run->cfg.family,
		.table = "guard",
		.port = run->cfg.port,
		.queue_num = how,
		.more_queues = how & 15,
		.by_port = how & 32 && how & 15,
		.by = how & 1 ? NFT_QUEUE_XT : NFT_QUEUE_NATIVE,
		.passlist = run->cfg.passlist,
		.passlist_count = run->cfg.passlist_count,
	};
	size_t room = nft_guard_bytes(g.passlist_count);
	void *buf = malloc(room);

	if (!buf)
		return;
	ASSERT(nft_guard_replace(buf, &g, how, 1) <= room);
	ASSERT(nft_guard_delete(buf, &g, 1) <= room);
	for (enum nft_question q = 0; q < NFT_QUESTIONS; q++)
		ASSERT(nft_ask(buf, &g, q, 1)->nlmsg_len <= room);
	free(buf);
}

/* The first byte: family, and how long the passlist is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t how = size ? data[0] : 0;
	size_t len = size ? size - 1 : 0;
	struct run run = {
		.cfg = {.family = how & 4 ? AF_INET6 : AF_INET,
			.port = 8080,
			.passlist = passlist,
			.passlist_count = how & 2 ? 2 : 0},
	};
	/* As aligned as a buffer of ours, and not a byte longer. */
	struct nlmsghdr *msgs = malloc(len ? len : 1);
	const struct nlmsghdr *nlh = msgs;
	int left = (int)len;

	if (!msgs)
		return 0;
	memcpy(msgs, data + (size ? 1 : 0), len);
	for (; netlink_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		read_rule(&run, nlh);
		read_rest(nlh);
	}
	judge(&run);
	order(&run, how);
	free(msgs);
	return 0;
}
