// SPDX-License-Identifier: BSD-2-Clause
/*
 * Packets that come by the links and are put out here, to this host's own
 * addresses. The kernel takes such a packet as one that has arrived, wherever
 * it says that it comes from; so all questions have to be asked before.
 */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#include "base/clock.h"
#include "base/privileges.h"
#include "core/packet.h"
#include "intercept/app.h"
#include "io/sender_lo.h"

/* Larger packets go by themselves, from where they are. Not a power of two, or
 * all slots would meet in the same lines of the cache. */
#define SLOT_BYTES (4096u + 192u)

int app_open_relay(struct app *a)
{
	int rc;

	if (a->options->relay_count == 0)
		return 0;
	if (!privileges_have(CAP_NET_RAW))
		return app_refuse(
			"--relay: CAP_NET_RAW is missing: run it as "
			"root, or setcap cap_net_admin,cap_net_raw=ep "
			"on its binary");
	rc = sender_lo_open(&a->inject, SLOT_BYTES);
	return rc ? app_refuse("--relay: raw sockets: %s", strerror(-rc)) : 0;
}

void app_free_relay(struct app *a)
{
	if (a->inject)
		a->inject->ops->close(a->inject);
	a->inject = NULL;
}

/* To one of our addresses, and from a client: who trusts this host must not
 * take a packet for its own. */
static bool is_from_outside(struct app *a, const struct four_tuple *ends,
			    uint64_t now_us)
{
	return link_access_is_own(a->access, &ends->dst.addr, now_us) &&
	       !addr_is_loopback(&ends->dst.addr) &&
	       !addr_is_loopback(&ends->src.addr) &&
	       !addr_is_none(&ends->src.addr) &&
	       !link_access_is_own_now(a->access, &ends->src.addr);
}

static uint8_t *reserve(struct sender *s, size_t *cap)
{
	uint8_t *slot = s->ops->reserve(s, cap);

	if (slot)
		return slot;
	s->ops->flush(s);
	return s->ops->reserve(s, cap);
}

static void inject(struct sender *s, const struct wire_relay *relay)
{
	size_t cap;
	uint8_t *slot;

	if (relay->len > SLOT_BYTES) {
		sender_lo_send(s, relay->l3, relay->len);
		return;
	}
	slot = reserve(s, &cap);
	memcpy(slot, relay->l3, relay->len);
	s->ops->commit(s, relay->len);
}

void app_relay(struct app *a, unsigned link_id, const struct wire_relay *relay,
	       uint64_t now_us)
{
	struct four_tuple ends;

	if (!divert_on_relay(a->divert, link_id, relay, now_us, &ends))
		return;
	if (!is_from_outside(a, &ends, now_us)) {
		a->relay_foreign++;
		return;
	}
	/* What was on its way in the link does not know yet. */
	if (!app_guard_stands(&a->guard, now_us)) {
		a->relay_unguarded++;
		return;
	}
	inject(a->inject, relay);
}

void app_pull_acks(struct app *a)
{
	struct segment ack;
	uint64_t now_us;
	size_t cap;

	while (divert_next_ack(a->divert, &ack)) {
		now_us = clock_us();
		if (is_from_outside(a, &ack.tuple, now_us) &&
		    app_guard_stands(&a->guard, now_us)) {
			uint8_t *slot = reserve(a->inject, &cap);

			a->inject->ops->commit(
				a->inject, packet_build(slot, cap, &ack, 0));
		}
	}
}

void app_look_relay(struct app *a)
{
	if (a->inject)
		sender_lo_look(a->inject);
}

void app_flush_relay(struct app *a)
{
	if (a->inject)
		a->inject->ops->flush(a->inject);
}
