/* SPDX-License-Identifier: BSD-2-Clause */
/* The key that both ends of a link have, and its file. */
#ifndef IO_LINK_KEY_H
#define IO_LINK_KEY_H

#include "base/opts.h"

#define LINK_KEY_BYTES 32

struct link_key {
	uint8_t b[LINK_KEY_BYTES];
};

/* As a file has it: hexadecimal digits and a newline, no terminator. */
#define LINK_KEY_TEXT_BYTES (2 * LINK_KEY_BYTES + 1)
void link_key_print(char text[LINK_KEY_TEXT_BYTES], const struct link_key *key);
/* false: it is no key. The newline may be missing. */
bool link_key_parse(struct link_key *key, const char *text, size_t len);

/* Writes a new key to a file that does not exist yet, for its owner alone.
 * false: fault says why. */
bool link_key_make(const char *path, struct opts_fault *fault);
/* NULL: fault says why; among others, when anybody but the owner may read the
 * file. In memory that is not swapped out as far as the limits allow. */
struct link_key *link_key_load(const char *path, struct opts_fault *fault);
/* Wipes it; key may be NULL. */
void link_key_free(struct link_key *key);

#endif
