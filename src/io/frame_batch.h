/* SPDX-License-Identifier: BSD-2-Clause */
/* A batch of Ethernet frames to devices: many in one system call where the
 * kernel lets a BPF program do it, or by a packet socket. */
#ifndef IO_FRAME_BATCH_H
#define IO_FRAME_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/sender.h"

struct virtio_net_hdr;

struct frame_batch_config {
	size_t packet_bytes; /* largest L3 packet */
	/* A frame arrives by its device, which is lo, or else leaves by it and
	 * meets its queue discipline. */
	bool arrive;
	bool segments; /* one frame may be several packets, if the kernel can */
};

struct frame_batch;

/* 0 or -errno (-EPERM: CAP_NET_RAW is missing). */
int frame_batch_open(struct frame_batch **out,
		     const struct frame_batch_config *cfg);
void frame_batch_close(struct frame_batch *b);
/* In one system call; else one by one. */
bool frame_batch_is_program(const struct frame_batch *b);

/* Where the next packet is to be written, its Ethernet header in front of it;
 * NULL: the batch is full. */
uint8_t *frame_batch_packet(const struct frame_batch *b);
/* That packet begins a frame. mtu_bytes: what the device takes. */
void frame_batch_begin(struct frame_batch *b, uint32_t ifindex, size_t len,
		       size_t mtu_bytes);

/* Whether several packets may be one frame. */
bool frame_batch_segments(const struct frame_batch *b);
/* That packet's payload, from header_bytes on, is part of the last frame. */
void frame_batch_continue(struct frame_batch *b, size_t len,
			  size_t header_bytes);
/* What the kernel is to know of the last frame; to be called before the next
 * one. Only for one of several packets. */
void frame_batch_tell(struct frame_batch *b, const struct virtio_net_hdr *told);

/* Gives all of them to the kernel, and counts. */
void frame_batch_flush(struct frame_batch *b, struct sender_stats *stats);

#endif
