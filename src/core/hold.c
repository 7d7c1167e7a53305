// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Bytes lie in a chain of blocks (chain.c), where those beyond a hole have
 * their place at once. What is beyond the hole is listed as islands (sorted,
 * apart from each other); when the hole closes they are absorbed into [start,
 * end). A turn is marked where the stream grows with a higher ack than before.
 *
 * All that is in a hold's stock, which is taken with the first byte that has to
 * be kept and given back with the last.
 */
#include "core/hold.h"

#include "core/check.h"
#include "core/pool_trim.h"
#include "core/seq.h"

/* Kept and without a hole: [start, hold's end). */
struct stock {
	uint32_t start;
	struct chain chain;
	uint32_t turns, turn_tail; /* marks, or POOL_NONE */
	uint32_t islands;	   /* marks of bytes beyond a hole */
	uint32_t island_count;
	uint64_t hole_us; /* since when there are islands */
};

_Static_assert(CHAIN_BLOCK_BYTES + CHAIN_LINK_BYTES + sizeof(struct stock) <=
		       HOLD_EACH_BYTES,
	       "what its user reckons with");

struct island {
	uint32_t next;
	uint32_t start, end;
	uint32_t ack;
	uint64_t at_us;
};

union mark {
	struct hold_turn turn;
	struct island island;
};

static struct stock *stock_of(const struct hold *h, const struct hold_store *st)
{
	ASSERT(h->stock != POOL_NONE);
	return pool_at(&st->stocks, h->stock);
}

static struct hold_turn *turn_at(const struct hold_store *st, uint32_t index)
{
	return pool_at(&st->marks, index);
}

static struct island *island_at(const struct hold_store *st, uint32_t index)
{
	return index == POOL_NONE ? NULL : pool_at(&st->marks, index);
}

bool hold_store_init(struct hold_store *st, const struct mem *mem,
		     uint32_t blocks, uint32_t marks)
{
	*st = (struct hold_store){0};
	if (pool_init(&st->stocks, mem, sizeof(struct stock), blocks) &&
	    chain_pool_init(&st->blocks, mem, blocks) &&
	    pool_init(&st->marks, mem, sizeof(union mark), marks) &&
	    pool_make_elastic(&st->stocks, mem) &&
	    pool_make_elastic(&st->marks, mem))
		return true;
	hold_store_fini(st, mem);
	return false;
}

void hold_store_fini(struct hold_store *st, const struct mem *mem)
{
	pool_fini(&st->stocks, mem);
	chain_pool_fini(&st->blocks, mem);
	pool_fini(&st->marks, mem);
}

static bool is_half_full(const struct pool *p)
{
	return p->used >= p->count / 2;
}

bool hold_store_is_half_full(const struct hold_store *st)
{
	return is_half_full(&st->blocks.links) || is_half_full(&st->marks);
}

void hold_init(struct hold *h, uint32_t seq)
{
	*h = (struct hold){.end = seq, .stock = POOL_NONE};
}

/* false: no memory. */
static bool take_stock(struct hold *h, struct hold_store *st)
{
	struct stock *k;

	if (h->stock != POOL_NONE)
		return true;
	h->stock = pool_take(&st->stocks);
	if (h->stock == POOL_NONE)
		return false;
	k = stock_of(h, st);
	*k = (struct stock){
		.start = h->end,
		.turns = POOL_NONE,
		.turn_tail = POOL_NONE,
		.islands = POOL_NONE,
	};
	chain_init(&k->chain);
	return true;
}

/* If there is nothing in it. */
static void give_stock(struct hold *h, struct hold_store *st)
{
	const struct stock *k = stock_of(h, st);

	if (k->chain.head != POOL_NONE || k->turns != POOL_NONE ||
	    k->islands != POOL_NONE)
		return;
	pool_give(&st->stocks, h->stock);
	h->stock = POOL_NONE;
}

uint32_t hold_start(const struct hold *h, const struct hold_store *st)
{
	return h->stock == POOL_NONE ? h->end : stock_of(h, st)->start;
}

uint32_t hold_blocks(const struct hold *h, const struct hold_store *st)
{
	return h->stock == POOL_NONE ? 0 : stock_of(h, st)->chain.count;
}

