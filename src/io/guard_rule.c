// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * The rule that sends a port's answers to the queue is in an nf_tables table of
 * its own. Its chain comes before those of the usual tables, and an ACCEPT in
 * one chain never ends another one: no rule that somebody puts anywhere else
 * lets a packet past it, and `iptables -F` does not reach it.
 *
 * It is always made by one transaction that also removes what was there under
 * that name: at no moment is there no rule. The transaction names the
 * generation of the ruleset that it is based on. If it is the next one when all
 * of the table has been read back, nobody else has had a hand in it, and what
 * was read is what must be read again, byte by byte, whenever the generation
 * has changed.
 */
#include "base/count.h"
#include "io/guard_line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>

#include "io/netlink.h"
#include "io/nft_message.h"

#define TRIES	      8 /* against others who change the ruleset */
#define QUESTION_MAX  256
#define SNAPSHOT_STEP 4096

/* What the kernel says of our table. */
struct snapshot {
	uint8_t *bytes;
	size_t len, cap;
};

struct guard_rule {
	struct guard_line base;
	struct netlink *nl;
	struct nft_guard nft;
	void *message; /* room for any transaction */
	struct snapshot made, found;
	bool has_made;
	bool settled;	     /* it stood once: by port or not, for good */
	uint32_t generation; /* of the ruleset when it was last found right */
};

static struct guard_rule *of(struct guard_line *line)
{
	return (struct guard_rule *)line;
}

/* ---- what the kernel says ---- */

/* The header has the generation in it. */
static int append(void *ctx, const struct nlmsghdr *nlh)
{
	struct snapshot *s = ctx;
	size_t skip = sizeof(struct nfgenmsg);
	size_t len = mnl_nlmsg_get_payload_len(nlh);

	if (len < skip)
		return -EBADMSG;
	len -= skip;
	if (s->len + len > s->cap) {
		size_t cap = s->len + len + SNAPSHOT_STEP;
		uint8_t *more = realloc(s->bytes, cap);

		if (!more)
			return -ENOMEM;
		s->bytes = more;
		s->cap = cap;
	}
	memcpy(s->bytes + s->len,
	       (const uint8_t *)mnl_nlmsg_get_payload(nlh) + skip, len);
	s->len += len;
	return 0;
}

static int on_generation(void *ctx, const struct nlmsghdr *nlh)
{
	return nft_generation(nlh, ctx) ? 0 : -EBADMSG;
}

static int ask(struct guard_rule *r, enum nft_question what, netlink_cb *cb,
	       void *ctx)
{
	_Alignas(8) uint8_t buf[QUESTION_MAX];

	return netlink_ask(r->nl,
			   nft_ask(buf, &r->nft, what, netlink_seq(r->nl)), cb,
			   ctx);
}

/* All of our table, or -ENOENT. */
static int read_table(struct guard_rule *r, struct snapshot *s)
{
	static const enum nft_question parts[] = {NFT_ASK_TABLE, NFT_ASK_CHAIN,
						  NFT_ASK_RULES};
	int rc = 0;

	s->len = 0;
	for (size_t i = 0; i < COUNT(parts) && !rc; i++)
		rc = ask(r, parts[i], append, s);
	return rc;
}

