// SPDX-License-Identifier: BSD-2-Clause
/* The handshake and the records between two ends, and somebody in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "io/link_crypto.h"

#define GREETING LINK_CRYPTO_GREETING_BYTES
#define BIG	 (2 * (LINK_CRYPTO_RECORD_MAX + LINK_CRYPTO_OVERHEAD))

/* Bytes on their way, or arrived. */
struct bytes {
	uint8_t b[BIG];
	size_t len;
};

static const struct link_key key = {{1, 2, 3}}, other_key = {{1, 2, 4}};
static struct link_seen *seen;
static struct link_crypto *client, *server;
static struct bytes up, down; /* to the server, to the client */

/* What c has to say as its part of the handshake. */
static size_t greet(struct link_crypto *c, struct bytes *to)
{
	size_t n = link_crypto_greet(c, to->b + to->len);

	to->len += n;
	return n;
}

static void seal(struct link_crypto *c, const void *plain, size_t len,
		 struct bytes *to)
{
	size_t n = link_crypto_seal(c, plain, len, to->b + to->len);

	assert_in_range(n, len + 1, len + LINK_CRYPTO_OVERHEAD);
	to->len += n;
}

/* Gives c bytes in pieces; what comes out of them is put behind out. */
static void give(struct link_crypto *c, const uint8_t *b, size_t len,
		 size_t piece, struct bytes *out)
{
	const uint8_t *plain;
	size_t plain_len;

	while (len > 0 && link_crypto_fault(c) == LINK_CRYPTO_FINE) {
		size_t n = piece < len ? piece : len;
		size_t used = link_crypto_open(c, b, n, &plain, &plain_len);

		assert_in_range(used, 1, n);
		if (plain_len > 0)
			memcpy(out->b + out->len, plain, plain_len);
		out->len += plain_len;
		b += used;
		len -= used;
	}
}

static enum link_crypto_fault fault_of(struct link_crypto *c, const uint8_t *b,
				       size_t len)
{
	struct bytes *out = calloc(1, sizeof(*out));

	give(c, b, len, len, out);
	assert_int_equal(out->len, 0);
	free(out);
	return link_crypto_fault(c);
}

static struct link_crypto *make(enum peer_role role, const struct link_key *k)
{
	struct link_crypto *c = link_crypto_new(role, k, seen);

	assert_non_null(c);
	return c;
}

static int set_up(void **state)
{
	(void)state;
	seen = link_seen_new(64);
	client = make(PEER_CLIENT, &key);
	server = make(PEER_SERVER, &key);
	up.len = down.len = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	link_crypto_free(client);
	link_crypto_free(server);
	link_seen_free(seen);
	return 0;
}

/* Both greetings, as they should go. */
static void shake_hands(void)
{
	assert_int_equal(greet(client, &up), GREETING);
	assert_int_equal(fault_of(server, up.b, up.len), LINK_CRYPTO_FINE);
	assert_int_equal(greet(server, &down), GREETING);
	assert_int_equal(fault_of(client, down.b, down.len), LINK_CRYPTO_FINE);
	assert_true(link_crypto_may_seal(client));
	assert_true(link_crypto_may_seal(server));
}

/* ---- as it should be ---- */

static void both_ways(size_t piece, size_t len)
{
	struct bytes *got = calloc(1, sizeof(*got));
	uint8_t *plain = malloc(len);

	for (size_t i = 0; i < len; i++)
		plain[i] = (uint8_t)(i * 7);
	for (unsigned round = 0; round < 3; round++) {
		got->len = up.len = down.len = 0;
		seal(client, plain, len, &up);
		give(server, up.b, up.len, piece, got);
		assert_int_equal(got->len, len);
		assert_memory_equal(got->b, plain, len);
		got->len = 0;
		seal(server, plain, len, &down);
		give(client, down.b, down.len, piece, got);
		assert_int_equal(got->len, len);
		assert_memory_equal(got->b, plain, len);
	}
	free(plain);
	free(got);
}

static void test_both_ways(void **state)
{
	(void)state;
	shake_hands();
	both_ways(SIZE_MAX, 1);
	both_ways(1, 100);
	both_ways(1000, LINK_CRYPTO_RECORD_MAX);
	both_ways(SIZE_MAX, LINK_CRYPTO_RECORD_MAX);
}

/* The handshake in single bytes: nothing to say before the last one. */
static void test_silent_until_proved(void **state)
{
	(void)state;
	greet(client, &up);
	assert_false(link_crypto_may_seal(client));
	for (size_t i = 0; i < up.len; i++) {
		assert_int_equal(greet(server, &down), 0);
		assert_false(link_crypto_may_seal(server));
		assert_int_equal(fault_of(server, up.b + i, 1),
				 LINK_CRYPTO_FINE);
	}
	assert_false(link_crypto_may_seal(server));
	assert_int_equal(greet(server, &down), GREETING);
	assert_true(link_crypto_may_seal(server));
	assert_int_equal(greet(server, &down), 0);
}