uint64_t hold_hole_us(const struct hold *h, const struct hold_store *st)
{
	return stock_of(h, st)->hole_us;
}

static void drop_first_turn(struct stock *k, struct hold_store *st)
{
	uint32_t old = k->turns;

	k->turns = turn_at(st, old)->next;
	if (k->turns == POOL_NONE)
		k->turn_tail = POOL_NONE;
	pool_give(&st->marks, old);
}

static void drop_first_island(struct hold *h, struct hold_store *st)
{
	struct stock *k = stock_of(h, st);
	uint32_t old = k->islands;

	k->islands = island_at(st, old)->next;
	h->has_hole = --k->island_count > 0;
	pool_give(&st->marks, old);
}

/* All that is kept goes. */
static void clear_stock(struct hold *h, struct hold_store *st)
{
	struct stock *k;

	if (h->stock == POOL_NONE)
		return;
	k = stock_of(h, st);
	while (k->islands != POOL_NONE)
		drop_first_island(h, st);
	while (k->turns != POOL_NONE)
		drop_first_turn(k, st);
	chain_drop_all(&k->chain, &st->blocks);
	give_stock(h, st);
}

void hold_fini(struct hold *h, struct hold_store *st)
{
	clear_stock(h, st);
}

void hold_set_ack(struct hold *h, uint32_t ack)
{
	h->last_ack = ack;
	h->ack_known = true;
}

uint64_t hold_read(const struct hold *h, const struct hold_store *st,
		   uint32_t seq, uint8_t *out, uint32_t len)
{
	struct stock *k = stock_of(h, st);

	ASSERT(seq_geq(seq, k->start) && seq_leq(seq + len, h->end));
	return chain_read(&k->chain, &st->blocks, seq, out, len);
}

static uint32_t pause_us(const struct hold *h, uint64_t at_us)
{
	uint64_t gap;

	if (h->last_us == 0 || at_us < h->last_us)
		return 0;
	gap = at_us - h->last_us;
	return gap > UINT32_MAX ? UINT32_MAX : (uint32_t)gap;
}

static void mark_turn(const struct hold *h, struct hold_store *st, uint32_t ack,
		      uint64_t at_us)
{
	struct stock *k = stock_of(h, st);
	uint32_t index = pool_take(&st->marks);
	struct hold_turn *turn = turn_at(st, index);

	*turn = (struct hold_turn){
		.next = POOL_NONE,
		.start = h->end,
		.need_bytes = h->ack_known ? ack - h->last_ack : 0,
		.ack = ack,
		.gap_us = pause_us(h, at_us),
		.at_us = at_us,
	};
	if (k->turn_tail == POOL_NONE)
		k->turns = index;
	else
		turn_at(st, k->turn_tail)->next = index;
	k->turn_tail = index;
}

/* Whether a byte with this ack begins a turn. */
static bool begins_turn(const struct hold *h, uint32_t ack)
{
	return !h->in_turn || !h->ack_known || seq_gt(ack, h->last_ack);
}

static void note_ack(struct hold *h, uint32_t ack)
{
	if (!h->ack_known || seq_gt(ack, h->last_ack))
		hold_set_ack(h, ack);
	h->in_turn = true;
}

/* The stream grows by len bytes that came with ack and are in place. */
static void grow(struct hold *h, struct hold_store *st, uint32_t len,
		 uint32_t ack, uint64_t at_us, struct hold_growth *growth)
{
	if (begins_turn(h, ack)) {
		mark_turn(h, st, ack, at_us);
		growth->turns++;
		if (h->in_turn && !h->pushed)
			growth->splits++;
	}
	note_ack(h, ack);
	h->end += len;
	h->last_us = at_us;
	growth->bytes += len;
}

static void absorb(struct hold *h, struct hold_store *st,
		   struct hold_growth *growth)
{
	struct island *island;

	while ((island = island_at(st, stock_of(h, st)->islands)) &&
	       island->start == h->end) {
		struct island copy = *island;

		drop_first_island(h, st);
		grow(h, st, copy.end - copy.start, copy.ack, copy.at_us,
		     growth);
	}
}

