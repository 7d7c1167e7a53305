// SPDX-License-Identifier: BSD-2-Clause
#include "io/link_key.h"

#include <sodium.h>

void link_key_print(char text[LINK_KEY_TEXT_BYTES], const struct link_key *key)
{
	sodium_bin2hex(text, LINK_KEY_TEXT_BYTES, key->b, sizeof(key->b));
	text[LINK_KEY_TEXT_BYTES - 1] = '\n';
}

bool link_key_parse(struct link_key *key, const char *text, size_t len)
{
	size_t bytes = 0;

	if (len > 0 && text[len - 1] == '\n')
		len--;
	return sodium_hex2bin(key->b, sizeof(key->b), text, len, NULL, &bytes,
			      NULL) == 0 &&
	       bytes == sizeof(key->b);
}
