/* SPDX-License-Identifier: BSD-2-Clause */
/* Where packets for the target go: reserve a slot, write the packet into it,
 * commit; flush once a loop turn. */
#ifndef IO_SENDER_H
#define IO_SENDER_H

#include <stddef.h>
#include <stdint.h>

struct sender_stats {
	uint64_t sent;	  /* packets the kernel took */
	uint64_t refused; /* packets it did not: lost, TCP sends them again */
	uint64_t cut;	  /* longer than their device takes: sent in pieces */
	int last_errno;
};

struct sender;

struct sender_ops {
	/* A slot of *cap bytes, or NULL when the batch is full: flush. */
	uint8_t *(*reserve)(struct sender *s, size_t *cap);
	/* The slot holds one L3 packet of len bytes. */
	void (*commit)(struct sender *s, size_t len);
	void (*flush)(struct sender *s);
	void (*close)(struct sender *s);
	const struct sender_stats *(*stats)(const struct sender *s);
};

struct sender {
	const struct sender_ops *ops;
};

#endif
