// SPDX-License-Identifier: BSD-2-Clause
/* Two ends of a link back to back, and ends that face something else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/bytes.h"
#include "core/peer.h"
#include "../helpers/counted_mem.h"
#include "../helpers/dice.h"

#define TX_BYTES    (2 * WIRE_FRAME_MAX)
#define T0	    1000000u
#define HELLO_BYTES 26

struct pair {
	struct counted_mem mem;
	struct peer *client, *server;
};

static struct peer *make_peer(struct counted_mem *m, enum peer_role role,
			      unsigned max_records)
{
	struct peer_config cfg = {
		.role = role,
		.instance = role == PEER_CLIENT ? 0xc1 : 0x5e,
		.max_records = max_records,
		.tx_bytes = TX_BYTES,
	};

	return peer_new(&cfg, &m->mem, T0);
}

static int setup(void **state)
{
	struct pair *t = calloc(1, sizeof(*t));

	counted_mem_init(&t->mem, 0);
	t->client = make_peer(&t->mem, PEER_CLIENT, 20);
	t->server = make_peer(&t->mem, PEER_SERVER, 20);
	*state = t;
	return t->client && t->server ? 0 : -1;
}

static int teardown(void **state)
{
	struct pair *t = *state;
	size_t live_bytes;

	peer_free(t->client, &t->mem.mem);
	peer_free(t->server, &t->mem.mem);
	live_bytes = t->mem.live_bytes;
	free(t);
	return live_bytes == 0 ? 0 : -1;
}

/* Gives bytes to a peer that has no message for its caller in them. */
static void feed_at(struct peer *p, const void *bytes, size_t len,
		    uint64_t now_us)
{
	struct wire_msg m;

	peer_on_bytes(p, bytes, len, now_us);
	assert_false(peer_next_msg(p, &m));
}

static void feed(struct peer *p, const void *bytes, size_t len)
{
	feed_at(p, bytes, len, T0);
}

static size_t waiting(struct peer *p)
{
	const uint8_t *bytes;

	return peer_tx_peek(p, &bytes);
}

/* All that one has to say goes to the other. */
static void carry(struct peer *from, struct peer *to, uint64_t now_us)
{
	const uint8_t *bytes;
	size_t len = peer_tx_peek(from, &bytes);

	feed_at(to, bytes, len, now_us);
	peer_tx_advance(from, len);
}

static void shake_hands(struct pair *t)
{
	carry(t->client, t->server, T0);
	carry(t->server, t->client, T0);
	assert_true(peer_is_up(t->client) && peer_is_up(t->server));
}

static struct wire_msg msg_of(enum wire_type type, uint64_t number)
{
	struct wire_msg m = {.type = type};

	if (type == WIRE_RESPONSE)
		m.response.route_id = number;
	else if (type == WIRE_STATUS)
		m.status.queued = number;
	else if (type == WIRE_ROUND)
		m.round.number = (uint32_t)number;
	else if (type == WIRE_RELAY)
		m.relay.len = 0;
	else
		m.route.route_id = number;
	return m;
}

static uint64_t number_of(const struct wire_msg *m)
{
	if (m->type == WIRE_RESPONSE)
		return m->response.route_id;
	if (m->type == WIRE_ROUND)
		return m->round.number;
	return m->type == WIRE_STATUS ? m->status.queued : m->route.route_id;
}

static size_t frame_of(uint8_t *frame, const struct wire_msg *m)
{
	return wire_append(frame, 0, WIRE_FRAME_MAX, 1, m);
}

static size_t hello_of(uint8_t *frame, uint16_t version)
{
	struct wire_msg m = {
		.type = WIRE_HELLO,
		.hello = {.version = version, .instance = 7},
	};

	return frame_of(frame, &m);
}

/* ---- HELLO ---- */

static void test_hello(void **state)
{
	struct pair *t = *state;

	assert_int_equal(waiting(t->client), HELLO_BYTES);
	assert_int_equal(waiting(t->server), 0);
	assert_null(peer_remote(t->client));
	carry(t->client, t->server, T0);
	assert_true(peer_is_up(t->server));
	assert_false(peer_is_up(t->client));
	assert_true(peer_remote(t->server)->instance == 0xc1);
	assert_int_equal(peer_remote(t->server)->version, WIRE_VERSION);
	assert_int_equal(waiting(t->server), HELLO_BYTES);
	carry(t->server, t->client, T0);
	assert_true(peer_is_up(t->client));
	assert_true(peer_remote(t->client)->instance == 0x5e);
	assert_int_equal(peer_stats(t->client)->bytes_out, HELLO_BYTES);
	assert_int_equal(peer_stats(t->server)->bytes_in, HELLO_BYTES);
}