/* The same words look different each time, and are not to be seen. */
static void test_nothing_in_the_clear(void **state)
{
	static const char words[] = "the same words each time";
	struct bytes *first = calloc(1, sizeof(*first));

	(void)state;
	shake_hands();
	seal(client, words, sizeof(words), first);
	seal(client, words, sizeof(words), &up);
	assert_null(memmem(up.b, up.len, words, 4));
	assert_null(memmem(first->b, first->len, words, 4));
	assert_null(memmem(first->b, first->len, up.b + up.len - 20, 8));
	free(first);
}

/* ---- the bytes of docs/link-protocol.md ---- */

static uint8_t counted;

static const char *count_name(void)
{
	return "counting";
}

static uint32_t count_u32(void)
{
	return counted++;
}

static void count_buf(void *const buf, const size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = counted++;
}

static randombytes_implementation counting = {.implementation_name = count_name,
					      .random = count_u32,
					      .buf = count_buf};

static void assert_hex(const struct bytes *have, const char *want)
{
	char hex[512];

	assert_in_range(have->len, 1, 255);
	sodium_bin2hex(hex, sizeof(hex), have->b, have->len);
	assert_string_equal(hex, want);
}

/* With random bytes 0, 1, 2, ..., as another program has worked them out from
 * the description. */
static void test_known_bytes(void **state)
{
	struct link_crypto *c, *s;
	const uint8_t *plain;
	size_t len;

	(void)state;
	counted = 0;
	randombytes_set_implementation(&counting);
	c = make(PEER_CLIENT, &key);
	s = make(PEER_SERVER, &key);
	greet(c, &up);
	assert_hex(&up,
		   "74634e6b000100008f40c5adb68f25624ae5b214ea767a6ec94d829d"
		   "3d7b5e1ad1ba6f3e2138285f27f30d28cc8b6670b2fa69f6b4d863f8"
		   "ff8ab4936c2694bb57b49680c1d3d5f0");
	link_crypto_open(s, up.b, up.len, &plain, &len);
	greet(s, &down);
	assert_hex(&down,
		   "74634e6b00010000358072d6365880d1aeea329adf9121383851ed21"
		   "a28e3b75e965d0d2cd166254d756e96d72753cbe0b9214f7e440080e"
		   "49d8c903bb140db809d4dbee7f45f1a1");
	link_crypto_open(c, down.b, down.len, &plain, &len);
	up.len = down.len = 0;
	seal(c, "words", 5, &up);
	assert_hex(&up,
		   "404142434445464748494a4b4c4d4e4f50515253545556570fce4024"
		   "3d6a56cd9b7088147d29a16f1853a01b53b2b8deb5ddf9f11433ddd6"
		   "bf0534a43c0f956cc5");
	seal(s, "answer", 6, &down);
	assert_hex(&down,
		   "58595a5b5c5d5e5f606162636465666768696a6b6c6d6e6fdb184bff"
		   "de81772593b60bf1474ad822eaf368db1a5e99ae3db036a7b3941f57"
		   "466851f32e30f25b6358");
	randombytes_set_implementation(&randombytes_sysrandom_implementation);
	link_crypto_free(c);
	link_crypto_free(s);
}

/* ---- who is not ours ---- */

static void refused(const void *bytes, size_t len, enum link_crypto_fault fault)
{
	struct link_crypto *c = make(PEER_SERVER, &key);

	assert_int_equal(fault_of(c, bytes, len), fault);
	assert_int_equal(greet(c, &down), 0);
	assert_false(link_crypto_may_seal(c));
	assert_true(link_crypto_fault_text(fault)[0]);
	link_crypto_free(c);
}

static void test_strangers(void **state)
{
	static const uint8_t hello[] = {0, 0, 0, 26, 1, 0, 0, 1};

	(void)state;
	refused("G", 1, LINK_CRYPTO_STRANGER);
	refused("GET / HTTP/1.1\r\n", 16, LINK_CRYPTO_STRANGER);
	refused("tcNx", 4, LINK_CRYPTO_STRANGER);
	refused("\0\0\1", 3, LINK_CRYPTO_STRANGER);
	refused("tcNk\0\2\0\0", 8, LINK_CRYPTO_OTHER_VERSION);
	refused(hello, sizeof(hello), LINK_CRYPTO_NO_KEY);
	refused(hello, 1, LINK_CRYPTO_NO_KEY);
	assert_true(link_crypto_is_greeting((const uint8_t *)"tcNk", 4));
	assert_false(link_crypto_is_greeting(hello, sizeof(hello)));
	assert_false(link_crypto_is_greeting(hello, 0));
}

