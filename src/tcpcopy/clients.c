// SPDX-License-Identifier: BSD-2-Clause
#include "tcpcopy/clients.h"

bool clients_parse(struct clients *c, const char *text,
		   struct opts_fault *fault)
{
	char item[OPTS_ITEM_MAX];
	int rc;

	while ((rc = opts_item(&text, item, sizeof(item))) > 0) {
		if (c->count == CLIENTS_MAX)
			return opts_fail(fault, "at most %d networks",
					 CLIENTS_MAX);
		if (!opts_range(item, &c->ranges[c->count], fault))
			return false;
		c->count++;
	}
	return rc == 0 ||
	       opts_fail(fault, "must be ADDRESS, ADDRESS/LENGTH or "
				"192.0.2.x, with commas between them");
}

bool clients_have_family(const struct clients *c, bool v4)
{
	for (size_t i = 0; i < c->count; i++)
		if (addr_is_v4(&c->ranges[i].first) == v4)
			return true;
	return false;
}
