// SPDX-License-Identifier: BSD-2-Clause
#include "tcpcopy/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/workers.h"
#include "io/capture_live.h"
#include "io/link_client.h"
#include "io/way.h"
#include "tcpcopy/host.h"

/* What an engine needs at least for its tables. */
#define ENGINE_MIN_BYTES (1u << 20)
/* The program itself: code, libraries, the filter's compiler, reports. About 4
 * MiB were measured on Debian 12. */
#define PROGRAM_BYTES (6u << 20)
/* A link has frames half read and half written besides its output. */
#define LINK_BYTES (LINK_CLIENT_TX_BYTES + (256u << 10))
/* Packets of the senders' batches: frames, and raw packets. */
#define SENDER_SLOTS 128u
/* Largest packet by the links: with what the target's kernel puts around it no
 * more than 32 KiB. It needs that in one piece, and finds larger ones with more
 * and more effort. */
#define RELAY_PACKET_BYTES 32000u
/* A dry run's target has as many connections as the engine, and needs less for
 * each than this part of what the engine needs. */
#define DRY_SHARE     16
#define BUFFER_MAX_MB 32

static int bad_input(struct opts_fault *fault, const char *text)
{
	opts_fail(fault, "%s", text);
	return OPTS_EXIT_BAD_INPUT;
}

static bool group_of(struct plan *p, const struct endpoint *intercept,
		     unsigned *group)
{
	for (*group = 0; *group < p->replay.group_count; ++*group)
		if (endpoint_equal(&p->intercepts[*group], intercept))
			return true;
	if (*group == REPLAY_GROUPS_MAX)
		return false;
	p->intercepts[p->replay.group_count++] = *intercept;
	return true;
}

/* Without -s every target's address has its own intercept, with a worker at
 * each port of -p. */
static bool groups_of(struct plan *p, const struct tcpcopy_options *o,
		      const struct ip_addr *addr, uint32_t *groups)
{
	struct endpoint at = {.addr = *addr};
	unsigned group;

	*groups = 0;
	for (unsigned port = o->port; port <= o->port_last; port++) {
		at.port = (uint16_t)port;
		if (!group_of(p, &at, &group))
			return false;
		*groups |= 1u << group;
	}
	return true;
}

static uint32_t all_groups(size_t count)
{
	return count >= 32 ? UINT32_MAX : (1u << count) - 1;
}

/* An intercept at a target's own address is on its host. */
static void plan_hosts(struct plan *p)
{
	for (size_t i = 0; i < p->replay.target_count; i++)
		for (unsigned g = 0; g < p->replay.group_count; g++)
			if (addr_equal(&p->intercepts[g].addr,
				       &p->targets[i].at.addr))
				p->targets[i].own_groups |= 1u << g;
}

static int plan_groups(struct plan *p, const struct tcpcopy_options *o,
		       struct opts_fault *fault)
{
	p->replay.links_per_group = o->links;
	if (o->dry_run) {
		p->replay.group_count = p->replay.links_per_group = 1;
		for (size_t i = 0; i < o->transfer.target_count; i++)
			p->targets[i].groups = 1;
		return 0;
	}
	memcpy(p->intercepts, o->intercepts, sizeof(p->intercepts));
	p->replay.group_count = (unsigned)o->intercept_count;
	for (size_t i = 0; i < o->transfer.target_count; i++) {
		p->targets[i].groups = all_groups(o->intercept_count);
		if (o->intercept_count)
			continue;
		if (!groups_of(p, o, &o->transfer.targets[i].addr,
			       &p->targets[i].groups))
			return bad_input(fault, "-x: targets on at most 32 "
						"addresses, or fewer if -p has "
						"several ports");
	}
	return 0;
}

static uint32_t groups_at(const struct plan *p, const struct ip_addr *addr)
{
	uint32_t groups = 0;

	for (unsigned g = 0; g < p->replay.group_count; g++)
		if (addr_equal(&p->intercepts[g].addr, addr))
			groups |= 1u << g;
	return groups;
}

unsigned plan_workers_at(const struct plan *p, const struct ip_addr *addr)
{
	return (unsigned)__builtin_popcount(groups_at(p, addr));
}

/* The nth of them. */
static unsigned group_at(const struct plan *p, const struct ip_addr *addr,
			 unsigned n)
{
	unsigned g = 0;

	while (!addr_equal(&p->intercepts[g].addr, addr) || n-- > 0)
		g++;
	return g;
}

/* Where all of these intercepts are, NULL: at several addresses. */
static const struct ip_addr *one_address(const struct plan *p, uint32_t groups)
{
	const struct ip_addr *addr =
		&p->intercepts[(unsigned)__builtin_ctz(groups)].addr;

	for (unsigned g = 0; g < p->replay.group_count; g++)
		if (groups >> g & 1 &&
		    !addr_equal(&p->intercepts[g].addr, addr))
			return NULL;
	return addr;
}

