// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * What comes in is collected until the part that is due is whole: the other
 * side's greeting, the header of its stream, then in turn the sealed length of
 * a record and the record itself. Since the length is sealed as well, a changed
 * one is noticed at once and not taken for a promise of more bytes.
 *
 * Both directions are secretstreams: their records have numbers that nobody
 * sends, so what is repeated, left out, in another order or of the other
 * direction does not open.
 */
#include "io/link_crypto.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/bytes.h"
#include "core/check.h"

#define HANDSHAKE    1
#define HEAD_BYTES   8u
#define PUBLIC_BYTES crypto_scalarmult_curve25519_BYTES
#define SECRET_BYTES crypto_scalarmult_curve25519_SCALARBYTES
#define PROOF_BYTES  32u
#define PROOF_AT     (HEAD_BYTES + PUBLIC_BYTES)

#define STREAM(name)  crypto_secretstream_xchacha20poly1305_##name
#define HEADER_BYTES  STREAM(HEADERBYTES)
#define LENGTH_BYTES  (2 + STREAM(ABYTES))
#define TAG_OF_LENGTH STREAM(TAG_MESSAGE)
#define TAG_OF_RECORD STREAM(TAG_PUSH)

_Static_assert(PROOF_AT + PROOF_BYTES == LINK_CRYPTO_GREETING_BYTES, "layout");
_Static_assert(LINK_CRYPTO_OVERHEAD ==
		       HEADER_BYTES + LENGTH_BYTES + STREAM(ABYTES),
	       "layout");
_Static_assert(LINK_KEY_BYTES >= crypto_generichash_KEYBYTES_MIN &&
		       LINK_KEY_BYTES <= crypto_generichash_KEYBYTES_MAX,
	       "a key of the hash");
_Static_assert(PROOF_BYTES >= LINK_SEEN_ID_BYTES, "its beginning is the id");

static const uint8_t head[HEAD_BYTES] = {'t', 'c',	 'N', 'k',
					 0,   HANDSHAKE, 0,   0};
/* How a link without a key begins: the length of a HELLO. */
static const uint8_t clear_head[4] = {0, 0, 0, 26};

/* What a hash is for; with the label before it, no two can be mistaken. */
enum purpose {
	PROOF_OF_CLIENT = 1,
	PROOF_OF_SERVER,
	KEY_TO_SERVER,
	KEY_TO_CLIENT
};

enum part { PART_GREETING, PART_HEADER, PART_LENGTH, PART_RECORD };

struct greeting {
	uint8_t b[LINK_CRYPTO_GREETING_BYTES];
};

struct link_crypto {
	enum peer_role role;
	const struct link_key *key;
	struct link_seen *seen;
	enum link_crypto_fault fault;
	uint8_t secret[SECRET_BYTES];
	struct greeting ours, theirs;
	bool greeting_due, may_seal, header_sent;
	STREAM(state) out, in;
	uint8_t out_key[STREAM(KEYBYTES)], in_key[STREAM(KEYBYTES)];

	enum part part; /* that is coming in */
	size_t want, have;
	uint8_t buf[LINK_CRYPTO_RECORD_MAX + STREAM(ABYTES)];
	uint8_t plain[LINK_CRYPTO_RECORD_MAX];
};

/* ---- hashes ---- */

static void hash_begin(crypto_generichash_state *h, const struct link_key *key,
		       enum purpose purpose)
{
	static const uint8_t label[16] = {'t', 'c', 'p', 'c', 'o', 'p',
					  'y', '-', 'n', 'f', 'q', ' ',
					  'l', 'i', 'n', 'k'};
	uint8_t byte = (uint8_t)purpose;

	crypto_generichash_init(h, key->b, sizeof(key->b), 32);
	crypto_generichash_update(h, label, sizeof(label));
	crypto_generichash_update(h, &byte, 1);
}

static void hash_end(crypto_generichash_state *h, uint8_t out[32])
{
	crypto_generichash_final(h, out, 32);
	sodium_memzero(h, sizeof(*h));
}

/* Of the client's greeting; of the server's, which answers that one. */
static void prove(const struct link_key *key, const struct greeting *client,
		  const struct greeting *server, uint8_t out[PROOF_BYTES])
{
	crypto_generichash_state h;

	if (server) {
		hash_begin(&h, key, PROOF_OF_SERVER);
		crypto_generichash_update(&h, client->b, sizeof(client->b));
		crypto_generichash_update(&h, server->b, PROOF_AT);
	} else {
		hash_begin(&h, key, PROOF_OF_CLIENT);
		crypto_generichash_update(&h, client->b, PROOF_AT);
	}
	hash_end(&h, out);
}

