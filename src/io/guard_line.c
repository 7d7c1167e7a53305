// SPDX-License-Identifier: BSD-2-Clause
#include "io/guard_line.h"

#include <string.h>
#include <unistd.h>
#include <sys/socket.h>

bool guard_has_family(int family)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static struct guard_prefix prefix_of(const struct addr_prefix *p, bool v4)
{
	struct guard_prefix out = {.len = (uint8_t)(v4 ? p->len - 96 : p->len)};
	unsigned whole = out.len / 8, rest = out.len % 8;
	const uint8_t *from = p->addr.b + (v4 ? 12 : 0);

	memcpy(out.bytes, from, whole);
	if (rest > 0)
		out.bytes[whole] = from[whole] & (uint8_t)(0xff00 >> rest);
	return out;
}

static bool is_there(const struct guard_prefix *list, size_t count,
		     const struct guard_prefix *p)
{
	for (size_t i = 0; i < count; i++)
		if (memcmp(&list[i], p, sizeof(*p)) == 0)
			return true;
	return false;
}

size_t guard_prefixes(int family, const struct addr_prefix *in, size_t count,
		      struct guard_prefix *out)
{
	bool v4 = family == AF_INET;
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (addr_is_v4(&in[i].addr) != v4)
			continue;
		out[n] = prefix_of(&in[i], v4);
		n += !is_there(out, n, &out[n]);
	}
	return n;
}