/* Packets by the links go to one intercept: the only one, or one at the
 * target's own address or at the only one that there is, where each of our
 * workers takes another if it can. The first target that has none, NULL: all
 * have one. */
static const struct endpoint *plan_relay(struct plan *p)
{
	unsigned index = p->replay.split.index;

	for (size_t i = 0; i < p->replay.target_count; i++) {
		struct replay_target *t = &p->targets[i];
		unsigned only = (unsigned)__builtin_ctz(t->groups);
		const struct ip_addr *addr = one_address(p, t->groups);
		unsigned n;

		if (t->groups == 1u << only) {
			t->relay_group = only;
			continue;
		}
		if (!addr)
			addr = &t->at.addr;
		n = plan_workers_at(p, addr);
		if (n == 0)
			return &t->at;
		t->relay_group = group_at(p, addr, index % n);
		t->relay_groups = groups_at(p, addr);
	}
	return NULL;
}

/* There intercept injects nothing. */
static bool some_on_loopback(const struct plan *p)
{
	for (size_t i = 0; i < p->replay.target_count; i++)
		if (addr_is_loopback(&p->targets[i].at.addr))
			return true;
	return false;
}

/* Whether packets can go by the links is for the intercepts to say. */
static int plan_path(struct plan *p, const struct tcpcopy_options *o,
		     struct opts_fault *fault)
{
	const struct endpoint *nobody = plan_relay(p);
	char text[ENDPOINT_TEXT_MAX];

	if (nobody && p->replay.relay) {
		opts_fail(fault,
			  "--path relay: several intercepts (-s), and none of "
			  "them at the address of target %s",
			  endpoint_text(nobody, text));
		return OPTS_EXIT_BAD_INPUT;
	}
	p->may_relay =
		p->replay.relay || (o->path == PATH_AUTO && !o->dry_run &&
				    !nobody && !some_on_loopback(p));
	if (p->may_relay && p->replay.mtu_bytes > WIRE_RELAY_MAX)
		p->replay.mtu_bytes = WIRE_RELAY_MAX;
	p->replay.relay_bytes = RELAY_PACKET_BYTES > p->replay.mtu_bytes
					? RELAY_PACKET_BYTES
					: p->replay.mtu_bytes;
	return 0;
}

static const struct ip_addr *local_option(const struct tcpcopy_options *o,
					  const struct endpoint *target)
{
	const struct ip_addr *a =
		addr_is_v4(&target->addr) ? &o->local_v4 : &o->local_v6;

	return addr_is_none(a) ? NULL : a;
}

static int plan_target(struct plan *p, const struct tcpcopy_options *o,
		       size_t i, struct opts_fault *fault)
{
	const struct endpoint *at = &o->transfer.targets[i];
	const struct ip_addr *local = local_option(o, at);
	struct way way = {.source = at->addr, .mtu_bytes = 65535};
	char text[ENDPOINT_TEXT_MAX];
	int rc = way_to(at, &way);

	/* What is not sent needs no way. */
	if (rc && !o->dry_run) {
		opts_fail(fault, "no way to target %s: %s",
			  endpoint_text(at, text), strerror(-rc));
		return OPTS_EXIT_ENVIRONMENT;
	}
	p->targets[i].at = *at;
	p->targets[i].local_source = local ? *local : way.source;
	/* What travels inside a link is cut by the link. */
	if (!p->replay.relay && way.mtu_bytes < p->replay.mtu_bytes)
		p->replay.mtu_bytes = (uint16_t)way.mtu_bytes;
	return 0;
}

/* Of so much memory, this process's part. */
static size_t own_bytes(const struct tcpcopy_options *o, size_t memory_mb)
{
	size_t all = memory_mb << 20;

	if (o->split.count < 2)
		return all;
	return all < WORKERS_HEAD_BYTES
		       ? 0
		       : (all - WORKERS_HEAD_BYTES) / o->split.count;
}

static size_t buffer_bytes(const struct tcpcopy_options *o, size_t memory_mb)
{
	unsigned workers = o->split.count ? o->split.count : 1;
	size_t devices = o->device_count ? o->device_count : 1;
	size_t least = devices * CAPTURE_BUFFER_MIN_BYTES, mb = o->buffer_mb;

	if (o->file)
		return 0;
	if (!mb)
		mb = memory_mb / 8 < BUFFER_MAX_MB ? memory_mb / 8
						   : BUFFER_MAX_MB;
	return (mb << 20) / workers < least ? least : (mb << 20) / workers;
}