static void test_server_is_silent_before_hello(void **state)
{
	struct pair *t = *state;
	struct wire_msg m = msg_of(WIRE_STATUS, 1);

	assert_false(peer_send(t->server, &m));
	m = msg_of(WIRE_RESPONSE, 1);
	assert_false(peer_send(t->server, &m));
	peer_on_timer(t->server, T0 + PEER_PING_US);
	assert_int_equal(waiting(t->server), 0);
	assert_int_equal(peer_fault(t->server), PEER_FINE);
}

/* Faulty, and not a byte was said. */
static void assert_turned_away(struct peer *p)
{
	assert_int_equal(peer_fault(p), PEER_STRANGER);
	assert_int_equal(waiting(p), 0);
	assert_int_equal(peer_deadline_us(p), UINT64_MAX);
	assert_false(peer_is_up(p));
}

static void test_strangers(void **state)
{
	static const char *const says[] = {
		"GET / HTTP/1.0\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00",
		"S",
		"\x00\x00\x00\x1b",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(says) / sizeof(says[0]); i++) {
		struct counted_mem m;
		struct peer *p;

		counted_mem_init(&m, 0);
		p = make_peer(&m, PEER_SERVER, 1);
		feed(p, says[i], i == 3 ? 4 : strlen(says[i]));
		assert_turned_away(p);
		peer_free(p, &m.mem);
	}
}

/* Any one bit of a HELLO's header or magic, whole or byte by byte. */
static void test_almost_hello(void **state)
{
	uint8_t frame[64];
	size_t len = hello_of(frame, WIRE_VERSION);

	(void)state;
	for (size_t bit = 0; bit < 12 * 8; bit++) {
		size_t step = bit % 2 ? 1 : len;
		struct counted_mem m;
		struct peer *p;

		counted_mem_init(&m, 0);
		p = make_peer(&m, PEER_SERVER, 1);
		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
		for (size_t at = 0; at < len; at += step)
			feed(p, frame + at, step);
		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_turned_away(p);
		peer_free(p, &m.mem);
	}
}

static void test_stranger_with_a_good_frame(void **state)
{
	struct pair *t = *state;
	struct wire_msg m = msg_of(WIRE_ROUTE_ADD, 1);
	uint8_t frame[128];

	feed(t->server, frame, frame_of(frame, &m));
	assert_turned_away(t->server);
}

static void test_hello_in_time(void **state)
{
	struct pair *t = *state;
	uint64_t due = peer_deadline_us(t->server);
	uint8_t frame[64];

	hello_of(frame, WIRE_VERSION);
	assert_true(due == T0 + PEER_HELLO_US);
	/* Some of its bytes are not a HELLO. */
	for (size_t i = 0; i < HELLO_BYTES - 1; i++)
		feed_at(t->server, frame + i, 1, due - 1);
	assert_true(peer_deadline_us(t->server) == due);
	peer_on_timer(t->server, due - 1);
	assert_int_equal(peer_fault(t->server), PEER_FINE);
	peer_on_timer(t->server, due);
	assert_turned_away(t->server);
	peer_on_timer(t->client, due);
	assert_int_equal(peer_fault(t->client), PEER_STRANGER);
}

static void test_other_version(void **state)
{
	struct pair *t = *state;
	uint8_t frame[64];
	size_t len = hello_of(frame, WIRE_VERSION + 1);

	feed(t->server, frame, len);
	assert_int_equal(peer_fault(t->server), PEER_OTHER_VERSION);
	assert_false(peer_is_up(t->server));
	assert_int_equal(peer_remote(t->server)->version, WIRE_VERSION + 1);
	/* It says which one it speaks itself. */
	assert_int_equal(waiting(t->server), HELLO_BYTES);
	feed(t->client, frame, len);
	assert_int_equal(peer_fault(t->client), PEER_OTHER_VERSION);
	assert_int_equal(peer_remote(t->client)->version, WIRE_VERSION + 1);
}

/* ---- broken after HELLO ---- */

