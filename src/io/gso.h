/* SPDX-License-Identifier: BSD-2-Clause */
/* Segments of one turn as one packet, which the kernel or the device cuts again
 * (generic segmentation offload). */
#ifndef IO_GSO_H
#define IO_GSO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is known of a packet that others may continue. */
struct gso {
	bool open;	       /* others may */
	unsigned count;	       /* packets in it */
	size_t len;	       /* of all together */
	uint16_t ip_bytes;     /* of headers: IP's alone */
	uint16_t header_bytes; /* and with TCP's */
	uint16_t mss_bytes;    /* payload of each but the last */
	uint32_t next_seq;
};

/* A whole packet as packet_build() makes it. */
void gso_begin(struct gso *g, const uint8_t *l3, size_t len);
/* Whether the packet continues the one that begins with first's bytes. Then it
 * counts as part of it: its payload (from g->header_bytes on) is to follow, and
 * first's header has its flags. */
bool gso_continue(struct gso *g, uint8_t *first, const uint8_t *l3, size_t len);

/* Where the kernel is to put the checksums of what it cuts. */
struct gso_cut {
	bool v4;
	uint16_t mss_bytes, header_bytes;
	uint16_t sum_start, sum_at; /* from the IP header; behind that */
};

/* Makes first's header that of all together. false: there is only one. */
bool gso_end(const struct gso *g, uint8_t *first, struct gso_cut *cut);

#endif