static void test_wrong_key(void **state)
{
	struct link_crypto *c = make(PEER_CLIENT, &other_key);

	(void)state;
	greet(c, &up);
	refused(up.b, up.len, LINK_CRYPTO_WRONG_KEY);
	link_crypto_free(c);
}

/* A server without the key cannot pass for one that has it. */
static void test_wrong_key_of_server(void **state)
{
	struct link_crypto *false_client = make(PEER_CLIENT, &other_key);
	struct link_crypto *false_server = make(PEER_SERVER, &other_key);

	(void)state;
	greet(client, &down);
	greet(false_client, &up);
	assert_int_equal(fault_of(false_server, up.b, up.len),
			 LINK_CRYPTO_FINE);
	down.len = 0;
	greet(false_server, &down);
	assert_int_equal(fault_of(client, down.b, down.len),
			 LINK_CRYPTO_WRONG_KEY);
	assert_false(link_crypto_may_seal(client));
	link_crypto_free(false_client);
	link_crypto_free(false_server);
}

/* ---- what was seen before ---- */

static void test_replayed(void **state)
{
	(void)state;
	shake_hands();
	seal(client, "words", 5, &up);
	refused(up.b, GREETING, LINK_CRYPTO_REPLAYED);
	refused(up.b, up.len, LINK_CRYPTO_REPLAYED);
}

/* At an intercept that has not seen it: its answer is of no use. */
static void test_replayed_elsewhere(void **state)
{
	struct link_seen *own = seen;
	struct link_crypto *c;

	(void)state;
	shake_hands();
	seal(client, "words", 5, &up);
	seen = link_seen_new(64);
	c = make(PEER_SERVER, &key);
	assert_int_equal(fault_of(c, up.b, up.len), LINK_CRYPTO_ALTERED);
	assert_int_equal(greet(c, &down), 0);
	link_crypto_free(c);
	link_seen_free(seen);
	seen = own;
}

/* An answer to a former greeting does not fit the next one. */
static void test_replayed_answer(void **state)
{
	struct link_crypto *next = make(PEER_CLIENT, &key);

	(void)state;
	shake_hands();
	assert_int_equal(fault_of(next, down.b, down.len),
			 LINK_CRYPTO_WRONG_KEY);
	link_crypto_free(next);
}

static void test_reflected(void **state)
{
	(void)state;
	greet(client, &up);
	assert_int_equal(fault_of(client, up.b, up.len), LINK_CRYPTO_WRONG_KEY);
}

static void test_reflected_answer(void **state)
{
	(void)state;
	shake_hands();
	refused(down.b, down.len, LINK_CRYPTO_WRONG_KEY);
}

static void test_reflected_record(void **state)
{
	(void)state;
	shake_hands();
	up.len = down.len = 0;
	seal(client, "words", 5, &up);
	seal(server, "words", 5, &down);
	assert_int_equal(fault_of(client, up.b, up.len), LINK_CRYPTO_ALTERED);
	assert_int_equal(fault_of(server, down.b, down.len),
			 LINK_CRYPTO_ALTERED);
}

/* ---- what was changed on the way ---- */

#define RECORDS 3

/* A whole connection: greetings, and so many records each way. The ends of the
 * parts are noted: greeting, first record, second, ... */
static void talk(size_t up_end[RECORDS + 1], size_t down_end[RECORDS + 1])
{
	static const char words[] = "first second third";

	shake_hands();
	up_end[0] = up.len;
	down_end[0] = down.len;
	for (unsigned i = 0; i < RECORDS; i++) {
		seal(client, words, sizeof(words) - i, &up);
		seal(server, words, sizeof(words) - i, &down);
		up_end[i + 1] = up.len;
		down_end[i + 1] = down.len;
	}
}

/* As talk(), then bit of byte at of either stream is changed before anything
 * arrives. What came before it arrives, nothing else. */
static void flip(bool to_server, size_t at, unsigned bit)
{
	size_t ends[2][RECORDS + 1], before = 0;
	struct bytes *got = calloc(1, sizeof(*got));
	struct bytes *way = to_server ? &up : &down;
	struct link_crypto *end = to_server ? server : client;

	talk(ends[1], ends[0]);
	while (before + 1 <= RECORDS && ends[to_server][before + 1] <= at)
		before++;
	way->b[at] ^= (uint8_t)(1u << bit);
	give(end, way->b + GREETING, way->len - GREETING, SIZE_MAX, got);
	assert_int_equal(link_crypto_fault(end), LINK_CRYPTO_ALTERED);
	assert_false(link_crypto_may_seal(end));
	assert_int_equal(got->len, before * 19 - before * (before - 1) / 2);
	free(got);
}

