// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Out: messages are written as frames into one linear buffer. The last frame
 * stays open for more records of its type until its bytes are handed out.
 * CONTROL_ROOM of the buffer is kept for everything that is not a RESPONSE or a
 * RELAY.
 *
 * In: whole frames are decoded where the caller has them; only the beginning
 * of a frame that is not all there is kept, and completed by the next bytes.
 * Messages are decoded as they are asked for, so that nothing is stored twice.
 */
#include "core/peer.h"

#include "core/bytes.h"
#include "core/check.h"
#include "core/timers.h"

#define CONTROL_ROOM WIRE_FRAME_MAX

struct peer {
	struct peer_config cfg;
	struct peer_stats stats;
	struct wire_hello remote;
	enum peer_fault fault;
	bool heard_hello;
	uint64_t born_us, heard_us, pinged_us;
	uint64_t asked_us; /* the first PING since heard_us, TIME_NEVER: none */

	uint8_t *tx; /* [tx_start, tx_end) is to be written */
	size_t tx_start, tx_end;
	size_t tx_open; /* offset of the frame that may still grow */
	bool tx_is_open;

	uint8_t *part; /* WIRE_FRAME_MAX bytes: a frame that is not complete */
	size_t part_len;
	bool part_used; /* the reader borrows it */
	const uint8_t *rx;
	size_t rx_len;
	struct wire_reader reader;
	bool reading;
};

static void fail(struct peer *p, enum peer_fault fault)
{
	if (p->fault == PEER_FINE)
		p->fault = fault;
}

static void send_hello(struct peer *p)
{
	struct wire_msg hello = {
		.type = WIRE_HELLO,
		.hello = {.version = WIRE_VERSION,
			  .features = p->cfg.features,
			  .instance = p->cfg.instance},
	};

	peer_send(p, &hello);
}

struct peer *peer_new(const struct peer_config *cfg, const struct mem *mem,
		      uint64_t now_us)
{
	struct peer *p = mem->alloc(mem->ctx, sizeof(*p));

	ASSERT(cfg->tx_bytes >= 2 * WIRE_FRAME_MAX && cfg->max_records > 0);
	if (!p)
		return NULL;
	p->cfg = *cfg;
	p->born_us = p->heard_us = p->pinged_us = now_us;
	p->asked_us = TIME_NEVER;
	p->tx = mem->alloc(mem->ctx, cfg->tx_bytes);
	p->part = mem->alloc(mem->ctx, WIRE_FRAME_MAX);
	if (!p->tx || !p->part) {
		peer_free(p, mem);
		return NULL;
	}
	if (cfg->role == PEER_CLIENT)
		send_hello(p);
	return p;
}

void peer_free(struct peer *p, const struct mem *mem)
{
	if (p->tx)
		mem->free(mem->ctx, p->tx, p->cfg.tx_bytes);
	if (p->part)
		mem->free(mem->ctx, p->part, WIRE_FRAME_MAX);
	mem->free(mem->ctx, p, sizeof(*p));
}

bool peer_is_up(const struct peer *p)
{
	return p->heard_hello && p->fault == PEER_FINE;
}

enum peer_fault peer_fault(const struct peer *p)
{
	return p->fault;
}

bool peer_lags(const struct peer *p, const struct peer *other, uint64_t now_us)
{
	return peer_is_up(p) && peer_is_up(other) &&
	       p->asked_us != TIME_NEVER &&
	       now_us >= p->asked_us + PEER_ANSWER_US &&
	       other->heard_us >= p->asked_us + PEER_ANSWER_US / 2;
}

const char *peer_fault_text(enum peer_fault fault)
{
	switch (fault) {
	case PEER_FINE:
		return "no fault";
	case PEER_STRANGER:
		return "it does not speak our protocol";
	case PEER_OTHER_VERSION:
		return "it speaks another version of the protocol";
	case PEER_GARBAGE:
		return "it sent a broken frame";
	case PEER_SILENT:
		return "nothing was heard from it for too long";
	case PEER_OVERFLOW:
		return "it does not take what we send";
	}
	return "unknown";
}

const struct wire_hello *peer_remote(const struct peer *p)
{
	return p->heard_hello ? &p->remote : NULL;
}

const struct peer_stats *peer_stats(const struct peer *p)
{
	return &p->stats;
}

static void on_hello(struct peer *p, const struct wire_hello *hello)
{
	p->remote = *hello;
	p->heard_hello = true;
	if (p->cfg.role == PEER_SERVER)
		send_hello(p);
	if (hello->version != WIRE_VERSION)
		fail(p, PEER_OTHER_VERSION);
}

