/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * intercept's engine without its I/O: every packet that the queue delivers
 * gets a verdict; the header of an answer goes to the link of the session's
 * owner. Router, verdict policy and the ring of early answers are its parts.
 */
#ifndef CORE_DIVERT_H
#define CORE_DIVERT_H

#include "core/mem.h"
#include "core/packet.h"
#include "core/segment.h"
#include "core/verdict.h"
#include "core/wire.h"

#define DIVERT_EARLY_US	    100000u /* an answer waits this long for a route */
#define DIVERT_OWNERLESS_US 30000000u /* routes live on without any link */

/* key in JSON, what it counts */
#define DIVERT_COUNTERS(X)                                                     \
	X(packets, "packets that the queue delivered")                         \
	X(accepted, "let out: destination is on the passlist")                 \
	X(routed, "dropped here, header sent to a link")                       \
	X(early, "dropped here, header kept for a route still to come")        \
	X(unrouted, "dropped here, nobody's session")                          \
	X(malformed, "dropped here, not a TCP packet we can read")             \
	X(no_link, "dropped here, owner has no link at the moment")            \
	X(merged, "of the routed ones, in one header with those before")       \
	X(early_delivered, "of the early ones, sent when the route came")      \
	X(early_expired, "of the early ones, no route came in time")           \
	X(routes_added, "routes registered")                                   \
	X(routes_deleted, "routes deregistered by their owner")                \
	X(routes_expired, "routes given up with their owner")                  \
	X(routes_untold, "routes that their owner did not tell again")         \
	X(routes_refused, "refused: the tuple has another owner")              \
	X(routes_full, "refused: table full, or its share of it")              \
	X(local_sessions, "sessions whose long answers are acknowledged here") \
	X(local_acks, "ACKs made here, injected or not")                       \
	X(relayed, "packets of sessions that came by links, injected or not")  \
	X(relay_malformed, "not injected: not a plain TCP packet")             \
	X(relay_unserved, "not injected: to a port not named by --relay")      \
	X(relay_unrouted, "not injected: not of a session of that tcpcopy")

struct divert_counters {
#define X(name, text) uint64_t name;
	DIVERT_COUNTERS(X)
#undef X
};

struct divert_config {
	const struct addr_prefix *passlist; /* copied */
	size_t passlist_count;
	const uint16_t *relay_ports; /* copied; none: nothing is injected */
	size_t relay_port_count;
	uint32_t routes_max;
	uint32_t links_max;  /* link ids are below this */
	uint32_t locals_max; /* sessions acknowledged here, at once */
	struct hash_key hash_key;
};

/* As delivered by the queue. */
struct divert_packet {
	struct packet_bytes bytes;
	uint32_t out_ifindex; /* by which it would have left; nothing to us */
};

/* Packets that wait for memory together. */
#define DIVERT_AT_ONCE 16u

struct divert;

/* NULL: no memory. */
struct divert *divert_new(const struct divert_config *cfg,
			  const struct mem *mem, uint64_t now_us);
void divert_free(struct divert *d, const struct mem *mem);

/* One after the other, at most DIVERT_AT_ONCE; verdicts[i] is that of
 * packets[i]. */
void divert_on_packets(struct divert *d, const struct divert_packet *packets,
		       unsigned count, uint64_t now_us, enum verdict *verdicts);
/* A link came up (its HELLO is in) or went down. false: too many instances;
 * it can do nothing, and is to be closed. */
bool divert_on_link_up(struct divert *d, unsigned link_id, uint64_t instance,
		       uint64_t now_us);
/* The tcpcopy of a link that is up knows WIRE_LOCAL. */
void divert_allow_local_acks(struct divert *d, unsigned link_id);
void divert_on_link_down(struct divert *d, unsigned link_id, uint64_t now_us);
/* A message from a link that is up, but a RELAY. */
void divert_on_msg(struct divert *d, unsigned link_id,
		   const struct wire_msg *msg, uint64_t now_us);
/* A RELAY from a link that is up. true: it may be injected, as far as we can
 * say: its ends are in *ends. That the target is an address of this host, and
 * the client is not, is for the caller to see. */
bool divert_on_relay(struct divert *d, unsigned link_id,
		     const struct wire_relay *relay, uint64_t now_us,
		     struct four_tuple *ends);
void divert_on_timer(struct divert *d, uint64_t now_us);
uint64_t divert_deadline_us(const struct divert *d);
/* The next message to send; call until false after each batch of events. No
 * message is ever lost in here, and room is bounded: a caller that lets more
 * than DIVERT_BATCH packets and messages go in between is wrong, and is
 * stopped. */
#define DIVERT_BATCH 256
bool divert_next_msg(struct divert *d, unsigned *link_id, struct wire_msg *msg);
/* The next ACK to inject, with the same questions as for a RELAY; behind the
 * messages, until false. One that is not injected does no harm. */
bool divert_next_ack(struct divert *d, struct segment *ack);

const struct divert_counters *divert_counters(const struct divert *d);
/* Routes registered now. */
uint32_t divert_routes(const struct divert *d);

#endif
