// SPDX-License-Identifier: BSD-2-Clause
#include <linux/capability.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/count.h"
#include "base/privileges.h"
#include "check/route.h"
#include "io/sockaddr.h"
#include "io/way.h"
#include "tcpcopy/check.h"

/* The kernel asks for a MAC once a second. */
#define RESOLVE_US	1500000u
#define RESOLVE_STEP_US 20000u

/* In the order in which a copy meets them. */
static const struct rules_place out_places[] = {
	{"raw", "OUTPUT"},	{"mangle", "OUTPUT"},
	{"nat", "OUTPUT"},	{"filter", "OUTPUT"},
	{"security", "OUTPUT"}, {"mangle", "POSTROUTING"},
	{"nat", "POSTROUTING"},
};

/* How they go there, in words. */
static char *path_text(const struct tcpcopy_doctor *d, size_t target,
		       const char *device, char buf[NEXT_HOP_TEXT_MAX])
{
	const struct ip_addr *to = &d->o->transfer.targets[target].addr;
	enum tcpcopy_path path = doctor_path(d, target);

	if (path == PATH_RELAY)
		snprintf(buf, NEXT_HOP_TEXT_MAX, "inside the links");
	else if (path == PATH_LINK && d->hops)
		next_hop_text(next_hops_find(d->hops, to), buf);
	else
		snprintf(buf, NEXT_HOP_TEXT_MAX, "raw packets by %s", device);
	return buf;
}

static bool takes_frames(const struct tcpcopy_doctor *d,
			 const struct ip_addr *to)
{
	return d->hops && next_hop_takes_frames(next_hops_find(d->hops, to));
}

/* ---- the next hop ---- */

/* Has the kernel ask for its MAC: an empty datagram of this host's own. */
static bool send_datagram(const struct endpoint *target)
{
	struct sockaddr_storage sa;
	socklen_t len = sockaddr_from_endpoint(&sa, target);
	int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool sent;

	if (fd < 0)
		return false;
	sent = sendto(fd, "", 0, 0, (struct sockaddr *)&sa, len) == 0;
	close(fd);
	return sent;
}

static void on_changed(void *ctx, const struct next_hop *before,
		       const struct next_hop *now)
{
	(void)ctx;
	(void)before;
	(void)now;
}

/* Its state, once there was time to ask for its MAC; sent: it was asked for. */
static enum next_hop_state resolve(const struct tcpcopy_doctor *d,
				   const struct endpoint *target, bool *sent)
{
	const struct next_hop *hop = next_hops_find(d->hops, &target->addr);
	uint64_t end_us = clock_us() + RESOLVE_US;

	*sent = hop->state == NEXT_HOP_UNRESOLVED && send_datagram(target);
	while (*sent && hop->state == NEXT_HOP_UNRESOLVED &&
	       clock_us() < end_us) {
		clock_sleep_us(RESOLVE_STEP_US);
		next_hops_update(d->hops, on_changed, NULL);
	}
	return hop->state;
}

/* Whatever is sent there, frames or raw packets, the kernel throws away. */
static bool say_unresolved(struct check *c, const struct tcpcopy_doctor *d,
			   size_t i)
{
	const char *fix = "is it up, and in this network? (ip neigh, ip route)";
	const struct endpoint *target = &d->o->transfer.targets[i];
	char text[ENDPOINT_TEXT_MAX], path[NEXT_HOP_TEXT_MAX];
	bool sent;

	if (!d->hops || doctor_path(d, i) == PATH_RELAY ||
	    resolve(d, target, &sent) != NEXT_HOP_UNRESOLVED)
		return false;
	endpoint_text(target, text);
	next_hop_text(next_hops_find(d->hops, &target->addr), path);
	if (sent)
		check_fail(c, fix,
			   "nothing reaches target %s: %s, nobody has that "
			   "address there",
			   text, path);
	else
		check_warn(c, fix,
			   "whether target %s can be reached is not known: %s",
			   text, path);
	return true;
}

/* ---- the way ---- */

