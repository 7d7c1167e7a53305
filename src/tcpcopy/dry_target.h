/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The target of --dry-run: takes every packet at once, in order and without
 * loss, and answers as a server and its intercept would: SYN with SYN-ACK, the
 * end of each turn with a small answer, FIN with FIN.
 */
#ifndef TCPCOPY_DRY_TARGET_H
#define TCPCOPY_DRY_TARGET_H

#include "core/mem.h"
#include "core/wire.h"

#define DRY_ANSWER_BYTES 128u
/* Packets that may be given to it before its answers are taken. */
#define DRY_BATCH 256u

struct dry_target;

/* memory_bytes are for its connections; one for which there is no room gets no
 * answer. NULL: no memory. */
struct dry_target *dry_target_new(const struct mem *mem,
				  const struct hash_key *key,
				  size_t memory_bytes);
void dry_target_free(struct dry_target *d, const struct mem *mem);
/* Messages as they would go to intercept. */
void dry_target_on_msg(struct dry_target *d, const struct wire_msg *msg);
void dry_target_on_packet(struct dry_target *d, const uint8_t *l3, size_t len);
/* Answers, in order. */
bool dry_target_next_msg(struct dry_target *d, struct wire_msg *msg);

#endif
