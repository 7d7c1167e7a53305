// SPDX-License-Identifier: BSD-2-Clause
#include "intercept/guard_once.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <linux/capability.h>

#include "base/privileges.h"
#include "intercept/guard_lines.h"
#include "intercept/app.h"
#include "io/fence_rules.h"
#include "io/guard_lock.h"
#include "io/tcp_sockets.h"

/* ---- --unguard ---- */

/* What answers still would be let out. */
static int check_port(uint16_t port)
{
	int lock = guard_lock(port), open;

	if (lock < 0)
		return app_refuse("--unguard %u: an intercept is running that "
				  "guards it; end that first",
				  port);
	close(lock);
	open = tcp_sockets_count(port);
	if (open > 0)
		return app_refuse(
			"--unguard %u: %d connections are still open "
			"there, what they send would reach real "
			"clients; end them first (restart the server, "
			"or ss -K sport = :%u)",
			port, open, port);
	return 0;
}

int guard_remove(const struct options *o)
{
	char text[GUARD_LINE_TEXT_MAX];
	struct guard_lines l;
	int rc;

	if (!privileges_have(CAP_NET_ADMIN))
		return app_refuse(
			"--unguard: CAP_NET_ADMIN is missing: run it as "
			"root");
	for (size_t i = 0; i < o->guard_count; i++) {
		rc = check_port(o->guard_ports[i]);
		if (rc)
			return rc;
	}
	rc = guard_lines_open(&l, o);
	if (rc < 0)
		return app_refuse("--unguard: %s", strerror(-rc));
	for (size_t i = 0; i < l.count && rc == 0; i++) {
		rc = l.lines[i]->ops->remove(l.lines[i]);
		if (rc < 0)
			rc = app_refuse("--unguard: %s: %s",
					guard_line_text(l.lines[i], text),
					strerror(-rc));
	}
	guard_lines_close(&l);
	return rc;
}

/* ---- --print-rules ---- */

static void print_rule(const struct options *o, FILE *out, bool v4,
		       uint16_t port)
{
	const char *tool = v4 ? "iptables" : "ip6tables";
	char addr[ADDR_TEXT_MAX];

	fprintf(out, "%s -w -t mangle -N tcpcopy-%u\n", tool, port);
	for (size_t i = 0; i < o->passlist.count; i++) {
		const struct addr_prefix *p = &o->passlist.items[i];

		if (addr_is_v4(&p->addr) == v4)
			fprintf(out,
				"%s -w -t mangle -A tcpcopy-%u -d %s/%d "
				"-j RETURN\n",
				tool, port, addr_text(&p->addr, addr),
				p->len - (v4 ? 96 : 0));
	}
	fprintf(out,
		"%s -w -t mangle -A tcpcopy-%u -m comment --comment "
		"'tcpcopy-nfq: answers of port %u' -j NFQUEUE ",
		tool, port, port);
	if (o->workers > 1)
		fprintf(out, "--queue-balance %u:%u\n", o->queue_num,
			o->queue_num + o->workers - 1);
	else
		fprintf(out, "--queue-num %u\n", o->queue_num);
	fprintf(out,
		"%s -w -t mangle -I OUTPUT -p tcp --sport %u -j tcpcopy-%u\n",
		tool, port, port);
}

static void print_fence(const struct options *o, FILE *out, bool v4,
			uint16_t port)
{
	const char *ip = v4 ? "ip -4" : "ip -6";
	bool exempt = false;
	char addr[ADDR_TEXT_MAX];

	fprintf(out, "%s route add default dev lo table %u protocol %u\n", ip,
		FENCE_TABLE(port), FENCE_PROTOCOL);
	fprintf(out,
		"%s rule add pref %u iif lo ipproto tcp sport %u lookup %u "
		"protocol %u\n",
		ip, FENCE_PREF, port, FENCE_TABLE(port), FENCE_PROTOCOL);
	for (size_t i = 0; i < o->passlist.count; i++) {
		const struct addr_prefix *p = &o->passlist.items[i];

		if (addr_is_v4(&p->addr) != v4)
			continue;
		if (!exempt)
			fprintf(out,
				"%s rule add pref %u iif lo ipproto tcp "
				"sport %u nop protocol %u\n",
				ip, FENCE_PREF + 1, port, FENCE_PROTOCOL);
		exempt = true;
		fprintf(out,
			"%s rule add pref %u to %s/%d iif lo ipproto tcp "
			"sport %u goto %u protocol %u\n",
			ip, FENCE_PREF - 1, addr_text(&p->addr, addr),
			p->len - (v4 ? 96 : 0), port, FENCE_PREF + 1,
			FENCE_PROTOCOL);
	}
}

void guard_print(const struct options *o, FILE *out)
{
	for (size_t i = 0; i < o->guard_count; i++)
		for (int v4 = 1; v4 >= 0; v4--) {
			print_fence(o, out, v4, o->guard_ports[i]);
			print_rule(o, out, v4, o->guard_ports[i]);
		}
}