static void look_at_way(struct check *c, const struct tcpcopy_doctor *d,
			size_t i)
{
	const struct endpoint *target = &d->o->transfer.targets[i];
	char path[NEXT_HOP_TEXT_MAX];
	char text[ENDPOINT_TEXT_MAX], name[IF_NAMESIZE] = "?";
	struct way way;
	int device = route_device(&target->addr);
	int rc = way_to(target, &way);

	endpoint_text(target, text);
	if (device > 0)
		if_indextoname((unsigned)device, name);
	if (rc < 0)
		check_fail(c, "ip route add, for this address",
			   "no way to target %s: %s", text, strerror(-rc));
	else if (say_unresolved(c, d, i))
		return;
	else if (d->o->path == PATH_LINK && !takes_frames(d, &target->addr))
		check_fail(c, "--path raw", "target %s takes no frames: %s",
			   text, path_text(d, i, name, path));
	else if (d->o->given['M'] && way.mtu_bytes < d->o->mtu_bytes)
		check_warn(c, "a smaller -M, or a larger MTU",
			   "to target %s by %s only packets of %u bytes can "
			   "go: -M %u has no effect",
			   text, name, way.mtu_bytes, d->o->mtu_bytes);
	else
		check_ok(c, "to target %s: %s, packets of up to %u bytes", text,
			 path_text(d, i, name, path), way.mtu_bytes);
}

void check_way(struct check *c, void *ctx)
{
	const struct tcpcopy_doctor *d = ctx;

	for (size_t i = 0; !d->o->dry_run && i < d->o->transfer.target_count;
	     i++)
		look_at_way(c, d, i);
}

/* ---- rules ---- */

static bool say_bad_rule(struct check *c, const struct tcpcopy_doctor *d,
			 int flavour, const struct rules_answer *a,
			 const struct endpoint *target)
{
	bool v4 = addr_is_v4(&target->addr);
	const char *tool = rules_tool(&d->rules, v4, flavour);
	char fix[CHECK_TEXT_MAX], at[ENDPOINT_TEXT_MAX];
	char addr[ADDR_TEXT_MAX];

	endpoint_text(target, at);
	if (a->fate == RULES_ADDRESS_CHANGED)
		check_fail(c,
			   check_text(fix,
				      "%s -t raw -I OUTPUT -p tcp -d %s "
				      "--dport %u -j CT --notrack",
				      tool, addr_text(&target->addr, addr),
				      target->port),
			   "copies to %s lose their clients' address: \"%s\" "
			   "(table %s)",
			   at, a->rule, a->table);
	else if (a->fate == RULES_DROPPED && !a->some)
		check_fail(c,
			   check_text(fix,
				      "%s -I OUTPUT -p tcp -d %s --dport "
				      "%u -j ACCEPT",
				      tool, addr_text(&target->addr, addr),
				      target->port),
			   "copies to %s are dropped: \"%s\" (table %s)", at,
			   a->rule, a->table);
	else
		return false;
	return true;
}

static bool is_let_out(struct check *c, const struct tcpcopy_doctor *d,
		       const struct endpoint *target)
{
	int device = route_device(&target->addr);
	char name[IF_NAMESIZE];
	const struct rules_packet packet = {
		.dport = target->port,
		.dst = &target->addr,
		.device = device > 0 ? if_indextoname((unsigned)device, name)
				     : NULL,
	};
	bool fine = true;

	for (int f = 0; f < RULES_FLAVOURS; f++) {
		const struct rules *r =
			d->rules.flavours[!addr_is_v4(&target->addr)][f];
		struct rules_answer a;

		if (!r)
			continue;
		rules_walk(r, out_places, COUNT(out_places), &packet, &a);
		fine &= !say_bad_rule(c, d, f, &a, target);
	}
	return fine;
}

/* Reading them takes more than tcpcopy needs. */
static bool can_read(const struct tcpcopy_doctor *d)
{
	return privileges_have(CAP_NET_ADMIN) &&
	       (d->rules.flavours[0][RULES_NFT] ||
		d->rules.flavours[0][RULES_LEGACY]);
}

void check_output(struct check *c, void *ctx)
{
	const struct tcpcopy_doctor *d = ctx;
	char text[ENDPOINT_TEXT_MAX];

	if (d->o->dry_run)
		return;
	for (size_t i = 0; i < d->o->transfer.target_count; i++) {
		const struct endpoint *t = &d->o->transfer.targets[i];

		if (doctor_path(d, i) != PATH_RAW)
			check_ok(c, "copies to %s go past this host's rules",
				 endpoint_text(t, text));
		else if (!can_read(d))
			check_warn(c,
				   "run the check as root, with iptables "
				   "installed",
				   "the rules that copies to %s meet cannot "
				   "be read",
				   endpoint_text(t, text));
		else if (is_let_out(c, d, t))
			check_ok(c, "no rule drops or changes copies to %s",
				 endpoint_text(t, text));
	}
}
