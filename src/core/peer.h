/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One link connection without its socket: HELLO, keep-alive, framing, and a
 * bounded output buffer that sheds whole RESPONSE records.
 *
 * The client (tcpcopy) speaks first. A server says nothing until a valid HELLO
 * has come: a stranger is closed without a byte. To another version it answers
 * its own HELLO, so that the other side can say why, and ends.
 */
#ifndef CORE_PEER_H
#define CORE_PEER_H

#include "core/mem.h"
#include "core/wire.h"

enum peer_role { PEER_CLIENT, PEER_SERVER };

enum peer_fault {
	PEER_FINE = 0,
	PEER_STRANGER,	    /* no HELLO of ours came first, or none in time */
	PEER_OTHER_VERSION, /* peer_remote()->version says which */
	PEER_GARBAGE,	    /* broken frame after a good HELLO */
	PEER_SILENT,	    /* nothing heard for PEER_SILENCE_US */
	PEER_OVERFLOW,	    /* control messages do not fit: it takes nothing */
};

#define PEER_HELLO_US	5000000u  /* a HELLO must come within */
#define PEER_PING_US	500000u	  /* after this much silence we ask */
#define PEER_ANSWER_US	500000u	  /* within which another one answers */
#define PEER_SILENCE_US 10000000u /* after this much we give up */

struct peer_config {
	enum peer_role role;
	uint64_t instance;    /* ours */
	uint32_t features;    /* ours, WIRE_FEATURE_* */
	unsigned max_records; /* in a frame, >= 1 */
	size_t tx_bytes;      /* output buffer; >= 2 * WIRE_FRAME_MAX */
};

struct peer_stats {
	uint64_t records_in, records_out, records_shed;
	uint64_t bytes_in, bytes_out;
};

struct peer;

/* NULL: no memory. A client's HELLO is ready to be sent at once. */
struct peer *peer_new(const struct peer_config *cfg, const struct mem *mem,
		      uint64_t now_us);
void peer_free(struct peer *p, const struct mem *mem);

/* HELLOs have gone both ways and nothing is wrong. */
bool peer_is_up(const struct peer *p);
/* Anything but PEER_FINE: send what peer_tx_peek() still has, then close. */
enum peer_fault peer_fault(const struct peer *p);
const char *peer_fault_text(enum peer_fault fault);
/* A PING has had no answer for PEER_ANSWER_US, while another link to the same
 * process was heard well after it: its way is broken, and the process is not
 * stopped or busy. What was heard last of all never lags. */
bool peer_lags(const struct peer *p, const struct peer *other, uint64_t now_us);
/* What the other side's HELLO said; NULL before it came. */
const struct wire_hello *peer_remote(const struct peer *p);
const struct peer_stats *peer_stats(const struct peer *p);

/* Takes len bytes in; any split of the stream will do. Then call
 * peer_next_msg() until it returns false before giving it more bytes. */
void peer_on_bytes(struct peer *p, const uint8_t *buf, size_t len,
		   uint64_t now_us);
/* The next message for the caller (HELLO, PING and PONG are dealt with
 * inside); buf of peer_on_bytes() must still be there. */
bool peer_next_msg(struct peer *p, struct wire_msg *msg);

/* Queues a message. A RESPONSE that does not fit is shed and counted (false),
 * and so is a RELAY: who sends these looks at peer_relay_room() before. Any
 * other one that does not fit is a PEER_OVERFLOW. After a fault, and from
 * a server before the HELLO, nothing is taken. */
bool peer_send(struct peer *p, const struct wire_msg *msg);
/* Bytes of RELAY records that are sure to fit. */
size_t peer_relay_room(const struct peer *p);
/* Bytes of messages other than those and RESPONSE that are sure to fit. */
size_t peer_control_room(const struct peer *p);
/* Where a RELAY may have its packet, of at most len <= WIRE_RELAY_MAX bytes, so
 * that it need not be copied when it is the next thing that is sent. NULL: no
 * room. */
uint8_t *peer_relay_slot(struct peer *p, size_t len);
/* Bytes to write now, borrowed until the next peer_ call; 0: none. */
size_t peer_tx_peek(struct peer *p, const uint8_t **buf);
/* n of them have been written. */
void peer_tx_advance(struct peer *p, size_t n);

void peer_on_timer(struct peer *p, uint64_t now_us);
uint64_t peer_deadline_us(const struct peer *p);

#endif