static void derive(const struct link_crypto *c, enum purpose purpose,
		   const uint8_t shared[PUBLIC_BYTES], uint8_t out[32])
{
	bool client = c->role == PEER_CLIENT;
	crypto_generichash_state h;

	hash_begin(&h, c->key, purpose);
	crypto_generichash_update(&h, shared, PUBLIC_BYTES);
	crypto_generichash_update(&h, client ? c->ours.b : c->theirs.b,
				  sizeof(c->ours.b));
	crypto_generichash_update(&h, client ? c->theirs.b : c->ours.b,
				  sizeof(c->ours.b));
	hash_end(&h, out);
}

/* ---- the handshake ---- */

static void fail(struct link_crypto *c, enum link_crypto_fault fault)
{
	c->fault = fault;
	c->greeting_due = c->may_seal = false;
}

static void make_greeting(struct link_crypto *c)
{
	uint8_t *public = c->ours.b + HEAD_BYTES;
	bool client = c->role == PEER_CLIENT;

	memcpy(c->ours.b, head, sizeof(head));
	randombytes_buf(c->secret, sizeof(c->secret));
	crypto_scalarmult_curve25519_base(public, c->secret);
	prove(c->key, client ? &c->ours : &c->theirs, client ? NULL : &c->ours,
	      c->ours.b + PROOF_AT);
	c->greeting_due = true;
}

static bool is_proved(const struct link_crypto *c)
{
	bool client = c->role == PEER_CLIENT;
	uint8_t proof[PROOF_BYTES];

	prove(c->key, client ? &c->ours : &c->theirs,
	      client ? &c->theirs : NULL, proof);
	return sodium_memcmp(proof, c->theirs.b + PROOF_AT, sizeof(proof)) == 0;
}

static bool agree(struct link_crypto *c)
{
	bool client = c->role == PEER_CLIENT;
	uint8_t shared[PUBLIC_BYTES];

	if (crypto_scalarmult_curve25519(shared, c->secret,
					 c->theirs.b + HEAD_BYTES))
		return false;
	derive(c, client ? KEY_TO_SERVER : KEY_TO_CLIENT, shared, c->out_key);
	derive(c, client ? KEY_TO_CLIENT : KEY_TO_SERVER, shared, c->in_key);
	sodium_memzero(shared, sizeof(shared));
	sodium_memzero(c->secret, sizeof(c->secret));
	c->may_seal = true;
	return true;
}

/* The cheap checks first: a stranger costs one hash. */
static void on_greeting(struct link_crypto *c)
{
	memcpy(c->theirs.b, c->buf, sizeof(c->theirs.b));
	if (!is_proved(c)) {
		fail(c, LINK_CRYPTO_WRONG_KEY);
		return;
	}
	if (c->role == PEER_SERVER) {
		if (!link_seen_add(c->seen, c->theirs.b + PROOF_AT)) {
			fail(c, LINK_CRYPTO_REPLAYED);
			return;
		}
		make_greeting(c);
	}
	if (!agree(c))
		fail(c, LINK_CRYPTO_ALTERED);
}

static bool begins_with(const uint8_t *buf, size_t len, const uint8_t *what,
			size_t what_len)
{
	return memcmp(buf, what, len < what_len ? len : what_len) == 0;
}

/* A stranger shows itself in its first bytes. */
static void check_head(struct link_crypto *c)
{
	if (begins_with(c->buf, c->have, head, sizeof(head)))
		return;
	if (begins_with(c->buf, c->have, clear_head, sizeof(clear_head)))
		fail(c, LINK_CRYPTO_NO_KEY);
	else if (begins_with(c->buf, c->have, head, 4))
		fail(c, LINK_CRYPTO_OTHER_VERSION);
	else
		fail(c, LINK_CRYPTO_STRANGER);
}

size_t link_crypto_greet(struct link_crypto *c, uint8_t *out)
{
	if (!c->greeting_due)
		return 0;
	c->greeting_due = false;
	memcpy(out, c->ours.b, sizeof(c->ours.b));
	return sizeof(c->ours.b);
}

bool link_crypto_may_seal(const struct link_crypto *c)
{
	return c->may_seal && !c->greeting_due;
}

bool link_crypto_is_greeting(const uint8_t *buf, size_t len)
{
	return len > 0 && begins_with(buf, len, head, 4);
}

/* ---- records ---- */

static size_t push(struct link_crypto *c, const uint8_t *plain, size_t len,
		   uint8_t tag, uint8_t *out)
{
	STREAM(push)(&c->out, out, NULL, plain, len, NULL, 0, tag);
	return len + STREAM(ABYTES);
}

