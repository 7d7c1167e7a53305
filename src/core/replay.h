/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcpcopy's engine without its I/O. Captured packets and link messages go in;
 * packets for the target and messages for the links are pulled out. After any
 * event: replay_next_msg() until false (routes must leave before the SYN),
 * then replay_next_packet() until 0, then replay_deadline_us().
 */
#ifndef CORE_REPLAY_H
#define CORE_REPLAY_H

#include "core/ledger.h"
#include "core/mem.h"
#include "core/packet.h"
#include "core/split.h"
#include "core/trace.h"
#include "core/wire.h"

/* One entry of -x. Several entries with one source make several targets. */
struct replay_mapping {
	struct endpoint source; /* addr_is_none(): any address, that port */
	uint32_t target;	/* index of the target */
};

struct replay_target {
	struct endpoint at;
	uint32_t groups;     /* bit g: intercept g sees this target's answers */
	uint32_t own_groups; /* of these, on its host; 0: who is not known */
	unsigned relay_group;  /* intercept that is to inject its packets, */
	uint32_t relay_groups; /* or of these one that has the route */
	/* What a loopback, link-local or own client address becomes. */
	struct ip_addr local_source;
};

#define REPLAY_GROUPS_MAX 32
/* SYNs that are remembered, so that copies of them can be told. */
#define REPLAY_SYNS 4096u

/* Whether answers of the target would get out. others: bit g: intercept g has a
 * guard, of other ports than the target's. */
static inline bool replay_left_out(const struct replay_target *t,
				   uint32_t others)
{
	return t->own_groups ? !(t->own_groups & ~others)
			     : (t->groups & others) != 0;
}

struct replay_config {
	const struct replay_mapping *mappings; /* copied, as all arrays here */
	size_t mapping_count;
	const struct replay_target *targets;
	size_t target_count;
	/* link id = group * links_per_group + number within the group */
	unsigned group_count, links_per_group;
	/* -c: every client appears as one of these; none: as itself */
	const struct addr_range *clients;
	size_t client_count;
	/* Addresses of this host, to be remapped to local_source */
	const struct ip_addr *own_addrs;
	size_t own_addr_count;
	unsigned copies;	 /* 1..1023 */
	unsigned port_slice;	 /* 0..1023 */
	struct split split;	 /* of the ports, among several workers */
	uint32_t port_count;	 /* of each client address; 0: all there are */
	unsigned sample_percent; /* 1..100 */
	size_t memory_bytes;	 /* all of the engine's memory */
	/* Over these, new connections are not copied; 0: no limit. Of all
	 * that is sent in a second at most BUCKET_RATE_MAX. */
	uint32_t max_sessions;
	uint64_t max_packets, max_bits;
	bool live;	    /* what is sent may be captured again: see to it */
	uint16_t mtu_bytes; /* largest packet to a target */
	uint16_t mss_bytes; /* largest payload, 0: as the MTU allows */
	uint64_t timeout_us, idle_us, max_hold_us;
	bool resend; /* turns thrown away by a closing target */
	bool relay;  /* packets go by the links, see replay_packet_link() */
	/* And may be so large, with several segments of one turn in them,
	 * unless mss_bytes is set. Less than mtu_bytes: as that says. */
	uint16_t relay_bytes;
	struct hash_key hash_key;
	/* REPLAY_SYNS words, 0 at first, that workers share; kept. NULL: this
	 * engine is the only one. */
	uint64_t *syns;
	/* The client whose connections are traced, port 0: any of its; none:
	 * addr_is_none() */
	struct endpoint trace;
};

/* Things a user should be told once, as they happen. */
enum replay_notice_type {
	NOTICE_NO_RESPONSE,    /* 5 s after the first SYN to a target */
	NOTICE_FIRST_RESPONSE, /* the target answers: held sessions go */
	NOTICE_TLS,
	NOTICE_MEMORY,
	NOTICE_NO_TUPLE,
	NOTICE_UNGUARDED, /* an intercept does not vouch: nothing is sent */
	NOTICE_PORT_UNGUARDED, /* its guard has other ports: nothing is sent */
	NOTICE_GUARDED,	       /* all guards of its port stand again */
	NOTICE_MAX_SESSIONS,
	NOTICE_MAX_RATE,
	NOTICE_MAX_CPU,
	NOTICE_LOOP /* packets of ours are captured as if from clients */
};

