/* SPDX-License-Identifier: BSD-2-Clause */
/* What a seed makes of its world: each fault fully off or at a random rate. */
#ifndef SIM_PROFILE_H
#define SIM_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng;

/* Rates in permille. */
struct fault_rates {
	unsigned loss, dup, reorder;
};

struct profile {
	const char *name;

	/* the load */
	unsigned conversations;
	unsigned spread_us; /* within which they begin */
	unsigned targets, copies, sample_percent;
	bool listed_clients;
	unsigned late_join; /* permille of the conversations */
	unsigned tls, server_first, ipv6, uploads, pipelined, reuse;
	unsigned local_clients;
	unsigned hosts;	 /* of the clients */
	unsigned ports;	 /* of each host, for clients and copies; 0: all */
	bool short_ones; /* connections of a request or two */
	unsigned captured_again; /* permille of the segments */
	bool noise;		 /* other packets are captured as well */

	/* the ways */
	struct fault_rates capture, net, queue;
	unsigned net_delay_us, link_delay_us;
	unsigned link_resets, link_stalls, intercept_restarts;
	unsigned tcpcopy_restarts;
	bool guarded;	   /* intercept vouches for rule and fence, mostly */
	unsigned outages;  /* all links are down for a long time */
	unsigned squatted; /* permille of tuples that another tcpcopy owns */
	unsigned stolen;   /* and that it owns after a restart of intercept */

	/* the target */
	unsigned closing; /* permille of connections that it closes early */
	unsigned resetting;
	unsigned slow, silent, shorter, longer;
	unsigned small_windows, zero_windows;
	unsigned refusing;	  /* refuses everything for a while */
	unsigned old_connections; /* tuples still in use or in TIME_WAIT */

	/* tcpcopy */
	unsigned groups; /* intercepts; target i is seen by i % groups, */
	bool by_port;	 /* or all by both, workers of one, by core/split.h */
	unsigned links_per_group;
	bool relay;	      /* packets go by the links */
	unsigned relay_bytes; /* the largest of them */
	bool local_acks;      /* intercept acknowledges long answers */
	unsigned lo_bytes;    /* MTU of the device that they arrive by */
	size_t memory_bytes;
	uint64_t timeout_us, idle_us, max_hold_us;
	unsigned max_sessions, max_packets, max_bits; /* 0: no limit */
	unsigned shedding;			      /* permille of the time */
	bool resend;
	bool shutdown;	  /* ended in the middle */
	bool capture_end; /* the capture ends, as a file does */

	/* What must come of it. */
	bool short_of_memory;
	bool limited;	/* some connections are left out for a limit */
	bool exact;	/* every turn of every connection is delivered once */
	bool prompt;	/* and answered in time: none leaves before that */
	bool scarce;	/* but for copies that no tuple is left for */
	bool quiet_net; /* no packet is lost or late between engine and target
			 */
};

/* NULL: there is none of that name. */
const char *const *profile_names(void);
/* name NULL: the seed chooses. false: unknown. */
bool profile_make(struct profile *p, const char *name, struct rng *r);
/* The load without what makes it hard to copy. */
void profile_calm(struct profile *p);

#endif