/* Deals with what is not the caller's business. true: it is. */
static bool for_caller(struct peer *p, const struct wire_msg *msg)
{
	struct wire_msg pong = {.type = WIRE_PONG, .token = msg->token};

	if (!p->heard_hello && msg->type != WIRE_HELLO) {
		fail(p, PEER_STRANGER);
		return false;
	}
	p->stats.records_in++;
	switch (msg->type) {
	case WIRE_HELLO:
		if (p->heard_hello)
			fail(p, PEER_GARBAGE);
		else
			on_hello(p, &msg->hello);
		return false;
	case WIRE_PING:
		peer_send(p, &pong);
		return false;
	case WIRE_PONG:
		return false;
	case WIRE_ROUTE_ADD:
	case WIRE_ROUTE_DEL:
	case WIRE_ROUND:
	case WIRE_RELAY:
	case WIRE_PROBE:
		if (p->cfg.role != PEER_SERVER)
			fail(p, PEER_GARBAGE);
		return p->fault == PEER_FINE;
	case WIRE_ROUTE_REFUSED:
	case WIRE_RESPONSE:
	case WIRE_STATUS:
	case WIRE_PROBE_SEEN:
		if (p->cfg.role != PEER_CLIENT)
			fail(p, PEER_GARBAGE);
		return p->fault == PEER_FINE;
	}
	return false;
}

void peer_on_bytes(struct peer *p, const uint8_t *buf, size_t len,
		   uint64_t now_us)
{
	ASSERT(p->rx_len == 0);
	p->heard_us = now_us;
	p->asked_us = TIME_NEVER;
	p->stats.bytes_in += len;
	p->rx = buf;
	p->rx_len = len;
}

static void consume(struct peer *p, size_t n)
{
	p->rx += n;
	p->rx_len -= n;
}

/* A stranger shows itself in its first bytes, before any frame is whole. */
static bool begins_strangely(const struct peer *p, const uint8_t *buf,
			     size_t len)
{
	static const uint8_t head[] = {0, 0, 0, 26, WIRE_HELLO, 0, 0, 1};

	if (p->heard_hello)
		return false;
	return memcmp(buf, head, len < sizeof(head) ? len : sizeof(head)) != 0;
}

static ssize_t open_frame(struct peer *p, const uint8_t *buf, size_t len)
{
	ssize_t n;

	if (begins_strangely(p, buf, len)) {
		fail(p, PEER_STRANGER);
		return -1;
	}
	n = wire_frame(&p->reader, buf, len);
	if (n < 0)
		fail(p, PEER_GARBAGE);
	p->reading = n > 0;
	return n;
}

/* Fills up the kept part; true when it has become a whole frame. */
static bool complete_part(struct peer *p)
{
	size_t want = 4;

	while (p->rx_len > 0 && p->fault == PEER_FINE) {
		size_t n;

		if (p->part_len >= 4)
			want = load_be32(p->part);
		n = want - p->part_len;
		n = n < p->rx_len ? n : p->rx_len;
		memcpy(p->part + p->part_len, p->rx, n);
		p->part_len += n;
		consume(p, n);
		if (open_frame(p, p->part, p->part_len) > 0) {
			p->part_used = true;
			return true;
		}
	}
	return false;
}

static bool next_frame(struct peer *p)
{
	ssize_t n;

	if (p->part_used) {
		p->part_used = false;
		p->part_len = 0;
	}
	if (p->part_len > 0)
		return complete_part(p);
	if (p->rx_len == 0)
		return false;
	n = open_frame(p, p->rx, p->rx_len);
	if (n > 0) {
		consume(p, (size_t)n);
		return true;
	}
	if (n == 0) {
		memcpy(p->part, p->rx, p->rx_len);
		p->part_len = p->rx_len;
		consume(p, p->rx_len);
	}
	return false;
}

bool peer_next_msg(struct peer *p, struct wire_msg *msg)
{
	while (p->fault == PEER_FINE) {
		int n = p->reading ? wire_next(&p->reader, msg) : 0;

		if (n < 0)
			fail(p, p->heard_hello ? PEER_GARBAGE : PEER_STRANGER);
		else if (n > 0 && for_caller(p, msg))
			return true;
		else if (n == 0 && !next_frame(p))
			break;
	}
	p->rx_len = 0; /* after a fault the rest is of no interest */
	return false;
}

static void compact(struct peer *p)
{
	size_t len = p->tx_end - p->tx_start;

	if (p->tx_start == 0)
		return;
	memmove(p->tx, p->tx + p->tx_start, len);
	p->tx_open -= p->tx_is_open ? p->tx_start : 0;
	p->tx_start = 0;
	p->tx_end = len;
}

/* What of the buffer lies behind an offset, up to the limit. */
static size_t room_behind(size_t offset, size_t limit)
{
	return limit > offset ? limit - offset : 0;
}