static void assert_garbage(struct pair *t, struct peer *p, const void *bytes,
			   size_t len)
{
	shake_hands(t);
	feed(p, bytes, len);
	assert_int_equal(peer_fault(p), PEER_GARBAGE);
	assert_false(peer_is_up(p));
}

static void test_short_frame(void **state)
{
	struct pair *t = *state;

	assert_garbage(t, t->server, "\0\0\0\7\6\0\0", 7);
}

static void test_long_frame(void **state)
{
	struct pair *t = *state;

	assert_garbage(t, t->client, "\0\1\0\1", 4);
}

static void test_long_frame_in_pieces(void **state)
{
	struct pair *t = *state;

	shake_hands(t);
	feed(t->server, "\xff", 1);
	feed(t->server, "\xff\xff\xff\xff\xff", 5);
	assert_int_equal(peer_fault(t->server), PEER_GARBAGE);
}

static void test_second_hello(void **state)
{
	struct pair *t = *state;
	uint8_t frame[64];

	assert_garbage(t, t->server, frame, hello_of(frame, WIRE_VERSION));
}

static void test_broken_record(void **state)
{
	struct pair *t = *state;

	assert_garbage(t, t->server, "\0\0\0\17\6\0\0\1\1\2\3\4\5\6\7", 15);
}

/* Packets go in as long as there is room for them, come out whole, and leave
 * what is kept for the other messages. */
static void test_relay_fills_its_room(void **state)
{
	static uint8_t packet[1500];
	struct pair *t = *state;
	struct wire_msg m = {.type = WIRE_RELAY,
			     .relay = {.l3 = packet, .len = sizeof(packet)}};
	struct wire_msg route = msg_of(WIRE_ROUTE_ADD, 1);
	unsigned count = 0, back = 0;
	const uint8_t *bytes;
	size_t len;

	shake_hands(t);
	assert_int_equal(peer_relay_room(t->client), TX_BYTES - WIRE_FRAME_MAX);
	while (peer_relay_room(t->client) >=
	       sizeof(packet) + WIRE_HEADER_BYTES + WIRE_RECORD_MAX) {
		assert_true(peer_send(t->client, &m));
		count++;
	}
	assert_true(count >= 40);
	m.relay.len = 1500;
	while (peer_send(t->client, &m))
		count++;
	assert_int_equal(peer_stats(t->client)->records_shed, 1);
	assert_int_equal(peer_fault(t->client), PEER_FINE);
	assert_true(peer_send(t->client, &route));
	len = peer_tx_peek(t->client, &bytes);
	peer_on_bytes(t->server, bytes, len, T0);
	while (peer_next_msg(t->server, &m))
		if (m.type == WIRE_RELAY) {
			assert_int_equal(m.relay.len, sizeof(packet));
			back++;
		}
	assert_int_equal(back, count);
	peer_tx_advance(t->client, len);
	assert_int_equal(peer_relay_room(t->client), TX_BYTES - WIRE_FRAME_MAX);
}

/* What is fed to the server comes out of it as these packets, each at the
 * place that it was written to. */
static void assert_in_place(struct pair *t, uint8_t *const slots[],
			    unsigned count)
{
	const uint8_t *bytes;
	size_t len = peer_tx_peek(t->client, &bytes);
	struct wire_msg m;
	unsigned n = 0;

	peer_on_bytes(t->server, bytes, len, T0);
	while (peer_next_msg(t->server, &m)) {
		if (m.type != WIRE_RELAY)
			continue;
		assert_ptr_equal(m.relay.l3, slots[n]);
		for (unsigned i = 0; i < m.relay.len; i++)
			assert_int_equal(m.relay.l3[i], (uint8_t)(n + i));
		n++;
	}
	assert_int_equal(n, count);
	peer_tx_advance(t->client, len);
}

/* In whatever frame they are: an open one, one that is too full or has another
 * type, and after one that was handed out. */
static void test_relay_is_written_in_place(void **state)
{
	struct pair *t = *state;
	struct wire_msg route = msg_of(WIRE_ROUTE_ADD, 1);
	uint8_t *slots[8];

	shake_hands(t);
	for (int round = 0; round < 20; round++) {
		for (unsigned n = 0; n < 8; n++) {
			uint16_t len = (uint16_t)(n % 3 ? 20 * n : 14000);
			struct wire_msg m = {.type = WIRE_RELAY};

			if (n == 2 || n == 5)
				assert_true(peer_send(t->client, &route));
			slots[n] = peer_relay_slot(t->client, 16000);
			assert_non_null(slots[n]);
			for (unsigned i = 0; i < len; i++)
				slots[n][i] = (uint8_t)(n + i);
			m.relay = (struct wire_relay){slots[n], len};
			assert_true(peer_send(t->client, &m));
		}
		assert_in_place(t, slots, 8);
	}
}