static bool same(const struct snapshot *a, const struct snapshot *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static int guard_rule_check(struct guard_line *line)
{
	struct guard_rule *r = of(line);
	uint32_t generation;
	int rc;

	if (!r->has_made)
		return 0;
	rc = ask(r, NFT_ASK_GENERATION, on_generation, &generation);
	if (rc < 0 || generation == r->generation)
		return rc < 0 ? rc : 1;
	for (int i = 0; i < TRIES; i++) {
		rc = read_table(r, &r->found);
		if (rc != -EINTR)
			break;
	}
	if (rc == -ENOENT || (rc == 0 && !same(&r->made, &r->found)))
		return 0;
	if (rc < 0)
		return rc;
	r->generation = generation;
	return 1;
}

/* ---- making and removing ---- */

static uint32_t next_generation(uint32_t generation)
{
	return generation + 1 ? generation + 1 : 1;
}

/* -EAGAIN: somebody else was at it, too. */
static int replace(struct guard_rule *r)
{
	uint32_t before, after;
	size_t len;
	int rc = ask(r, NFT_ASK_GENERATION, on_generation, &before);

	if (rc < 0)
		return rc;
	len = nft_guard_replace(r->message, &r->nft, before,
				netlink_seq(r->nl));
	rc = netlink_order(r->nl, r->message, len);
	if (rc < 0)
		return rc == -ERESTART ? -EAGAIN : rc;
	rc = read_table(r, &r->made);
	if (rc == 0)
		rc = ask(r, NFT_ASK_GENERATION, on_generation, &after);
	if (rc == -EINTR || rc == -ENOENT)
		return -EAGAIN;
	if (rc == 0 && after != next_generation(before))
		return -EAGAIN;
	r->has_made = rc == 0;
	r->generation = after;
	return rc;
}

/* The kernel does not know a statement. */
static bool unknown(int rc)
{
	return rc == -ENOENT || rc == -EOPNOTSUPP;
}

/* Others will do as well, but for whether answers go by port: tcpcopies may
 * have been told. */
static bool take_others(struct guard_rule *r)
{
	if (r->nft.by == NFT_QUEUE_NATIVE) {
		r->nft.by = NFT_QUEUE_XT;
		return true;
	}
	if (!r->nft.by_port || r->settled)
		return false;
	r->nft.by = NFT_QUEUE_NATIVE;
	r->nft.by_port = false;
	return true;
}

static int guard_rule_install(struct guard_line *line)
{
	struct guard_rule *r = of(line);
	int rc = -EAGAIN;

	r->has_made = false;
	for (int i = 0; i < TRIES && rc == -EAGAIN; i++) {
		rc = replace(r);
		if (unknown(rc) && take_others(r))
			rc = -EAGAIN;
	}
	r->settled |= rc == 0;
	return rc;
}

static int guard_rule_remove(struct guard_line *line)
{
	struct guard_rule *r = of(line);

	r->has_made = false;
	return netlink_order(
		r->nl, r->message,
		nft_guard_delete(r->message, &r->nft, netlink_seq(r->nl)));
}

/* ---- life ---- */

static void guard_rule_close(struct guard_line *line)
{
	struct guard_rule *r = of(line);

	if (r->nl)
		netlink_close(r->nl);
	free(r->message);
	free(r->made.bytes);
	free(r->found.bytes);
	free(r);
}

static const struct guard_line_ops guard_rule_ops = {
	.check = guard_rule_check,
	.install = guard_rule_install,
	.remove = guard_rule_remove,
	.close = guard_rule_close,
};

bool guard_rule_by_port(const struct guard_line *rule)
{
	return ((const struct guard_rule *)rule)->nft.by_port;
}

int guard_rule_open(struct guard_line **out,
		    const struct guard_line_config *cfg)
{
	struct guard_rule *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	r->base = (struct guard_line){&guard_rule_ops, *cfg, "rule"};
	r->nft = (struct nft_guard){
		.family = cfg->family,
		.port = cfg->port,
		.queue_num = cfg->queue_num,
		.more_queues = cfg->more_queues,
		.by_port = cfg->more_queues > 0 &&
			   cfg->more_queues < SPLIT_BY_PORT_MAX,
		.passlist = cfg->passlist,
		.passlist_count = cfg->passlist_count,
	};
	snprintf(r->nft.table, sizeof(r->nft.table), "tcpcopy_guard_%u",
		 cfg->port);
	r->message = calloc(1, nft_guard_bytes(cfg->passlist_count));
	rc = r->message ? netlink_open(&r->nl, NETLINK_NETFILTER) : -ENOMEM;
	if (rc < 0) {
		guard_rule_close(&r->base);
		return rc;
	}
	*out = &r->base;
	return 0;
}