static bool append(struct peer *p, const struct wire_msg *msg, size_t limit)
{
	size_t len = p->tx_end - p->tx_open, grown = 0;

	if (p->tx_is_open)
		grown = wire_append(p->tx + p->tx_open, len,
				    room_behind(p->tx_open, limit),
				    p->cfg.max_records, msg);
	if (grown == 0) {
		grown = wire_append(p->tx + p->tx_end, 0,
				    room_behind(p->tx_end, limit),
				    p->cfg.max_records, msg);
		if (grown == 0)
			return false;
		p->tx_open = p->tx_end;
		p->tx_is_open = true;
	}
	p->tx_end = p->tx_open + grown;
	return true;
}

static bool may_speak(const struct peer *p)
{
	return p->fault == PEER_FINE &&
	       (p->heard_hello || p->cfg.role == PEER_CLIENT);
}

static size_t room_for(const struct wire_msg *msg)
{
	size_t packet = msg->type == WIRE_RELAY ? msg->relay.len : 0;

	return WIRE_HEADER_BYTES + WIRE_RECORD_MAX + packet;
}

/* A record never costs more than a frame of its own. */
size_t peer_relay_room(const struct peer *p)
{
	size_t used = p->tx_end - p->tx_start;
	size_t limit = p->cfg.tx_bytes - CONTROL_ROOM;

	return may_speak(p) && used < limit ? limit - used : 0;
}

size_t peer_control_room(const struct peer *p)
{
	return p->cfg.tx_bytes - (p->tx_end - p->tx_start);
}

bool peer_send(struct peer *p, const struct wire_msg *msg)
{
	bool may_shed = msg->type == WIRE_RESPONSE || msg->type == WIRE_RELAY;
	size_t limit = p->cfg.tx_bytes - (may_shed ? CONTROL_ROOM : 0);

	if (!may_speak(p))
		return false;
	if (p->tx_end + room_for(msg) > limit)
		compact(p);
	if (append(p, msg, limit)) {
		p->stats.records_out++;
		return true;
	}
	if (may_shed)
		p->stats.records_shed++;
	else
		fail(p, PEER_OVERFLOW);
	return false;
}

/* As peer_send() will do it with this packet or a shorter one. */
uint8_t *peer_relay_slot(struct peer *p, size_t len)
{
	const struct wire_msg msg = {.type = WIRE_RELAY,
				     .relay = {.len = (uint16_t)len}};
	size_t limit = p->cfg.tx_bytes - CONTROL_ROOM, at = 0;

	ASSERT(len <= WIRE_RELAY_MAX);
	if (peer_relay_room(p) < room_for(&msg))
		return NULL;
	if (p->tx_end + room_for(&msg) > limit)
		compact(p);
	if (p->tx_is_open)
		at = wire_relay_at(p->tx + p->tx_open, p->tx_end - p->tx_open,
				   room_behind(p->tx_open, limit),
				   p->cfg.max_records, len);
	if (at > 0)
		return p->tx + p->tx_open + at;
	p->tx_is_open = false;
	return p->tx + p->tx_end + WIRE_HEADER_BYTES + WIRE_RELAY_HEAD_BYTES;
}

size_t peer_tx_peek(struct peer *p, const uint8_t **buf)
{
	p->tx_is_open = false;
	*buf = p->tx + p->tx_start;
	return p->tx_end - p->tx_start;
}

void peer_tx_advance(struct peer *p, size_t n)
{
	ASSERT(n <= p->tx_end - p->tx_start);
	p->tx_start += n;
	p->stats.bytes_out += n;
	if (p->tx_start == p->tx_end) {
		p->tx_start = p->tx_end = 0;
		p->tx_is_open = false;
	}
}

void peer_on_timer(struct peer *p, uint64_t now_us)
{
	struct wire_msg ping = {.type = WIRE_PING, .token = now_us};

	if (p->fault != PEER_FINE)
		return;
	if (!p->heard_hello) {
		if (now_us >= p->born_us + PEER_HELLO_US)
			fail(p, PEER_STRANGER);
		return;
	}
	if (now_us >= p->heard_us + PEER_SILENCE_US) {
		fail(p, PEER_SILENT);
		return;
	}
	if (now_us >= p->heard_us + PEER_PING_US &&
	    now_us >= p->pinged_us + PEER_PING_US) {
		p->pinged_us = now_us;
		if (p->asked_us == TIME_NEVER)
			p->asked_us = now_us;
		peer_send(p, &ping);
	}
}

uint64_t peer_deadline_us(const struct peer *p)
{
	uint64_t silent_us = p->heard_us + PEER_SILENCE_US;
	uint64_t asked_us = p->heard_us;

	if (p->fault != PEER_FINE)
		return TIME_NEVER;
	if (!p->heard_hello)
		return p->born_us + PEER_HELLO_US;
	if (p->pinged_us > asked_us)
		asked_us = p->pinged_us;
	asked_us += PEER_PING_US;
	return asked_us < silent_us ? asked_us : silent_us;
}