static void test_no_slot_without_room(void **state)
{
	const struct pair *t = *state;
	struct wire_msg m = {.type = WIRE_RELAY};

	assert_null(peer_relay_slot(t->server, 20));
	shake_hands(*state);
	while ((m.relay.l3 = peer_relay_slot(t->client, 9000))) {
		m.relay.len = 9000;
		assert_true(peer_send(t->client, &m));
	}
	assert_true(peer_relay_room(t->client) < 9100);
	assert_non_null(peer_relay_slot(t->client, 100));
}

static void test_relay_before_hello(void **state)
{
	const struct pair *t = *state;

	assert_int_equal(peer_relay_room(t->server), 0);
}

static void test_features_are_told(void **state)
{
	struct pair *t = *state;
	struct peer_config cfg = {.role = PEER_SERVER,
				  .features = WIRE_FEATURE_RELAY,
				  .max_records = 1,
				  .tx_bytes = TX_BYTES};
	struct peer *p = peer_new(&cfg, &t->mem.mem, T0);

	carry(t->client, p, T0);
	carry(p, t->client, T0);
	assert_int_equal(peer_remote(t->client)->features, WIRE_FEATURE_RELAY);
	assert_int_equal(peer_remote(p)->features, 0);
	peer_free(p, &t->mem.mem);
}

static void test_wrong_direction(void **state)
{
	static const enum wire_type to_client[] = {WIRE_ROUTE_ADD,
						   WIRE_ROUTE_DEL, WIRE_ROUND,
						   WIRE_RELAY, WIRE_PROBE};
	static const enum wire_type to_server[] = {WIRE_ROUTE_REFUSED,
						   WIRE_RESPONSE, WIRE_STATUS,
						   WIRE_PROBE_SEEN};
	uint8_t frame[128];

	(void)state;
	for (size_t i = 0; i < 9; i++) {
		struct pair *t;
		struct wire_msg m =
			msg_of(i < 5 ? to_client[i] : to_server[i - 5], 1);

		assert_int_equal(setup((void **)&t), 0);
		assert_garbage(t, i < 5 ? t->client : t->server, frame,
			       frame_of(frame, &m));
		assert_int_equal(teardown((void **)&t), 0);
	}
}

/* What came before the fault counts, what comes after does not. */
static void test_good_before_bad(void **state)
{
	struct pair *t = *state;
	struct wire_msg in = msg_of(WIRE_ROUTE_ADD, 42), out;
	uint8_t bytes[256] = {0};
	size_t len = frame_of(bytes, &in);

	shake_hands(t);
	memset(bytes + len, 0xee, 8);
	memcpy(bytes + len + 8, bytes, len);
	peer_on_bytes(t->server, bytes, len + 8 + len, T0);
	assert_true(peer_next_msg(t->server, &out));
	assert_true(number_of(&out) == 42);
	assert_false(peer_next_msg(t->server, &out));
	assert_int_equal(peer_fault(t->server), PEER_GARBAGE);
	/* More bytes do no harm. */
	feed(t->server, bytes, len);
	assert_false(peer_send(t->server, &in));
	assert_int_equal(peer_fault(t->server), PEER_GARBAGE);
}

static void test_unknown_frames_are_skipped(void **state)
{
	static uint8_t bytes[WIRE_FRAME_MAX + 256];
	struct pair *t = *state;
	struct wire_msg in = msg_of(WIRE_ROUTE_ADD, 43), out;
	size_t len;

	shake_hands(t);
	store_be32(bytes, WIRE_FRAME_MAX);
	bytes[4] = 200;
	store_be16(bytes + 6, 77);
	len = WIRE_FRAME_MAX + frame_of(bytes + WIRE_FRAME_MAX, &in);
	for (unsigned split = 0; split < 2; split++) {
		size_t first = split ? 10000 : 0;

		feed(t->server, bytes, first);
		peer_on_bytes(t->server, bytes + first, len - first, T0);
		assert_true(peer_next_msg(t->server, &out));
		assert_true(number_of(&out) == 43);
		assert_false(peer_next_msg(t->server, &out));
	}
	assert_true(peer_is_up(t->server));
}

