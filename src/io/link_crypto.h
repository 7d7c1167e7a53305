/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a key makes of a link: a handshake, then sealed records, in each
 * direction. Bytes in, bytes out, no socket; docs/link-protocol.md has the
 * layout and what it is good for.
 *
 * The server has nothing to send before the client's message has proved that it
 * was made with the key, and by nobody who only repeats it.
 */
#ifndef IO_LINK_CRYPTO_H
#define IO_LINK_CRYPTO_H

#include "core/peer.h"
#include "io/link_key.h"
#include "io/link_seen.h"

/* Each end's message of the handshake. */
#define LINK_CRYPTO_GREETING_BYTES 72u
/* Bytes in one record at most, and what comes on top of them. */
#define LINK_CRYPTO_RECORD_MAX 16384u
#define LINK_CRYPTO_OVERHEAD   60u

enum link_crypto_fault {
	LINK_CRYPTO_FINE = 0,
	LINK_CRYPTO_STRANGER,	   /* no handshake of ours */
	LINK_CRYPTO_OTHER_VERSION, /* of the handshake */
	LINK_CRYPTO_NO_KEY,	   /* ours, but in the clear */
	LINK_CRYPTO_WRONG_KEY,
	LINK_CRYPTO_REPLAYED, /* a handshake that has been there before */
	LINK_CRYPTO_ALTERED,  /* forged, changed, repeated or left out */
};

struct link_crypto;

/* key, and the server's seen, are borrowed. NULL: no memory. */
struct link_crypto *link_crypto_new(enum peer_role role,
				    const struct link_key *key,
				    struct link_seen *seen);
/* Wipes it. */
void link_crypto_free(struct link_crypto *c);

/* Takes our message of the handshake out, once, when it is due: how many bytes
 * of out that are, LINK_CRYPTO_GREETING_BYTES or 0. */
size_t link_crypto_greet(struct link_crypto *c, uint8_t *out);
/* The handshake is so far that records can be sealed. */
bool link_crypto_may_seal(const struct link_crypto *c);
/* One record of 1 to LINK_CRYPTO_RECORD_MAX bytes, LINK_CRYPTO_OVERHEAD longer
 * at most; its length. Records are to be sent in the order of their making. */
size_t link_crypto_seal(struct link_crypto *c, const uint8_t *plain, size_t len,
			uint8_t *out);
/* Takes bytes of the other side: how many, to the end of a record at most,
 * whose content *plain is then, until the next call; else *plain_len is 0.
 * After a fault nothing more comes. */
size_t link_crypto_open(struct link_crypto *c, const uint8_t *buf, size_t len,
			const uint8_t **plain, size_t *plain_len);
enum link_crypto_fault link_crypto_fault(const struct link_crypto *c);
const char *link_crypto_fault_text(enum link_crypto_fault fault);

/* For an end without a key: these first bytes are of one that has one. */
bool link_crypto_is_greeting(const uint8_t *buf, size_t len);

#endif