/* Of so much memory, what is not the engine's or the dry target's. */
static size_t taken_bytes(const struct plan *p, const struct tcpcopy_options *o,
			  size_t memory_mb)
{
	size_t links = (size_t)p->replay.group_count * o->links;

	return PROGRAM_BYTES + (size_t)SENDER_SLOTS * p->replay.mtu_bytes +
	       buffer_bytes(o, memory_mb) +
	       (o->dry_run ? 0 : links) * LINK_BYTES;
}

int plan_memory(struct plan *p, const struct tcpcopy_options *o,
		struct opts_fault *fault)
{
	size_t least = o->memory_mb, left;

	while (own_bytes(o, least) <
	       taken_bytes(p, o, least) + ENGINE_MIN_BYTES)
		least++;
	if (least > o->memory_mb) {
		opts_fail(fault,
			  "-m %u: must be at least %zu with this --buffer "
			  "and these links%s",
			  o->memory_mb, least,
			  o->split.count > 1 ? " of so many workers" : "");
		return OPTS_EXIT_BAD_INPUT;
	}
	p->buffer_bytes = buffer_bytes(o, o->memory_mb);
	left = own_bytes(o, o->memory_mb) - taken_bytes(p, o, o->memory_mb);
	p->dry_target_bytes = o->dry_run ? left / DRY_SHARE : 0;
	p->replay.memory_bytes = left - p->dry_target_bytes;
	return 0;
}

static bool is_own(const struct plan *p, const struct ip_addr *a)
{
	if (addr_is_loopback(a))
		return true;
	for (size_t i = 0; i < p->own_addr_count; i++)
		if (addr_equal(a, &p->own_addrs[i]))
			return true;
	return false;
}

static int plan_sources(struct plan *p, const struct tcpcopy_options *o,
			struct opts_fault *fault)
{
	const struct endpoint *loop =
		transfer_loop(&o->transfer, p->own_addrs, p->own_addr_count);
	char text[ENDPOINT_TEXT_MAX];

	if (loop && !o->file) {
		opts_fail(fault,
			  "-x: target %s is copied itself: that would be a "
			  "loop; a target must be another server",
			  endpoint_text(loop, text));
		return OPTS_EXIT_BAD_INPUT;
	}
	for (size_t i = 0; i < o->transfer.mapping_count; i++) {
		const struct ip_addr *a = &o->transfer.mappings[i].source.addr;

		if (!addr_is_none(a) && !is_own(p, a))
			p->mirror = true;
	}
	return 0;
}

static void copy_options(struct plan *p, const struct tcpcopy_options *o)
{
	p->replay = (struct replay_config){
		.mappings = o->transfer.mappings,
		.mapping_count = o->transfer.mapping_count,
		.targets = p->targets,
		.target_count = o->transfer.target_count,
		.clients = o->clients.ranges,
		.client_count = o->clients.count,
		.copies = o->copies,
		.port_slice = o->port_slice,
		.sample_percent = o->sample_percent,
		.split = o->split,
		.max_sessions =
			(uint32_t)split_part(&o->split, o->max_sessions),
		.max_packets = split_part(&o->split, o->max_packets),
		.max_bits = split_part(&o->split, o->max_megabits * 1000000),
		.live = !o->file,
		.mtu_bytes = (uint16_t)o->mtu_bytes,
		.mss_bytes = (uint16_t)o->mss_bytes,
		.timeout_us = o->timeout_us,
		.idle_us = o->idle_us,
		.max_hold_us = o->max_hold_us,
		.resend = o->resend,
		.relay = o->path == PATH_RELAY && !o->dry_run,
		.syns = o->syns,
		.trace = o->trace,
	};
	random_bytes(&p->replay.hash_key, sizeof(p->replay.hash_key));
}

int plan_make(struct plan *p, const struct tcpcopy_options *o,
	      struct opts_fault *fault)
{
	int rc;

	memset(p, 0, sizeof(*p));
	copy_options(p, o);
	rc = host_addresses(&p->own_addrs, &p->own_addr_count);
	if (rc) {
		opts_fail(fault, "this host's addresses: %s", strerror(-rc));
		return OPTS_EXIT_ENVIRONMENT;
	}
	p->replay.own_addrs = p->own_addrs;
	p->replay.own_addr_count = p->own_addr_count;
	rc = plan_sources(p, o, fault);
	if (!rc)
		rc = plan_groups(p, o, fault);
	for (size_t i = 0; !rc && i < o->transfer.target_count; i++)
		rc = plan_target(p, o, i, fault);
	plan_hosts(p);
	if (!rc)
		rc = plan_path(p, o, fault);
	return rc ? rc : plan_memory(p, o, fault);
}

bool plan_needs_raw(const struct plan *p, const struct tcpcopy_options *o)
{
	return !o->file || (!o->dry_run && !p->replay.relay);
}

void plan_free(struct plan *p)
{
	free(p->own_addrs);
	p->own_addrs = NULL;
}