/* ---- the stream ---- */

/* A direction that sends numbered messages and checks that they come. */
struct flow {
	struct peer *from, *to;
	const enum wire_type *types;
	unsigned type_count;
	uint64_t sent, got;
	uint8_t sent_types[4096];
};

static void send_some(struct flow *f, struct dice *d)
{
	for (unsigned n = dice_below(d, 40); n > 0; n--) {
		enum wire_type type = f->types[dice_below(d, f->type_count)];
		struct wire_msg m = msg_of(type, f->sent);

		if (f->sent == sizeof(f->sent_types))
			return;
		f->sent_types[f->sent++] = (uint8_t)type;
		assert_true(peer_send(f->from, &m));
	}
}

static void check_next(struct flow *f, const struct wire_msg *m)
{
	assert_true(f->got < f->sent);
	assert_int_equal(m->type, f->sent_types[f->got]);
	assert_true(number_of(m) == f->got);
	f->got++;
}

/* Part of what is to be written, in a piece of exactly that size. */
static void carry_some(struct flow *f, struct dice *d, unsigned most)
{
	const uint8_t *bytes;
	size_t len = peer_tx_peek(f->from, &bytes);
	uint8_t *piece;
	struct wire_msg m;

	if (len > most)
		len = most;
	if (len > 0)
		len = 1 + dice_below(d, (uint32_t)len);
	piece = malloc(len ? len : 1);
	memcpy(piece, bytes, len);
	peer_tx_advance(f->from, len);
	peer_on_bytes(f->to, piece, len, T0);
	while (peer_next_msg(f->to, &m))
		check_next(f, &m);
	free(piece);
}

static void run_stream(uint64_t seed, unsigned max_records, unsigned most)
{
	static const enum wire_type up[] = {WIRE_ROUTE_ADD, WIRE_ROUTE_DEL,
					    WIRE_ROUND};
	static const enum wire_type down[] = {WIRE_RESPONSE, WIRE_RESPONSE,
					      WIRE_STATUS, WIRE_ROUTE_REFUSED};
	struct dice d = {seed};
	struct counted_mem m;
	struct peer *client, *server;
	struct flow a, b;

	counted_mem_init(&m, 0);
	client = make_peer(&m, PEER_CLIENT, max_records);
	server = make_peer(&m, PEER_SERVER, max_records);
	a = (struct flow){client, server, up, 3, 0, 0, {0}};
	b = (struct flow){server, client, down, 4, 0, 0, {0}};
	while (a.got < sizeof(a.sent_types) || b.got < sizeof(b.sent_types)) {
		if (a.sent - a.got < 500)
			send_some(&a, &d);
		if (peer_is_up(server) && b.sent - b.got < 500)
			send_some(&b, &d);
		carry_some(&a, &d, most);
		carry_some(&b, &d, most);
	}
	assert_true(peer_is_up(client) && peer_is_up(server));
	assert_int_equal(peer_stats(server)->records_shed, 0);
	assert_int_equal(peer_stats(server)->records_out,
			 peer_stats(client)->records_in);
	assert_int_equal(peer_stats(client)->bytes_out,
			 peer_stats(server)->bytes_in);
	peer_free(client, &m.mem);
	peer_free(server, &m.mem);
	assert_int_equal(m.live_bytes, 0);
}

static void test_any_split_will_do(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 12; seed++) {
		run_stream(seed, 1, 300);
		run_stream(seed, 20, 3000);
		run_stream(seed, 1000, 100000);
	}
}

static void test_byte_by_byte(void **state)
{
	(void)state;
	run_stream(99, 7, 1);
}

/* Every split of two frames into two pieces. */
static void test_every_split(void **state)
{
	struct pair *t = *state;
	struct wire_msg in = msg_of(WIRE_RESPONSE, 5), out;
	uint8_t bytes[128];
	size_t len = frame_of(bytes, &in);

	shake_hands(t);
	len += frame_of(bytes + len, &in);
	for (size_t at = 0; at <= len; at++) {
		unsigned got = 0;

		peer_on_bytes(t->client, bytes, at, T0);
		while (peer_next_msg(t->client, &out))
			got += number_of(&out) == 5;
		peer_on_bytes(t->client, bytes + at, len - at, T0);
		while (peer_next_msg(t->client, &out))
			got += number_of(&out) == 5;
		assert_int_equal(got, 2);
	}
}

