// SPDX-License-Identifier: BSD-2-Clause
/*
 * Two ends with one key, and between them somebody who delivers, changes,
 * leaves out, repeats and invents as the input says. What comes out at one end
 * is what went in at the other, from its beginning and without a hole, however
 * much of it; and who did not deliver the client's own greeting for the first
 * time gets no byte of the server.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/bytes.h"
#include "core/check.h"
#include "io/link_crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GREETING LINK_CRYPTO_GREETING_BYTES
#define WAY_MAX	 (1u << 18)

/* One direction. */
struct way {
	uint8_t on_it[WAY_MAX];	    /* made by its sender, [at, end) to come */
	uint8_t arrived[WAY_MAX];   /* as it was delivered */
	uint8_t plain[WAY_MAX];	    /* what was sealed */
	uint8_t greeting[GREETING]; /* of its sender, once that was made */
	size_t at, end, arrived_len, plain_len, opened_len;
	bool greeted;
};

static const struct link_key key = {{7}};
static struct link_crypto *ends[2]; /* PEER_CLIENT, PEER_SERVER */
static struct way ways[2];	    /* by their sender */
static struct link_seen *seen;

/* ---- the same dice for the same input ---- */

static uint32_t rolled;

static const char *dice_name(void)
{
	return "counter";
}

static uint32_t dice_u32(void)
{
	return rolled++ * 2654435761u;
}

static void dice_buf(void *const buf, const size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = (uint8_t)(dice_u32() >> 24);
}

static randombytes_implementation dice = {
	.implementation_name = dice_name, .random = dice_u32, .buf = dice_buf};

/* ---- the two ends ---- */

static struct way *way_to(enum peer_role role)
{
	return &ways[role == PEER_CLIENT ? PEER_SERVER : PEER_CLIENT];
}

static bool delivered_truly(const struct way *w)
{
	return w->greeted && w->arrived_len >= GREETING &&
	       memcmp(w->arrived, w->greeting, GREETING) == 0;
}

static void greet(enum peer_role role)
{
	struct way *w = &ways[role];
	size_t n = link_crypto_greet(ends[role], w->on_it + w->end);

	if (n == 0)
		return;
	ASSERT(n == GREETING && !w->greeted);
	ASSERT(role == PEER_CLIENT || delivered_truly(way_to(PEER_SERVER)));
	memcpy(w->greeting, w->on_it + w->end, n);
	w->greeted = true;
	w->end += n;
}

static void seal(enum peer_role role, size_t len)
{
	struct way *w = &ways[role];

	if (!link_crypto_may_seal(ends[role]) ||
	    WAY_MAX - w->end < len + LINK_CRYPTO_OVERHEAD)
		return;
	ASSERT(delivered_truly(way_to(role)));
	for (size_t i = 0; i < len; i++)
		w->plain[w->plain_len + i] = (uint8_t)dice_u32();
	w->end += link_crypto_seal(ends[role], w->plain + w->plain_len, len,
				   w->on_it + w->end);
	w->plain_len += len;
}

static void give(enum peer_role role, const uint8_t *bytes, size_t len)
{
	struct link_crypto *c = ends[role];
	struct way *w = way_to(role);
	const uint8_t *plain;
	size_t used, n;

	if (len == 0 || len > WAY_MAX - w->arrived_len)
		return;
	memcpy(w->arrived + w->arrived_len, bytes, len);
	w->arrived_len += len;
	while (len > 0 && link_crypto_fault(c) == LINK_CRYPTO_FINE) {
		used = link_crypto_open(c, bytes, len, &plain, &n);
		ASSERT(used > 0 && used <= len);
		bytes += used;
		len -= used;
		ASSERT(n <= w->plain_len - w->opened_len);
		ASSERT(n == 0 || !memcmp(w->plain + w->opened_len, plain, n));
		w->opened_len += n;
	}
	ASSERT(link_crypto_fault_text(link_crypto_fault(c))[0]);
	greet(role);
}

/* ---- the one in between ---- */

static size_t waiting(const struct way *w, size_t at_most)
{
	size_t n = w->end - w->at;

	return n < at_most ? n : at_most;
}

static void deliver(enum peer_role to, size_t len)
{
	struct way *w = way_to(to);
	size_t n = waiting(w, len);

	w->at += n;
	give(to, w->on_it + w->at - n, n);
}

static void change(struct way *w, uint8_t where, uint8_t how)
{
	if (waiting(w, where + 1u) > where)
		w->on_it[w->at + where] ^= how;
}

static void swap(struct way *w, size_t len)
{
	uint8_t first[256];

	if (len > sizeof(first) || waiting(w, 2 * len) < 2 * len)
		return;
	memcpy(first, w->on_it + w->at, len);
	memmove(w->on_it + w->at, w->on_it + w->at + len, len);
	memcpy(w->on_it + w->at + len, first, len);
}

/* What has arrived at the server comes once more, over a new connection. */
static void replay(void)
{
	struct link_crypto *c = link_crypto_new(PEER_SERVER, &key, seen);
	const struct way *w = way_to(PEER_SERVER);
	size_t left = w->arrived_len, n;
	const uint8_t *p = w->arrived, *plain;
	uint8_t greeting[GREETING];

	while (left > 0 && link_crypto_fault(c) == LINK_CRYPTO_FINE) {
		size_t used = link_crypto_open(c, p, left, &plain, &n);

		p += used;
		left -= used;
		ASSERT(n == 0);
	}
	ASSERT(link_crypto_greet(c, greeting) == 0);
	ASSERT(!link_crypto_may_seal(c));
	link_crypto_free(c);
}

static void hang_up(void)
{
	for (unsigned i = 0; i < 2; i++)
		if (ends[i])
			link_crypto_free(ends[i]);
	ends[0] = ends[1] = NULL;
}

static void connect_again(void)
{
	hang_up();
	for (unsigned i = 0; i < 2; i++) {
		struct way *w = &ways[i];

		w->at = w->end = w->arrived_len = 0;
		w->plain_len = w->opened_len = 0;
		w->greeted = false;
		ends[i] = link_crypto_new((enum peer_role)i, &key, seen);
	}
	greet(PEER_CLIENT);
}

/* The upper three bits of a byte say what happens, one to whom, the others how
 * much. */
static void play(struct reader r)
{
	while (r.left_bytes > 0) {
		uint8_t op = reader_u8(&r), how = op & 15;
		enum peer_role role = op & 16 ? PEER_SERVER : PEER_CLIENT;
		size_t n = how < r.left_bytes ? how : r.left_bytes;

		switch (op >> 5) {
		case 0:
			seal(role, 1u + 900u * how);
			break;
		case 1:
			deliver(role, how == 15 ? SIZE_MAX : how);
			break;
		case 2:
			deliver(role, 1u + reader_u8(&r));
			break;
		case 3:
			change(way_to(role), reader_u8(&r),
			       (uint8_t)(1u << how % 8));
			break;
		case 4:
			give(role, reader_take(&r, n), n);
			break;
		case 5:
			way_to(role)->at += waiting(way_to(role), how + 1u);
			break;
		case 6:
			swap(way_to(role), 12u * how + 1);
			break;
		case 7:
			if (how < 12)
				replay();
			else
				connect_again();
			break;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	randombytes_set_implementation(&dice);
	rolled = 0;
	seen = link_seen_new(64);
	connect_again();
	play(reader_of(data, size));
	hang_up();
	link_seen_free(seen);
	return 0;
}
