/* SPDX-License-Identifier: BSD-2-Clause */
/* The BPF program of bpf_frames.c, and the memory that it has in common with
 * it: an area's head, then slots, step_bytes each. */
#ifndef IO_BPF_PROGRAM_H
#define IO_BPF_PROGRAM_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

struct bpf_area {
	_Alignas(64) uint32_t from, to; /* slots to be sent */
	uint32_t refused;		/* of them */
	int32_t error; /* of the last one refused: -errno, or what the device
			  says */
};

/* At the slot's beginning. */
struct bpf_slot {
	uint32_t frame_bytes;
	uint32_t ifindex;
};

struct bpf_program_config {
	int map_fd; /* an array of one area */
	uint32_t slots, step_bytes;
	uint32_t frame_at; /* in a slot */
	bool arrive;
};

#define BPF_PROGRAM_MAX 64 /* instructions */

/* How many. */
uint32_t bpf_program_make(struct bpf_insn code[BPF_PROGRAM_MAX],
			  const struct bpf_program_config *cfg);

#endif
