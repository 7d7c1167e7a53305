/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which client address and port a copy has towards its target. No two live
 * sessions share one; a tuple that was used is remembered for a while, with
 * the sequence number that its next SYN must exceed.
 */
#ifndef CORE_TUPLES_H
#define CORE_TUPLES_H

#include "core/addr.h"
#include "core/pool.h"
#include "core/tuple_ports.h"

#define TUPLES_LINGER_US 65000000u
/* What one tuple may cost, whatever the others are. */
#define TUPLES_EACH_BYTES 92u

struct tuples;

struct tuples_config {
	uint32_t count; /* live and remembered ones together */
	unsigned port_slice;
	uint32_t port_count;	      /* of each address; 0: all there are */
	const uint16_t *barred_ports; /* borrowed for the table's life */
	size_t barred_port_count;
	struct split split; /* other workers' ports are never taken */
	struct hash_key hash_key;
};

/* A tuple that has been taken. */
struct tuple_claim {
	uint32_t id;	  /* POOL_NONE: none */
	bool used_before; /* then the new SYN must be above snd_nxt */
	uint32_t snd_nxt;
};

struct tuples *tuples_new(const struct tuples_config *cfg,
			  const struct mem *mem);
void tuples_free(struct tuples *t, const struct mem *mem);

/* Takes exactly this one, unless a live session has it, or its port is another
 * worker's. */
struct tuple_claim tuples_claim(struct tuples *t, uint32_t target,
				const struct endpoint *client, uint64_t now_us);
/* Takes a free one of these addresses: one never used, or whose linger is over;
 * else the one that has lingered longest. refusals: how many tuples in a row
 * have turned out to be another process's. */
struct tuple_claim tuples_find(struct tuples *t, uint32_t target,
			       const struct addr_range *addrs,
			       size_t addr_count, unsigned refusals,
			       uint64_t now_us);
/* The SYN that now goes from there has this number. */
void tuples_note_syn(struct tuples *t, uint32_t id, uint32_t iss);
/* Whether the last SYN from this endpoint had this number; as long as it is
 * live or remembered. */
bool tuples_has_sent(const struct tuples *t, uint32_t target,
		     const struct endpoint *client, uint32_t iss);
/* Ends the session's use; remembers what the target's next SYN must exceed. */
void tuples_release(struct tuples *t, uint32_t id, uint32_t snd_nxt,
		    uint64_t now_us);
/* Another process owns this one: not to be taken until its linger is over. */
void tuples_bar(struct tuples *t, uint32_t id, uint64_t now_us);

struct endpoint tuples_client(const struct tuples *t, uint32_t id);

#endif
