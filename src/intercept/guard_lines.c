// SPDX-License-Identifier: BSD-2-Clause
#include "intercept/guard_lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define KINDS	 2
#define FAMILIES 2

static const int families[FAMILIES] = {AF_INET, AF_INET6};

static bool is_rule(const struct guard_line *line)
{
	return strcmp(line->what, "rule") == 0;
}

static int take_passlist(struct guard_lines *l, const struct options *o)
{
	for (int i = 0; i < FAMILIES; i++) {
		struct guard_prefix *p =
			calloc(o->passlist.count + 1, sizeof(*p));

		if (!p)
			return -ENOMEM;
		l->passlist[i] = p;
		l->passlist_count[i] = guard_prefixes(
			families[i], o->passlist.items, o->passlist.count, p);
	}
	return 0;
}

/* The fence first: with it, nothing gets out while the rule is being made. */
static int open_family(struct guard_lines *l, const struct options *o,
		       uint16_t port, int i)
{
	struct guard_line_config cfg = {
		.family = families[i],
		.port = port,
		.queue_num = o->queue_num,
		.more_queues = (uint16_t)(o->workers - 1),
		.passlist = l->passlist[i],
		.passlist_count = l->passlist_count[i],
	};
	int rc;

	if (!guard_has_family(families[i]))
		return 0;
	rc = guard_fence_open(&l->lines[l->count], &cfg);
	if (rc < 0)
		return rc;
	l->count++;
	rc = guard_rule_open(&l->lines[l->count], &cfg);
	if (rc == 0)
		l->count++;
	return rc;
}

int guard_lines_open(struct guard_lines *l, const struct options *o)
{
	int rc;

	*l = (struct guard_lines){0};
	l->lines =
		calloc(o->guard_count * KINDS * FAMILIES, sizeof(l->lines[0]));
	rc = l->lines ? take_passlist(l, o) : -ENOMEM;
	for (size_t i = 0; i < o->guard_count && rc == 0; i++)
		for (int f = 0; f < FAMILIES && rc == 0; f++)
			rc = open_family(l, o, o->guard_ports[i], f);
	if (rc < 0)
		guard_lines_close(l);
	return rc;
}

void guard_lines_close(struct guard_lines *l)
{
	for (size_t i = 0; i < l->count; i++)
		l->lines[i]->ops->close(l->lines[i]);
	free(l->lines);
	for (int i = 0; i < FAMILIES; i++)
		free(l->passlist[i]);
	*l = (struct guard_lines){0};
}

bool guard_lines_by_port(const struct guard_lines *l)
{
	for (size_t i = 0; i < l->count; i++)
		if (is_rule(l->lines[i]) && !guard_rule_by_port(l->lines[i]))
			return false;
	return true;
}

char *guard_line_text(const struct guard_line *line,
		      char buf[GUARD_LINE_TEXT_MAX])
{
	snprintf(buf, GUARD_LINE_TEXT_MAX, "%s %s of port %u",
		 line->cfg.family == AF_INET ? "IPv4" : "IPv6", line->what,
		 line->cfg.port);
	return buf;
}

const char *guard_line_remedy(const struct guard_line *line, int error)
{
	switch (error) {
	case -EBUSY:
		return "a routing rule stands in front of all places for it: "
		       "give those with a number below 4 a higher one (ip "
		       "rule)";
	case -ENETDOWN:
		return "ip link set lo up";
	case -ENOENT:
	case -EOPNOTSUPP:
	case -EPROTONOSUPPORT:
	case -EINVAL:
		return is_rule(line)
			       ? "modprobe -a nf_tables nft_queue, or do it "
				 "by hand (--print-rules)"
			       : "its kernel must be 4.17 or newer with "
				 "IP_MULTIPLE_TABLES, or do it by hand "
				 "(--print-rules)";
	default:
		return "try again, or do it by hand (--print-rules)";
	}
}