static void add_island(struct hold *h, struct hold_store *st, uint32_t start,
		       uint32_t end, uint32_t ack, uint64_t at_us)
{
	struct stock *k = stock_of(h, st);
	uint32_t *link = &k->islands;
	uint32_t index;
	struct island *island;

	while ((island = island_at(st, *link)) && seq_lt(island->end, start))
		link = &island->next;
	if (island && island->end == start && island->ack == ack) {
		island->end = end;
		return;
	}
	if (island && island->end == start)
		link = &island->next;
	index = pool_take(&st->marks);
	*island_at(st, index) = (struct island){
		.next = *link,
		.start = start,
		.end = end,
		.ack = ack,
		.at_us = at_us,
	};
	*link = index;
	if (k->island_count++ == 0)
		k->hole_us = at_us;
	h->has_hole = true;
}

/* Where the gap between islands that begins at seq ends, at most at `end`; seq
 * itself if it lies within an island, whose end is then in *island_end. */
static uint32_t gap_end(const struct hold *h, const struct hold_store *st,
			uint32_t seq, uint32_t end, uint32_t *island_end)
{
	const struct island *island = island_at(st, stock_of(h, st)->islands);

	while (island && seq_leq(island->end, seq))
		island = island_at(st, island->next);
	if (!island || seq_geq(island->start, end))
		return end;
	*island_end = island->end;
	return seq_max(island->start, seq);
}

static bool has_room(struct hold *h, struct hold_store *st, uint32_t end)
{
	struct stock *k;

	if (!take_stock(h, st))
		return false;
	k = stock_of(h, st);
	/* every gap between islands can become a mark, and so can each end */
	if (st->marks.count - st->marks.used >= k->island_count + 2 &&
	    chain_reach(&k->chain, &st->blocks, h->end, end))
		return true;
	give_stock(h, st);
	return false;
}

/* What a segment brings. */
struct piece {
	uint32_t seq, end;
	const uint8_t *bytes;
	uint32_t ack;
	uint64_t at_us;
};

/* Keeps what is new of it; whether anything is. */
static bool keep_new(struct hold *h, struct hold_store *st,
		     const struct piece *p, struct hold_growth *growth)
{
	uint32_t at = seq_max(p->seq, h->end);
	bool any = false;

	while (seq_lt(at, p->end)) {
		uint32_t skip_to = at;
		uint32_t stop = gap_end(h, st, at, p->end, &skip_to);

		if (stop == at) {
			at = seq_min(skip_to, p->end);
			continue;
		}
		chain_write(&stock_of(h, st)->chain, &st->blocks, at,
			    p->bytes + (at - p->seq), stop - at);
		if (at == h->end)
			grow(h, st, stop - at, p->ack, p->at_us, growth);
		else
			add_island(h, st, at, stop, p->ack, p->at_us);
		any = true;
		absorb(h, st, growth);
		at = seq_max(stop, h->end);
	}
	return any;
}

struct hold_growth hold_insert(struct hold *h, struct hold_store *st,
			       uint32_t seq, uint32_t ack, bool push,
			       const uint8_t *bytes, uint32_t len,
			       uint64_t now_us)
{
	const struct piece piece = {seq, seq + len, bytes, ack, now_us};
	struct hold_growth growth = {0};

	if (len == 0 || seq_leq(piece.end, h->end)) {
		growth.repeated = true;
		return growth;
	}
	if (piece.end - h->end > HOLD_AHEAD_MAX ||
	    h->end - hold_start(h, st) > INT32_MAX / 2) {
		growth.stray = true;
		return growth;
	}
	if (!has_room(h, st, piece.end)) {
		growth.full = true;
		return growth;
	}
	growth.repeated = !keep_new(h, st, &piece, &growth);
	if (growth.bytes > 0) /* of the next hole, if there is one */
		stock_of(h, st)->hole_us = now_us;
	h->pushed = push;
	return growth;
}

struct hold_growth hold_skip(struct hold *h, uint32_t seq, uint32_t ack,
			     bool push, uint32_t len, uint64_t now_us)
{
	struct hold_growth growth = {0};
	uint32_t end = seq + len, at = seq_max(seq, h->end);

	if (len == 0 || seq_leq(end, h->end)) {
		growth.repeated = true;
		return growth;
	}
	ASSERT(h->stock == POOL_NONE);
	growth.turns = begins_turn(h, ack);
	growth.bytes = end - at;
	note_ack(h, ack);
	h->end = end;
	h->pushed = push;
	h->last_us = now_us;
	return growth;
}