static void test_flipped_bits_in_records(void **state)
{
	size_t ends[2][RECORDS + 1], len;

	talk(ends[1], ends[0]);
	len = ends[1][RECORDS];
	assert_int_equal(len, ends[0][RECORDS]);
	for (size_t at = GREETING; at < len; at++) {
		for (unsigned way = 0; way < 2; way++) {
			tear_down(state);
			set_up(state);
			flip(way, at, (unsigned)(at + 3 * way) % 8);
		}
	}
}

static void test_flipped_bits_in_greetings(void **state)
{
	for (size_t at = 0; at < GREETING; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			tear_down(state);
			set_up(state);
			greet(client, &up);
			up.b[at] ^= (uint8_t)(1u << bit);
			assert_int_not_equal(fault_of(server, up.b, up.len),
					     LINK_CRYPTO_FINE);
			assert_int_equal(greet(server, &down), 0);
		}
	}
}

static void test_flipped_bits_in_answers(void **state)
{
	for (size_t at = 0; at < GREETING; at++) {
		tear_down(state);
		set_up(state);
		greet(client, &up);
		fault_of(server, up.b, up.len);
		greet(server, &down);
		down.b[at] ^= (uint8_t)(1u << at % 8);
		assert_int_not_equal(fault_of(client, down.b, down.len),
				     LINK_CRYPTO_FINE);
		assert_false(link_crypto_may_seal(client));
	}
}

/* Whatever is cut off: whole records arrive, of others not a byte. */
static void test_truncated(void **state)
{
	size_t ends[2][RECORDS + 1], whole = 0;
	struct bytes *got = calloc(1, sizeof(*got));

	(void)state;
	talk(ends[1], ends[0]);
	for (size_t at = GREETING; at < up.len; at++) {
		give(server, up.b + at, 1, 1, got);
		if (at + 1 == ends[1][whole + 1])
			whole++;
		assert_int_equal(got->len,
				 whole * 19 - whole * (whole - 1) / 2);
	}
	assert_int_equal(whole, RECORDS);
	assert_int_equal(link_crypto_fault(server), LINK_CRYPTO_FINE);
	free(got);
}

/* The records in that order, by their numbers; so many come out. */
static void reorder(void **state, const char *order, size_t come_out,
		    enum link_crypto_fault fault)
{
	size_t ends[2][RECORDS + 1];
	struct bytes *got = calloc(1, sizeof(*got));

	tear_down(state);
	set_up(state);
	talk(ends[1], ends[0]);
	for (; *order; order++) {
		size_t n = (size_t)(*order - '0');
		size_t from = ends[1][n - 1];

		give(server, up.b + from, ends[1][n] - from, SIZE_MAX, got);
	}
	assert_int_equal(link_crypto_fault(server), fault);
	assert_int_equal(got->len,
			 come_out * 19 - come_out * (come_out - 1) / 2);
	free(got);
}

static void test_reordered(void **state)
{
	reorder(state, "123", 3, LINK_CRYPTO_FINE);
	reorder(state, "132", 1, LINK_CRYPTO_ALTERED);
	reorder(state, "13", 1, LINK_CRYPTO_ALTERED);
	reorder(state, "1123", 1, LINK_CRYPTO_ALTERED);
	reorder(state, "1223", 2, LINK_CRYPTO_ALTERED);
	reorder(state, "1231", 3, LINK_CRYPTO_ALTERED);
	reorder(state, "213", 0, LINK_CRYPTO_ALTERED);
	reorder(state, "23", 0, LINK_CRYPTO_ALTERED);
}

/* The records of one connection are of no use on another. */
static void test_spliced(void **state)
{
	struct link_crypto *client2 = make(PEER_CLIENT, &key);
	struct link_crypto *server2 = make(PEER_SERVER, &key);
	struct bytes *way = calloc(1, sizeof(*way));

	(void)state;
	shake_hands();
	greet(client2, way);
	fault_of(server2, way->b, way->len);
	up.len = 0;
	seal(client, "words", 5, &up);
	assert_int_equal(fault_of(server2, up.b, up.len), LINK_CRYPTO_ALTERED);
	link_crypto_free(client2);
	link_crypto_free(server2);
	free(way);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_both_ways),
		TEST(test_silent_until_proved),
		TEST(test_nothing_in_the_clear),
		TEST(test_known_bytes),
		TEST(test_strangers),
		TEST(test_wrong_key),
		TEST(test_wrong_key_of_server),
		TEST(test_replayed),
		TEST(test_replayed_elsewhere),
		TEST(test_replayed_answer),
		TEST(test_reflected),
		TEST(test_reflected_answer),
		TEST(test_reflected_record),
		TEST(test_flipped_bits_in_records),
		TEST(test_flipped_bits_in_greetings),
		TEST(test_flipped_bits_in_answers),
		TEST(test_truncated),
		TEST(test_reordered),
		TEST(test_spliced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
