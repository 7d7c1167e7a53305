// SPDX-License-Identifier: BSD-2-Clause
#include "tcpcopy/rate.h"

#include <string.h>

/* Digits, or digits and an M. */
static bool parse_one(uint64_t *packets, uint64_t *megabits, char *item,
		      struct opts_fault *fault)
{
	size_t len = strlen(item);
	bool bits = len > 1 && item[len - 1] == 'M';
	uint64_t *rate = bits ? megabits : packets;

	if (bits)
		item[len - 1] = '\0';
	if (*rate)
		return opts_fail(fault, "at most one rate of packets and one "
					"of megabits");
	return opts_number(item,
			   bits ? "megabits a second (with M)"
				: "packets a second (megabits with M)",
			   1, bits ? RATE_MEGABITS_MAX : RATE_PACKETS_MAX, rate,
			   fault);
}

bool rate_parse(uint64_t *packets, uint64_t *megabits, const char *text,
		struct opts_fault *fault)
{
	char item[OPTS_ITEM_MAX];
	int rc;

	*packets = *megabits = 0;
	while ((rc = opts_item(&text, item, sizeof(item))) > 0)
		if (!parse_one(packets, megabits, item, fault))
			return false;
	return rc == 0 || opts_fail(fault, "must be PACKETS, MEGABITSM or "
					   "PACKETS,MEGABITSM a second");
}
