// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A packet that comes by a link may be injected if it is a plain TCP packet to
 * a port that is served, and of a session that the link's own instance has
 * registered: nobody can say anything in another's name. If the session's long
 * answers are acknowledged here, what passes is looked at for what is known of
 * it.
 */
#include "core/divert_internal.h"

static bool serves(const struct divert *d, uint16_t port)
{
	for (size_t i = 0; i < d->relay_port_count; i++)
		if (d->relay_ports[i] == port)
			return true;
	return false;
}

/* What IPv6 calls an IPv4-mapped address is no address of an IPv6 packet. */
static bool is_of_its_family(const uint8_t *l3, const struct four_tuple *ends)
{
	bool v4 = l3[0] >> 4 == 4;

	return addr_is_v4(&ends->src.addr) == v4 &&
	       addr_is_v4(&ends->dst.addr) == v4;
}

/* It will have come to the target before anything of ours that is about it. */
static void note_passing(struct divert *d, const struct segment *seg,
			 const struct router_hit *hit, uint64_t now_us)
{
	if (seg->flags & TCP_SYN && seg->seq == hit->iss)
		router_set_mss(hit->route, seg->opts.mss_bytes);
	if (hit->local == POOL_NONE)
		return;
	if (seg->flags & (TCP_SYN | TCP_RST))
		divert_end_local(d, hit);
	else
		locals_pass(&d->locals, hit->local, seg, now_us);
}

bool divert_on_relay(struct divert *d, unsigned link_id,
		     const struct wire_relay *relay, uint64_t now_us,
		     struct four_tuple *ends)
{
	struct router_hit hit;
	struct segment seg;

	if (!packet_is_plain(relay->l3, relay->len) ||
	    packet_parse(&seg, relay->l3, relay->len, relay->len) !=
		    PACKET_OK ||
	    !is_of_its_family(relay->l3, &seg.tuple)) {
		d->counters.relay_malformed++;
		return false;
	}
	if (!serves(d, seg.tuple.dst.port)) {
		d->counters.relay_unserved++;
		return false;
	}
	if (!router_owns(d->router, link_id, &seg.tuple, &hit)) {
		d->counters.relay_unrouted++;
		return false;
	}
	d->counters.relayed++;
	note_passing(d, &seg, &hit, now_us);
	*ends = seg.tuple;
	return true;
}