struct replay_notice {
	enum replay_notice_type type;
	uint32_t target;
};

struct replay;

/* NULL: no memory, or memory_bytes is too small for one session. */
struct replay *replay_new(const struct replay_config *cfg,
			  const struct mem *mem, uint64_t now_us);
void replay_free(struct replay *r, const struct mem *mem);
/* Gives back memory for connections and for what is under way, of which much
 * less has been needed lately. To be called now and then, always after about
 * the same time: each call looks at another part of it, and what has been
 * needed within the last REPLAY_TRIMS calls stays. */
#define REPLAY_TRIMS 6u
void replay_trim(struct replay *r, const struct mem *mem);

/* Captured packets, at most REPLAY_PACKETS, borrowed for the call; what they
 * need is fetched into the cache together. */
#define REPLAY_PACKETS 16u
void replay_on_packets(struct replay *r, const struct packet_bytes *packets,
		       size_t count, uint64_t now_us);
/* A message from a link that is up. */
void replay_on_msg(struct replay *r, unsigned link_id,
		   const struct wire_msg *msg, uint64_t now_us);
/* Several responses, at most REPLAY_RESPONSES; what they need is fetched into
 * the cache together. */
#define REPLAY_RESPONSES 16u
void replay_on_responses(struct replay *r, const struct wire_response *resps,
			 size_t count, uint64_t now_us);
/* Before it comes up: of which clients' ports its intercept is to know the
 * sessions. It gets no answers of others. */
void replay_set_ports(struct replay *r, unsigned link_id,
		      const struct split *ports);
void replay_on_link(struct replay *r, unsigned link_id, bool up,
		    uint64_t now_us);
/* A link that is up has not answered for a while, but another one to the same
 * intercept has; or it answers again. */
void replay_on_link_silence(struct replay *r, unsigned link_id, bool silent,
			    uint64_t now_us);
void replay_on_timer(struct replay *r, uint64_t now_us);
/* The capture is at its end (a file): no more packets will come; connections
 * that the capture left open end as if reset once their turns are done. */
void replay_on_capture_end(struct replay *r, uint64_t now_us);
/* While on, no new connection is copied (they are lost for LOSS_LIMIT). */
void replay_set_shedding(struct replay *r, bool on);
/* Ends every session with an RST, which the next replay_next_packet() calls
 * give out. */
void replay_shutdown(struct replay *r, uint64_t now_us);

/* One whole L3 packet into slot; 0: nothing to send. slot_cap >= mtu_bytes, and
 * with relay >= relay_bytes. */
size_t replay_next_packet(struct replay *r, uint8_t *slot, size_t slot_cap,
			  uint64_t now_us);
/* With relay: the link by which the last packet is to go, that of its route. */
unsigned replay_packet_link(const struct replay *r);
/* And the one by which the next packet will go, if the first that may have one
 * has one; -1: none can be told. */
int replay_packet_link_guess(const struct replay *r);
/* From now on packets go by the links, or no longer. Targets that have not
 * answered have time to do so anew. */
void replay_set_relay(struct replay *r, bool relay, uint64_t now_us);
/* With relay: the link takes packets, or not now. While it does not, its
 * sessions send nothing, and none of them takes the silence for a loss. */
void replay_on_link_room(struct replay *r, unsigned link_id, bool room);
bool replay_next_msg(struct replay *r, unsigned *link_id, struct wire_msg *msg);
bool replay_next_notice(struct replay *r, struct replay_notice *notice);
/* What a traced connection has gone through. *missed: events that were too
 * many, since the last call. */
bool replay_next_trace(struct replay *r, struct trace_event *event,
		       uint64_t *missed);
uint64_t replay_deadline_us(const struct replay *r);
/* Of what there is for bytes and turns that are not copied yet, half is used.
 */
bool replay_is_half_full(const struct replay *r);

const struct ledger *replay_ledger(const struct replay *r);
/* Connections being followed, and copies of them that are not over (those of
 * connections not joined yet included). */
uint32_t replay_flows(const struct replay *r);
uint32_t replay_sessions(const struct replay *r);

#endif
