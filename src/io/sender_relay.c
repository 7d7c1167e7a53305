// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A committed packet becomes a RELAY record in its link's output; a flush has
 * the links written. Which link it takes is known only with the packet, but
 * mostly it is the one that could be told before: the slot is in that one's
 * output, and a packet for another is copied. A batch is as much as one write
 * takes well, so that of large packets no more piles up than the processor's
 * cache holds. A link that could not take another packet of the largest size is
 * full until half of its output is free again, so that what moves when it is
 * compacted is no more than what has been sent. Who makes packets is told of
 * both, and makes none for a full link: nothing is thrown away here unless the
 * link is gone.
 */
#include "io/sender_relay.h"

#include <errno.h>
#include <stdlib.h>

#define RECORD_HEAD_BYTES                                                      \
	(WIRE_HEADER_BYTES + WIRE_RECORD_MAX + WIRE_RELAY_HEAD_BYTES)
#define ENOUGH_BYTES (LINK_CLIENT_TX_BYTES / 2)
#define BATCH_BYTES  (128u << 10)

struct sender_relay {
	struct sender base;
	struct sender_relay_config cfg;
	struct link_client *links;
	uint8_t *own_slot;  /* where no link has one */
	uint8_t *slot;	    /* the one that was reserved last */
	size_t batch_bytes; /* since the last flush */
	bool *full;	    /* by link id */
	unsigned full_count;
	struct sender_stats stats;
};

static struct sender_relay *relay_of(struct sender *s)
{
	return (struct sender_relay *)s;
}

static uint8_t *relay_reserve(struct sender *s, size_t *cap)
{
	struct sender_relay *r = relay_of(s);

	int link_id;

	*cap = r->cfg.slot_bytes;
	if (!r->links || r->batch_bytes >= BATCH_BYTES)
		return NULL;
	link_id = r->cfg.link_guess(r->cfg.ctx);
	r->slot = NULL;
	if (link_id >= 0)
		r->slot = link_client_slot(r->links, (unsigned)link_id,
					   r->cfg.slot_bytes);
	if (!r->slot)
		r->slot = r->own_slot;
	return r->slot;
}

static void set_full(struct sender_relay *r, unsigned link_id, bool full)
{
	if (r->full[link_id] == full)
		return;
	r->full[link_id] = full;
	r->full_count += full ? 1 : -1u;
	r->cfg.room(r->cfg.ctx, link_id, !full);
}

static void relay_commit(struct sender *s, size_t len)
{
	struct sender_relay *r = relay_of(s);
	unsigned link_id = r->cfg.link_of(r->cfg.ctx);
	const struct wire_msg msg = {
		.type = WIRE_RELAY,
		.relay = {.l3 = r->slot, .len = (uint16_t)len},
	};

	if (link_client_room(r->links, link_id) < RECORD_HEAD_BYTES + len) {
		r->stats.refused++;
		r->stats.last_errno = ENOBUFS;
		return;
	}
	link_client_send(r->links, link_id, &msg);
	r->batch_bytes += len;
	r->stats.sent++;
	if (link_client_room(r->links, link_id) <
	    RECORD_HEAD_BYTES + r->cfg.slot_bytes)
		set_full(r, link_id, true);
}

/* A link that is not up is not full: there is another one, or no sender. */
static bool has_enough(const struct sender_relay *r, unsigned link_id)
{
	struct link_state state;

	link_client_state(r->links, link_id, &state);
	return !state.up || link_client_room(r->links, link_id) >= ENOUGH_BYTES;
}

static void relay_flush(struct sender *s)
{
	struct sender_relay *r = relay_of(s);

	if (!r->links)
		return;
	link_client_flush(r->links);
	r->batch_bytes = 0;
	for (unsigned i = 0; r->full_count > 0 && i < r->cfg.links_count; i++)
		if (r->full[i] && has_enough(r, i))
			set_full(r, i, false);
}

static const struct sender_stats *relay_stats(const struct sender *s)
{
	return &((const struct sender_relay *)s)->stats;
}

static void relay_close(struct sender *s)
{
	struct sender_relay *r = relay_of(s);

	free(r->own_slot);
	free(r->full);
	free(r);
}

static const struct sender_ops relay_ops = {
	.reserve = relay_reserve,
	.commit = relay_commit,
	.flush = relay_flush,
	.close = relay_close,
	.stats = relay_stats,
};

int sender_relay_open(struct sender **out,
		      const struct sender_relay_config *cfg)
{
	struct sender_relay *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->base.ops = &relay_ops;
	r->cfg = *cfg;
	r->own_slot = malloc(cfg->slot_bytes);
	r->full = calloc(cfg->links_count, sizeof(*r->full));
	if (!r->own_slot || !r->full) {
		relay_close(&r->base);
		return -ENOMEM;
	}
	*out = &r->base;
	return 0;
}

void sender_relay_use(struct sender *s, struct link_client *links)
{
	relay_of(s)->links = links;
}
