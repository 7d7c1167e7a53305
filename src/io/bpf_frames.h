/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames that leave in one system call: a BPF program gives them to their
 * devices. */
#ifndef IO_BPF_FRAMES_H
#define IO_BPF_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/bpf_program.h"
#include "io/sender.h"

/* A slot: how its frame is to be sent, then whatever the caller keeps there,
 * then the frame's Ethernet header, which ends here, and its packet. */
#define BPF_FRAMES_HEAD_BYTES 32

/* The longest frame. The kernel takes no more than a page to run a program on,
 * less what it needs itself. */
#define BPF_FRAMES_MOST_BYTES 3072u

struct bpf_frames;

/*
 * SENDER_BATCH slots of at least slot_bytes. arrive: a frame arrives by its
 * device, or else it leaves by it. 0 or -errno, where this kernel has not all
 * of it, or not for this process: CAP_BPF and CAP_NET_ADMIN, which are needed
 * for opening alone.
 */
int bpf_frames_open(struct bpf_frames **out, size_t slot_bytes, bool arrive);
void bpf_frames_close(struct bpf_frames *f);

/* All of them, one behind the other, aligned to 64. */
uint8_t *bpf_frames_slots(struct bpf_frames *f, size_t *step_bytes);

static inline void bpf_frames_set(void *slot, uint32_t ifindex,
				  size_t frame_bytes)
{
	*(struct bpf_slot *)slot = (struct bpf_slot){
		.ifindex = ifindex, .frame_bytes = (uint32_t)frame_bytes};
}

/* Gives the frames of slots from to to - 1 to their devices and counts them.
 * Returns how many: fewer if the kernel does not run the program (errno). */
unsigned bpf_frames_send(struct bpf_frames *f, unsigned from, unsigned to,
			 struct sender_stats *stats);

#endif