/* ---- frames on their way out ---- */

/* Records in each of the frames that wait: "2 1 20 " */
static const char *frames_of(struct peer *p)
{
	static char text[1024];
	const uint8_t *bytes;
	size_t len = peer_tx_peek(p, &bytes), at = 0;
	struct wire_reader r;
	ssize_t n;

	text[0] = '\0';
	while ((n = wire_frame(&r, bytes + at, len - at)) > 0) {
		char *to = text + strlen(text);

		*to++ = (char)('0' + r.left_records / 10);
		*to++ = (char)('0' + r.left_records % 10);
		*to++ = ' ';
		*to = '\0';
		at += (size_t)n;
	}
	assert_int_equal(at, len);
	return text;
}

static void send_many(struct peer *p, enum wire_type type, unsigned count)
{
	struct wire_msg m = msg_of(type, 0);

	while (count-- > 0)
		assert_true(peer_send(p, &m));
}

static void test_records_share_frames(void **state)
{
	struct pair *t = *state;

	shake_hands(t);
	send_many(t->server, WIRE_RESPONSE, 23);
	send_many(t->server, WIRE_STATUS, 1);
	send_many(t->server, WIRE_RESPONSE, 2);
	assert_string_equal(frames_of(t->server), "20 03 01 02 ");
	/* What was handed out does not grow any more. */
	send_many(t->server, WIRE_RESPONSE, 1);
	assert_string_equal(frames_of(t->server), "20 03 01 02 01 ");
}

/* Responses until one is shed; how many were not. */
static unsigned fill(struct peer *p)
{
	struct wire_msg m = msg_of(WIRE_RESPONSE, 1);
	unsigned sent = 0;

	while (peer_send(p, &m))
		sent++;
	return sent;
}

/* Of what waits, up to len bytes go to the other end; how many messages. */
static unsigned deliver(struct peer *from, struct peer *to, size_t len)
{
	const uint8_t *bytes;
	size_t all = peer_tx_peek(from, &bytes);
	struct wire_msg m;
	unsigned got = 0;

	len = len < all ? len : all;
	peer_on_bytes(to, bytes, len, T0);
	while (peer_next_msg(to, &m))
		got++;
	assert_true(peer_is_up(to));
	peer_tx_advance(from, len);
	return got;
}

static void test_shedding(void **state)
{
	struct pair *t = *state;
	unsigned sent, control = 0;
	struct wire_msg m = msg_of(WIRE_ROUTE_REFUSED, 2);

	shake_hands(t);
	sent = fill(t->server);
	assert_true(sent * 24 > WIRE_FRAME_MAX * 9 / 10);
	assert_int_equal(fill(t->server), 0);
	assert_int_equal(peer_stats(t->server)->records_shed, 2);
	assert_int_equal(peer_fault(t->server), PEER_FINE);
	/* There is room for control messages still. */
	while (control < 1000 && peer_send(t->server, &m))
		control++;
	assert_int_equal(control, 1000);
	/* All that was taken is whole, and once it is written there is room. */
	assert_int_equal(deliver(t->server, t->client, SIZE_MAX),
			 sent + control);
	assert_true(fill(t->server) > 1000);
}

static void test_room_after_some_bytes(void **state)
{
	struct pair *t = *state;
	const uint8_t *bytes;

	shake_hands(t);
	fill(t->server);
	peer_tx_peek(t->server, &bytes);
	peer_tx_advance(t->server, 24 * 10);
	assert_in_range(fill(t->server), 8, 10);
}

/* The buffer's content moves while its last frame still grows. */
static void test_room_while_a_frame_grows(void **state)
{
	struct pair *t = *state;
	unsigned sent = 1000, got;
	const char *frames;

	shake_hands(t);
	send_many(t->server, WIRE_RESPONSE, sent);
	/* 20 records make a frame of 488 bytes. */
	got = deliver(t->server, t->client, 10 * 488);
	assert_int_equal(got, 200);
	sent += fill(t->server);
	frames = frames_of(t->server);
	for (size_t i = 0; i + 3 < strlen(frames); i += 3)
		assert_memory_equal(frames + i, "20 ", 3);
	got += deliver(t->server, t->client, SIZE_MAX);
	assert_int_equal(got, sent);
}

