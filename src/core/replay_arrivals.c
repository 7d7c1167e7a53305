// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Captured packets come in batches. All of a batch are parsed, and then take
 * each step to what they need together: their flows are all over the memory,
 * and each step waits for the one before. Nothing is done to a flow meanwhile;
 * each packet looks for its own again when it has its turn.
 */
#include "core/replay_internal.h"

#include "core/check.h"
#include "core/fetch.h"

/* Copies that a connection to this address and port should have. */
static uint32_t share_of(const struct replay *r, const struct endpoint *online)
{
	uint32_t targets = 0;

	for (size_t i = 0; i < r->cfg.mapping_count; i++)
		targets += replay_is_copied_to(&r->mappings[i], online);
	return targets * r->cfg.copies;
}

/* false: it is not copied, and counted as what it is. */
static bool parse(struct replay *r, struct arrival *a,
		  const struct packet_bytes *p)
{
	struct segment *seg = &a->seg;

	r->ledger.packets_captured++;
	if (packet_parse(seg, p->l3, p->cap_len, p->wire_len) != PACKET_OK ||
	    seg->payload_cap != seg->payload_len) {
		r->ledger.packets_malformed++;
		return false;
	}
	a->share = share_of(r, &seg->tuple.dst);
	if (a->share == 0) {
		r->ledger.packets_not_ours++;
		return false;
	}
	a->bucket = flow_table_bucket(&r->flows, &seg->tuple);
	return true;
}

static void fetch_flows(const struct replay *r, const struct arrival *a,
			size_t count)
{
	for (unsigned step = 0; step < FLOW_FETCH_STEPS; step++)
		for (size_t i = 0; i < count; i++)
			flow_table_fetch(&r->flows, a[i].bucket, step);
}

/* What their bytes go to. */
static void fetch_ahead(const struct replay *r, const struct arrival *a,
			size_t count)
{
	const struct flow *flows[REPLAY_PACKETS];
	size_t n = 0;

	fetch_flows(r, a, count);
	for (size_t i = 0; i < count; i++) {
		const struct flow *f = flow_table_find(
			&r->flows, &a[i].seg.tuple, a[i].bucket);

		if (!f || !f->copies || a[i].seg.payload_len == 0)
			continue;
		flows[n++] = f;
		fetch_bytes(f->copies, sizeof(*f->copies));
		hold_fetch_end(&f->hold, &r->store, 0);
	}
	for (size_t i = 0; i < n; i++) {
		const struct copy_work *work = flows[i]->copies->work;

		if (work)
			fetch_bytes(work, sizeof(*work));
		hold_fetch_end(&flows[i]->hold, &r->store, 1);
	}
}

void replay_on_packets(struct replay *r, const struct packet_bytes *packets,
		       size_t count, uint64_t now_us)
{
	struct arrival arrivals[REPLAY_PACKETS];
	size_t n = 0;

	ASSERT(count <= REPLAY_PACKETS);
	if (r->shut)
		return;
	r->now_us = now_us;
	for (size_t i = 0; i < count; i++)
		n += parse(r, &arrivals[n], &packets[i]);
	if (n > 1)
		fetch_ahead(r, arrivals, n);
	for (size_t i = 0; i < n; i++)
		replay_on_arrival(r, &arrivals[i], now_us);
}