void hold_end_at(struct hold *h, enum hold_close how, uint32_t seq,
		 bool has_ack, uint32_t ack, uint64_t now_us)
{
	if (h->close != HOLD_OPEN)
		return;
	h->close = (uint8_t)how;
	h->close_seq = seq;
	h->close_ack = has_ack ? ack : h->last_ack;
	h->close_gap_us = pause_us(h, now_us);
}

enum hold_close hold_closed(const struct hold *h)
{
	return h->close_seq == h->end ? (enum hold_close)h->close : HOLD_OPEN;
}

uint32_t hold_close_need(const struct hold *h)
{
	int32_t seen = seq_diff(h->close_ack, h->last_ack);

	return h->ack_known && seen > 1 ? (uint32_t)seen - 1 : 0;
}

const struct hold_turn *
hold_turn_after(const struct hold *h, const struct hold_store *st, uint32_t seq)
{
	uint32_t index;

	if (h->stock == POOL_NONE)
		return NULL;
	index = stock_of(h, st)->turns;
	while (index != POOL_NONE && seq_leq(turn_at(st, index)->start, seq))
		index = turn_at(st, index)->next;
	return index == POOL_NONE ? NULL : turn_at(st, index);
}

void hold_fetch(const struct hold *h, const struct hold_store *st,
		unsigned step)
{
	struct stock *k;
	uint32_t index, before = POOL_NONE;

	if (h->stock == POOL_NONE)
		return;
	k = stock_of(h, st);
	if (step == 0) {
		__builtin_prefetch(k);
		return;
	}
	index = k->turns;
	for (unsigned i = 1; i < step && index != POOL_NONE; i++) {
		before = index;
		index = turn_at(st, index)->next;
	}
	if (index != POOL_NONE)
		__builtin_prefetch(turn_at(st, index));
	if (step == HOLD_FETCH_STEPS - 1 && before != k->turns)
		chain_fetch(&k->chain, &st->blocks, turn_at(st, before)->start);
}

void hold_fetch_end(const struct hold *h, const struct hold_store *st,
		    unsigned step)
{
	const struct stock *k;

	if (h->stock == POOL_NONE)
		return;
	k = stock_of(h, st);
	if (step == 0) {
		__builtin_prefetch(k, 1);
		return;
	}
	if (k->turn_tail != POOL_NONE)
		__builtin_prefetch(turn_at(st, k->turn_tail), 1);
	chain_fetch_end(&k->chain, &st->blocks, h->end);
}

void hold_release(struct hold *h, struct hold_store *st, uint32_t seq,
		  uint32_t turn)
{
	struct stock *k;

	ASSERT(seq_leq(seq, h->end));
	if (h->stock == POOL_NONE)
		return;
	k = stock_of(h, st);
	if (seq_gt(seq, k->start))
		k->start = seq;
	while (k->turns != POOL_NONE &&
	       seq_leq(turn_at(st, k->turns)->start, turn))
		drop_first_turn(k, st);
	if (k->start == h->end && k->island_count == 0)
		chain_drop_all(&k->chain, &st->blocks);
	chain_drop_before(&k->chain, &st->blocks, k->start);
	if (k->start == h->end)
		give_stock(h, st);
}

struct hold_loss hold_jump(struct hold *h, struct hold_store *st)
{
	struct hold_loss loss = {.end = h->end};

	while (h->has_hole) {
		struct island island = *island_at(st, stock_of(h, st)->islands);

		drop_first_island(h, st);
		loss.bytes += island.end - island.start;
		loss.turns += begins_turn(h, island.ack);
		note_ack(h, island.ack);
		loss.end = island.end;
	}
	clear_stock(h, st);
	h->end = loss.end;
	if (h->close != HOLD_OPEN && seq_gt(h->end, h->close_seq))
		h->close_seq = h->end; /* bytes beyond a FIN do not undo it */
	return loss;
}