static void test_overflow(void **state)
{
	struct pair *t = *state;
	struct wire_msg m = msg_of(WIRE_STATUS, 2);
	unsigned sent = 0;

	shake_hands(t);
	while (peer_send(t->server, &m))
		sent++;
	assert_true(sent > TX_BYTES / 20);
	assert_true(waiting(t->server) <= TX_BYTES);
	assert_int_equal(peer_fault(t->server), PEER_OVERFLOW);
	assert_false(peer_is_up(t->server));
}

/* Who asks without end and reads no answer is given up. */
static void test_flood_of_pings(void **state)
{
	struct pair *t = *state;
	struct wire_msg m = {.type = WIRE_PING};
	uint8_t frame[64];
	size_t len = frame_of(frame, &m);

	shake_hands(t);
	for (unsigned i = 0; i < 100000 && peer_is_up(t->server); i++)
		feed(t->server, frame, len);
	assert_int_equal(peer_fault(t->server), PEER_OVERFLOW);
}

/* ---- time ---- */

static void test_ping_and_pong(void **state)
{
	struct pair *t = *state;
	uint64_t due;

	shake_hands(t);
	due = peer_deadline_us(t->client);
	assert_true(due == T0 + PEER_PING_US);
	peer_on_timer(t->client, due - 1);
	assert_int_equal(waiting(t->client), 0);
	peer_on_timer(t->client, due);
	assert_int_equal(waiting(t->client), 16);
	peer_on_timer(t->client, due);
	assert_int_equal(waiting(t->client), 16);
	assert_true(peer_deadline_us(t->client) == due + PEER_PING_US);
	carry(t->client, t->server, due);
	assert_int_equal(waiting(t->server), 16);
	carry(t->server, t->client, due + 5);
	assert_true(peer_deadline_us(t->client) == due + 5 + PEER_PING_US);
	assert_int_equal(waiting(t->client), 0);
}

static void test_silence(void **state)
{
	struct pair *t = *state;
	unsigned turns = 0;
	uint64_t due;

	shake_hands(t);
	/* Half a frame is a sign of life, too. */
	feed_at(t->client, "\0", 1, T0 + 300);
	while ((due = peer_deadline_us(t->client)) != UINT64_MAX) {
		assert_true(due <= T0 + 300 + PEER_SILENCE_US);
		peer_on_timer(t->client, due - 1);
		assert_int_equal(peer_fault(t->client), PEER_FINE);
		peer_on_timer(t->client, due);
		turns++;
	}
	assert_int_equal(turns, PEER_SILENCE_US / PEER_PING_US);
	assert_int_equal(peer_fault(t->client), PEER_SILENT);
	peer_on_timer(t->client, due);
	assert_int_equal(peer_fault(t->client), PEER_SILENT);
}

/* A timer that comes late does not move the end. */
static void test_silence_with_a_late_timer(void **state)
{
	struct pair *t = *state;

	shake_hands(t);
	peer_on_timer(t->client, T0 + PEER_SILENCE_US - PEER_PING_US / 2);
	assert_int_equal(peer_fault(t->client), PEER_FINE);
	assert_true(peer_deadline_us(t->client) == T0 + PEER_SILENCE_US);
	peer_on_timer(t->client, T0 + PEER_SILENCE_US);
	assert_int_equal(peer_fault(t->client), PEER_SILENT);
}

/* A second link to the same process, which answers. */
static void lag_behind(struct pair *one, struct pair *other, uint64_t asked_us)
{
	shake_hands(one);
	shake_hands(other);
	peer_on_timer(one->client, asked_us);
	assert_int_equal(waiting(one->client), 16);
	feed_at(other->client, "\0", 1, asked_us + PEER_ANSWER_US / 2);
}

static void test_a_link_lags(void **state)
{
	struct pair *t = *state, *other;
	uint64_t asked_us = T0 + PEER_PING_US, due = asked_us + PEER_ANSWER_US;

	setup((void **)&other);
	lag_behind(t, other, asked_us);
	assert_false(peer_lags(t->client, other->client, due - 1));
	assert_true(peer_lags(t->client, other->client, due));
	assert_false(peer_lags(other->client, t->client, due));
	/* the next PING is no new chance, a byte is */
	peer_on_timer(t->client, due);
	assert_true(peer_lags(t->client, other->client, due));
	feed_at(t->client, "\0", 1, due);
	assert_false(peer_lags(t->client, other->client, due));
	peer_on_timer(t->client, due + PEER_PING_US - 1);
	assert_false(peer_lags(t->client, other->client, 2 * due));
	teardown((void **)&other);
}