size_t link_crypto_seal(struct link_crypto *c, const uint8_t *plain, size_t len,
			uint8_t *out)
{
	uint8_t *at = out, length[2];

	ASSERT(link_crypto_may_seal(c) && len > 0 &&
	       len <= LINK_CRYPTO_RECORD_MAX);
	if (!c->header_sent) {
		STREAM(init_push)(&c->out, at, c->out_key);
		sodium_memzero(c->out_key, sizeof(c->out_key));
		c->header_sent = true;
		at += HEADER_BYTES;
	}
	store_be16(length, (uint16_t)len);
	at += push(c, length, sizeof(length), TAG_OF_LENGTH, at);
	at += push(c, plain, len, TAG_OF_RECORD, at);
	return (size_t)(at - out);
}

static bool pull(struct link_crypto *c, uint8_t tag, uint8_t *out)
{
	uint8_t their_tag;

	return STREAM(pull)(&c->in, out, NULL, &their_tag, c->buf, c->want,
			    NULL, 0) == 0 &&
	       their_tag == tag;
}

static void expect(struct link_crypto *c, enum part part, size_t want)
{
	c->part = part;
	c->want = want;
	c->have = 0;
}

static void on_header(struct link_crypto *c)
{
	STREAM(init_pull)(&c->in, c->buf, c->in_key);
	sodium_memzero(c->in_key, sizeof(c->in_key));
	expect(c, PART_LENGTH, LENGTH_BYTES);
}

static void on_length(struct link_crypto *c)
{
	uint8_t length[2];
	size_t len;

	if (!pull(c, TAG_OF_LENGTH, length)) {
		fail(c, LINK_CRYPTO_ALTERED);
		return;
	}
	len = load_be16(length);
	if (len == 0 || len > LINK_CRYPTO_RECORD_MAX)
		fail(c, LINK_CRYPTO_ALTERED);
	else
		expect(c, PART_RECORD, len + STREAM(ABYTES));
}

static void on_record(struct link_crypto *c, const uint8_t **plain,
		      size_t *plain_len)
{
	size_t len = c->want - STREAM(ABYTES);

	if (!pull(c, TAG_OF_RECORD, c->plain)) {
		fail(c, LINK_CRYPTO_ALTERED);
		return;
	}
	*plain = c->plain;
	*plain_len = len;
	expect(c, PART_LENGTH, LENGTH_BYTES);
}

static void on_part(struct link_crypto *c, const uint8_t **plain,
		    size_t *plain_len)
{
	switch (c->part) {
	case PART_GREETING:
		on_greeting(c);
		expect(c, PART_HEADER, HEADER_BYTES);
		break;
	case PART_HEADER:
		on_header(c);
		break;
	case PART_LENGTH:
		on_length(c);
		break;
	case PART_RECORD:
		on_record(c, plain, plain_len);
		break;
	}
}

size_t link_crypto_open(struct link_crypto *c, const uint8_t *buf, size_t len,
			const uint8_t **plain, size_t *plain_len)
{
	size_t used = 0;

	*plain = NULL;
	*plain_len = 0;
	while (used < len && c->fault == LINK_CRYPTO_FINE && *plain_len == 0) {
		size_t n = c->want - c->have;

		n = n < len - used ? n : len - used;
		memcpy(c->buf + c->have, buf + used, n);
		c->have += n;
		used += n;
		if (c->part == PART_GREETING)
			check_head(c);
		if (c->have == c->want && c->fault == LINK_CRYPTO_FINE)
			on_part(c, plain, plain_len);
	}
	return used;
}

/* ---- life ---- */

struct link_crypto *link_crypto_new(enum peer_role role,
				    const struct link_key *key,
				    struct link_seen *seen)
{
	struct link_crypto *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->role = role;
	c->key = key;
	c->seen = seen;
	expect(c, PART_GREETING, LINK_CRYPTO_GREETING_BYTES);
	if (role == PEER_CLIENT)
		make_greeting(c);
	return c;
}

void link_crypto_free(struct link_crypto *c)
{
	sodium_memzero(c, sizeof(*c));
	free(c);
}

enum link_crypto_fault link_crypto_fault(const struct link_crypto *c)
{
	return c->fault;
}

const char *link_crypto_fault_text(enum link_crypto_fault fault)
{
	switch (fault) {
	case LINK_CRYPTO_FINE:
		return "no fault";
	case LINK_CRYPTO_STRANGER:
		return "it does not speak our protocol";
	case LINK_CRYPTO_OTHER_VERSION:
		return "it speaks another version of the handshake";
	case LINK_CRYPTO_NO_KEY:
		return "it uses no key (--key-file)";
	case LINK_CRYPTO_WRONG_KEY:
		return "its key is not ours (--key-file)";
	case LINK_CRYPTO_REPLAYED:
		return "its handshake is a repetition";
	case LINK_CRYPTO_ALTERED:
		return "what came from it was forged or altered on the way";
	}
	return "unknown";
}
