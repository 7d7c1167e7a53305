// SPDX-License-Identifier: BSD-2-Clause
#include "core/verdict.h"

enum verdict verdict_for(const struct addr_prefix *passlist, size_t count,
			 const struct ip_addr *destination)
{
	for (size_t i = 0; i < count; i++)
		if (addr_in_prefix(destination, &passlist[i]))
			return VERDICT_ACCEPT;
	return VERDICT_DROP;
}