/* The process is stopped: all are silent, though not since the same moment. */
static void test_nobody_lags_when_all_are_silent(void **state)
{
	struct pair *t = *state, *other;
	uint64_t asked_us = T0 + PEER_PING_US;

	setup((void **)&other);
	shake_hands(t);
	shake_hands(other);
	peer_on_timer(t->client, asked_us);
	feed_at(other->client, "\0", 1, asked_us + PEER_ANSWER_US / 2 - 1);
	for (uint64_t at = asked_us; at < T0 + PEER_SILENCE_US; at += 50000) {
		peer_on_timer(t->client, at);
		peer_on_timer(other->client, at);
		assert_false(peer_lags(t->client, other->client, at));
		assert_false(peer_lags(other->client, t->client, at));
	}
	teardown((void **)&other);
}

static void test_only_links_that_are_up_lag(void **state)
{
	struct pair *t = *state, *other;
	uint64_t asked_us = T0 + PEER_PING_US, due = asked_us + PEER_ANSWER_US;

	setup((void **)&other);
	lag_behind(t, other, asked_us);
	feed(other->client, "\xff\xff\xff\xff", 4);
	assert_false(peer_lags(t->client, other->client, due));
	teardown((void **)&other);
	setup((void **)&other);
	assert_false(peer_lags(other->client, t->client, due));
	teardown((void **)&other);
}

/* ---- making ---- */

static void test_no_memory(void **state)
{
	(void)state;
	for (unsigned fail_at = 1; fail_at < 10; fail_at++) {
		struct counted_mem m;
		struct peer *p;

		counted_mem_init(&m, fail_at);
		p = make_peer(&m, PEER_CLIENT, 1);
		assert_int_equal(p == NULL, m.calls >= fail_at);
		if (p)
			peer_free(p, &m.mem);
		assert_int_equal(m.live_bytes, 0);
	}
}

static void test_fault_texts(void **state)
{
	(void)state;
	for (int a = PEER_FINE; a <= PEER_OVERFLOW; a++)
		for (int b = PEER_FINE; b < a; b++)
			assert_string_not_equal(
				peer_fault_text((enum peer_fault)a),
				peer_fault_text((enum peer_fault)b));
}

#define PAIR_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PAIR_TEST(test_hello),
		PAIR_TEST(test_server_is_silent_before_hello),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_almost_hello),
		PAIR_TEST(test_stranger_with_a_good_frame),
		PAIR_TEST(test_hello_in_time),
		PAIR_TEST(test_other_version),
		PAIR_TEST(test_short_frame),
		PAIR_TEST(test_long_frame),
		PAIR_TEST(test_long_frame_in_pieces),
		PAIR_TEST(test_second_hello),
		PAIR_TEST(test_broken_record),
		cmocka_unit_test(test_wrong_direction),
		PAIR_TEST(test_relay_fills_its_room),
		PAIR_TEST(test_relay_is_written_in_place),
		PAIR_TEST(test_no_slot_without_room),
		PAIR_TEST(test_relay_before_hello),
		PAIR_TEST(test_features_are_told),
		PAIR_TEST(test_good_before_bad),
		PAIR_TEST(test_unknown_frames_are_skipped),
		cmocka_unit_test(test_any_split_will_do),
		cmocka_unit_test(test_byte_by_byte),
		PAIR_TEST(test_every_split),
		PAIR_TEST(test_records_share_frames),
		PAIR_TEST(test_shedding),
		PAIR_TEST(test_room_after_some_bytes),
		PAIR_TEST(test_room_while_a_frame_grows),
		PAIR_TEST(test_overflow),
		PAIR_TEST(test_flood_of_pings),
		PAIR_TEST(test_ping_and_pong),
		PAIR_TEST(test_silence),
		PAIR_TEST(test_silence_with_a_late_timer),
		PAIR_TEST(test_a_link_lags),
		PAIR_TEST(test_nobody_lags_when_all_are_silent),
		PAIR_TEST(test_only_links_that_are_up_lag),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_fault_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
