/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one client has sent: a byte stream in the client's own sequence
 * numbers, ordered, without repeats, marked where turns begin, kept until
 * every copy of the connection has done with it. It is also the online side of
 * each of these copies: `end` is what the client has sent and `last_ack` what
 * it has acknowledged. It knows nothing of the target.
 */
#ifndef CORE_HOLD_H
#define CORE_HOLD_H

#include "core/chain.h"

/* What all holds of an engine keep. */
struct hold_store {
	struct pool stocks, marks;
	struct chain_pool blocks;
};

enum hold_close { HOLD_OPEN, HOLD_FIN, HOLD_RST };

/* A run of bytes that carry one client ACK, from start to the next turn. */
struct hold_turn {
	uint32_t next;	/* mark, or POOL_NONE */
	uint32_t start; /* its first byte */
	/* Server bytes that the client had seen since the turn before. */
	uint32_t need_bytes;
	uint32_t ack;	 /* the client's, with its first byte */
	uint32_t gap_us; /* client's pause before it */
	uint64_t at_us;	 /* when its first byte was captured */
};

/* What it needs while it keeps anything is its stock; most connections keep
 * nothing most of the time. */
struct hold {
	uint32_t end;	   /* of what has come without a hole */
	uint32_t stock;	   /* in the store, or POOL_NONE: keeps nothing */
	uint32_t last_ack; /* client's, highest so far */
	uint32_t close_seq, close_ack, close_gap_us;
	uint64_t last_us; /* when the last bytes came */
	uint8_t close;	  /* enum hold_close; counts once end == close_seq */
	bool ack_known;	  /* last_ack means something */
	bool in_turn;	  /* a turn has begun */
	bool pushed;	  /* the last bytes had PSH */
	bool has_hole;	  /* bytes beyond one are kept */
};

/* What an insertion did. */
struct hold_growth {
	uint32_t bytes, turns; /* added without a hole before them */
	uint32_t splits; /* of the turns, begun while the client was writing */
	bool full;	 /* nothing was taken: no memory */
	bool stray;	 /* nothing was taken: too far from what is here */
	bool repeated;	 /* nothing was new */
};

/* Islands that were thrown away. */
struct hold_loss {
	uint32_t bytes, turns;
	uint32_t end; /* where the client has got to */
};

/* Bytes further ahead than this are not taken. */
#define HOLD_AHEAD_MAX (8u << 20)
/* A block with its link, and a stock for a hold that has no other. */
#define HOLD_EACH_BYTES (CHAIN_BLOCK_BYTES + CHAIN_LINK_BYTES + 64u)

bool hold_store_init(struct hold_store *st, const struct mem *mem,
		     uint32_t blocks, uint32_t marks);
void hold_store_fini(struct hold_store *st, const struct mem *mem);

/* At least half of what there is for bytes or for marks is taken. */
bool hold_store_is_half_full(const struct hold_store *st);

/* Empty; the first byte will be seq. */
void hold_init(struct hold *h, uint32_t seq);
void hold_fini(struct hold *h, struct hold_store *st);
/* The client acknowledged this much before it sent any byte. */
void hold_set_ack(struct hold *h, uint32_t ack);
/* Copies what is new of len bytes at seq. The first copy of a byte counts, and
 * so does the ack that came with it. */
struct hold_growth hold_insert(struct hold *h, struct hold_store *st,
			       uint32_t seq, uint32_t ack, bool push,
			       const uint8_t *bytes, uint32_t len,
			       uint64_t now_us);
/* Follows the stream without keeping it, when nothing is kept: for connections
 * not copied. A late byte before the end counts as repeated. */
struct hold_growth hold_skip(struct hold *h, uint32_t seq, uint32_t ack,
			     bool push, uint32_t len, uint64_t now_us);
/* The client ended: FIN or RST after the byte before seq. has_ack: ack is
 * valid. The first close counts. */
void hold_end_at(struct hold *h, enum hold_close how, uint32_t seq,
		 bool has_ack, uint32_t ack, uint64_t now_us);
/* How the stream ends, HOLD_OPEN while bytes before the end are missing. */
enum hold_close hold_closed(const struct hold *h);
/* Server bytes that the client had seen between its last turn and its end;
 * the server's own FIN is not counted. */
uint32_t hold_close_need(const struct hold *h);
/* The first turn that begins after seq, or NULL. */
const struct hold_turn *hold_turn_after(const struct hold *h,
					const struct hold_store *st,
					uint32_t seq);
/* What will be asked for when the first turn that is kept has been answered
 * comes into the cache: the turns up to the third, and the second one's bytes.
 * Each step needs what the one before it has brought; so several holds should
 * take each step together. */
#define HOLD_FETCH_STEPS 4u
void hold_fetch(const struct hold *h, const struct hold_store *st,
		unsigned step);
/* The same for what the client's next bytes will need: the last turn, and the
 * place behind the last byte. In two steps. */
void hold_fetch_end(const struct hold *h, const struct hold_store *st,
		    unsigned step);
/* Copies [seq, seq + len), which must be kept; their sum (checksum.h). */
uint64_t hold_read(const struct hold *h, const struct hold_store *st,
		   uint32_t seq, uint8_t *out, uint32_t len);
/* Lets go the bytes before seq and the turns that begin at or before turn. */
void hold_release(struct hold *h, struct hold_store *st, uint32_t seq,
		  uint32_t turn);
/* Gives up the hole: everything beyond it goes, and the hold is empty from
 * loss.end on; what was before the hole goes as well. An end that lay before
 * that counts. */
struct hold_loss hold_jump(struct hold *h, struct hold_store *st);
static inline bool hold_has_hole(const struct hold *h)
{
	return h->has_hole;
}
/* The client has ended, but bytes before that are missing. */
static inline bool hold_awaits_end(const struct hold *h)
{
	return h->close != HOLD_OPEN && h->close_seq != h->end;
}
/* The first byte that is kept, `end` if none is. */
uint32_t hold_start(const struct hold *h, const struct hold_store *st);
uint32_t hold_blocks(const struct hold *h, const struct hold_store *st);
/* Since when there is a hole; only if there is one. */
uint64_t hold_hole_us(const struct hold *h, const struct hold_store *st);

#endif
