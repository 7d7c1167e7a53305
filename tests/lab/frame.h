/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The digest application's protocol: framed requests and answers whose bytes
 * follow from (connection id, sequence number) alone, so that either side can
 * check what it gets without having stored anything.
 */
#ifndef LAB_FRAME_H
#define LAB_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define FRAME_HEADER_BYTES 24u
#define FRAME_MAX_BYTES	   (64u << 20)
#define FRAME_SEQ_GREETING UINT32_MAX
#define FRAME_SEQ_PUSH	   (UINT32_MAX - 1) /* unasked for; not checked */

enum frame_kind { FRAME_REQUEST = 0x64675271, FRAME_ANSWER = 0x6467416e };

/* On the wire: kind, id, seq, len, answer_len; big-endian. */
struct frame {
	enum frame_kind kind;
	uint64_t id;	     /* of the connection */
	uint32_t seq;	     /* 0, 1, ... within the connection */
	uint32_t len;	     /* whole frame, header included */
	uint32_t answer_len; /* of the answer wanted; 0 in answers */
};

/* Once, before the others: makes the bytes that payloads are cut from. */
void frame_setup(void);
void frame_pack(const struct frame *f, uint8_t out[FRAME_HEADER_BYTES]);
/* false: this is no frame. */
bool frame_unpack(struct frame *f, const uint8_t in[FRAME_HEADER_BYTES]);

/* The frame's bytes from offset `from` on, as up to `max` pieces; header is
 * where the packed header is kept. Returns how many pieces there are. */
size_t frame_pieces(const struct frame *f, uint32_t from,
		    uint8_t header[FRAME_HEADER_BYTES], struct iovec *iov,
		    size_t max);
/* Are these len bytes what stands at offset `from` (>= header) of the frame? */
bool frame_check(const struct frame *f, uint32_t from, const uint8_t *data,
		 size_t len);

/* A number in lo..hi that follows from the three others. */
uint32_t frame_pick(uint32_t lo, uint32_t hi, uint64_t id, uint32_t seq);

#endif
