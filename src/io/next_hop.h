/* SPDX-License-Identifier: BSD-2-Clause */
/* To which MAC, by which device, frames for an address go: asked of the kernel,
 * and kept up to date by its news. */
#ifndef IO_NEXT_HOP_H
#define IO_NEXT_HOP_H

#include "io/next_hop_message.h"

enum next_hop_state {
	NEXT_HOP_KNOWN,
	NEXT_HOP_UNRESOLVED, /* a packet by a usual socket has it resolved */
	/* Not a matter of frames. */
	NEXT_HOP_NO_ROUTE,
	NEXT_HOP_OWN,	   /* the address is this host's */
	NEXT_HOP_TUNNEL,   /* the route adds more than a device's header */
	NEXT_HOP_CHANGED,  /* packets to it are changed on their way (IPsec) */
	NEXT_HOP_NO_ETHER, /* the device has no Ethernet header */
};

struct next_hop {
	struct ip_addr to;
	enum next_hop_state state;
	struct ip_addr via; /* the next hop: a gateway, or the address itself */
	struct hop_device device;
	uint8_t mac[MAC_BYTES]; /* of via; NEXT_HOP_KNOWN only */
	/* The kernel looks whether the MAC still holds only when a packet of
	 * its own goes there: it is to get one, and this to be cleared. */
	bool unsure;
};

struct next_hops;

/* One for each address; repeated ones share theirs. 0 or -errno. */
int next_hops_open(struct next_hops **out, const struct ip_addr *to,
		   size_t count);
void next_hops_close(struct next_hops *h);
/* To be polled for reading; then next_hops_update(). */
int next_hops_fd(const struct next_hops *h);
/* Called for each whose state, next hop or device is another one now. */
typedef void next_hops_cb(void *ctx, const struct next_hop *before,
			  const struct next_hop *now);
void next_hops_update(struct next_hops *h, next_hops_cb *changed, void *ctx);
/* The same, and the kernel is asked for all of them: of some things there are
 * no news. */
void next_hops_ask(struct next_hops *h, next_hops_cb *changed, void *ctx);

/* NULL: it was not asked for. */
struct next_hop *next_hops_find(struct next_hops *h, const struct ip_addr *to);

/* The kernel takes frames to it, now or when it is resolved. */
static inline bool next_hop_takes_frames(const struct next_hop *hop)
{
	return hop->state <= NEXT_HOP_UNRESOLVED;
}

/* They differ in more than whether the next hop is resolved. */
bool next_hop_is_other(const struct next_hop *a, const struct next_hop *b);

#define NEXT_HOP_TEXT_MAX 160
/* "next hop 192.0.2.1 on eth0", resolved or not, or why frames are not for it.
 * Returns buf. */
char *next_hop_text(const struct next_hop *hop, char buf[NEXT_HOP_TEXT_MAX]);

#endif
