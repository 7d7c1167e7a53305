// SPDX-License-Identifier: BSD-2-Clause
/*
 * One end of a link between a caller that sends, writes and lets time pass, and
 * a stream of any bytes in any pieces. What it says is taken by a decent other
 * end without complaint, and how its input is cut makes no difference.
 */
#include "core/bytes.h"
#include "core/check.h"
#include "core/peer.h"
#include "../helpers/counted_mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct counted_mem mem;

static struct peer *make(enum peer_role role)
{
	struct peer_config cfg = {
		.role = role,
		.instance = 1,
		.max_records = 50,
		.tx_bytes = 2 * WIRE_FRAME_MAX,
	};
	struct peer *p = peer_new(&cfg, &mem.mem, 0);

	ASSERT(p || (mem.fail_at && mem.calls >= mem.fail_at));
	return p;
}

static void free_both(struct peer *a, struct peer *b)
{
	if (a)
		peer_free(a, &mem.mem);
	if (b)
		peer_free(b, &mem.mem);
}

static enum peer_role other(enum peer_role role)
{
	return role == PEER_CLIENT ? PEER_SERVER : PEER_CLIENT;
}

/* Takes the bytes in; a number that stands for all messages that came. */
static uint64_t feed(struct peer *p, const uint8_t *bytes, size_t len,
		     uint64_t now_us, uint64_t sum)
{
	struct wire_msg msg;

	peer_on_bytes(p, bytes, len, now_us);
	while (peer_next_msg(p, &msg)) {
		ASSERT(peer_is_up(p));
		sum = sum * 31 + msg.type;
	}
	return sum;
}

/* The first len bytes that wait go to the other end, which must like them. It
 * gets a frame's worth at a time, and gets rid of its answers in between: to
 * all of them at once they would not fit. */
static void carry(struct peer *p, struct peer *far, size_t len)
{
	const uint8_t *bytes;

	while (len > 0) {
		size_t n = peer_tx_peek(p, &bytes);

		n = n < len ? n : len;
		n = n < WIRE_FRAME_MAX ? n : WIRE_FRAME_MAX;
		if (n == 0)
			break;
		feed(far, bytes, n, 0, 0);
		ASSERT(peer_fault(far) == PEER_FINE);
		peer_tx_advance(p, n);
		peer_tx_advance(far, peer_tx_peek(far, &bytes));
		len -= n;
	}
}

/* The packet where the peer would have it, if it has room for more than that.
 */
static const uint8_t *slot_with(struct peer *p, const uint8_t *packet,
				size_t len)
{
	uint8_t *slot = peer_relay_slot(p, 8 * len);

	if (!slot)
		return packet;
	memcpy(slot, packet, len);
	return slot;
}

static void send_many(struct peer *p, enum peer_role role, uint8_t how)
{
	static const enum wire_type types[2][4] = {
		[PEER_CLIENT] = {WIRE_ROUTE_ADD, WIRE_ROUTE_DEL, WIRE_PING,
				 WIRE_ROUND},
		[PEER_SERVER] = {WIRE_RESPONSE, WIRE_STATUS, WIRE_ROUTE_REFUSED,
				 WIRE_PONG},
	};
	static const uint8_t packet[1500];
	struct wire_msg msg = {.type = types[role][how % 4]};

	if (how >= 52 && role == PEER_CLIENT)
		msg = (struct wire_msg){
			.type = WIRE_RELAY,
			.relay = {.l3 = packet, .len = sizeof(packet)}};
	for (unsigned n = 1u << (how / 4 % 13); n > 0; n--) {
		size_t room = peer_relay_room(p);
		bool sent;

		if (msg.type == WIRE_RELAY && how % 2)
			msg.relay.l3 = slot_with(p, packet, sizeof(packet));
		sent = peer_send(p, &msg);
		if (msg.type == WIRE_RELAY &&
		    room >= WIRE_HEADER_BYTES + WIRE_RECORD_MAX + msg.relay.len)
			ASSERT(sent);
	}
}

static void check_deadline(const struct peer *p, uint64_t now_us)
{
	bool fine = peer_fault(p) == PEER_FINE;
	uint64_t due = peer_deadline_us(p);

	ASSERT(fine ? due <= now_us + PEER_SILENCE_US : due == UINT64_MAX);
	ASSERT(peer_fault_text(peer_fault(p))[0]);
}

/* The upper two bits of a byte say what happens, the others how much. */
static void play(enum peer_role role, struct reader r)
{
	struct peer *p = make(role), *far = make(other(role));
	uint64_t now_us = 0;

	while (p && far && r.left_bytes > 0) {
		uint8_t op = reader_u8(&r), how = op & 63;
		size_t n = how < r.left_bytes ? how : r.left_bytes;

		if (op >> 6 == 0)
			feed(p, reader_take(&r, n), n, now_us, 0);
		else if (op >> 6 == 1)
			send_many(p, role, how);
		else if (op >> 6 == 2)
			carry(p, far, (size_t)how * how * how);
		else
			peer_on_timer(p, now_us += how * 100000u);
		check_deadline(p, now_us);
	}
	if (p && far)
		carry(p, far, SIZE_MAX);
	free_both(p, far);
}

static void cut_differently(struct peer *whole, struct peer *pieces,
			    size_t piece, struct reader r)
{
	uint64_t sum = feed(whole, r.p, r.left_bytes, 0, 0), sum_pieces = 0;
	const uint8_t *a, *b;
	size_t len;

	while (r.left_bytes > 0) {
		size_t n = piece < r.left_bytes ? piece : r.left_bytes;

		sum_pieces = feed(pieces, reader_take(&r, n), n, 0, sum_pieces);
	}
	ASSERT(sum == sum_pieces);
	ASSERT(peer_fault(whole) == peer_fault(pieces));
	len = peer_tx_peek(whole, &a);
	ASSERT(len == peer_tx_peek(pieces, &b) && memcmp(a, b, len) == 0);
}

static void cut(enum peer_role role, size_t piece, struct reader r)
{
	struct peer *whole = make(role), *pieces = make(role);

	if (whole && pieces)
		cut_differently(whole, pieces, piece, r);
	free_both(whole, pieces);
}

/* The first byte: which allocation fails, if any; the second: role, what is to
 * be tried, and the size of pieces. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(data, size);
	uint8_t fail_at = reader_u8(&r), first = reader_u8(&r);
	enum peer_role role = first & 1 ? PEER_CLIENT : PEER_SERVER;

	counted_mem_init(&mem, fail_at);
	if (first & 2)
		play(role, r);
	else
		cut(role, 1u + (first >> 2), r);
	ASSERT(mem.live_bytes == 0);
	return 0;
}
