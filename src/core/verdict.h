/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens to a packet that leaves the target: it is dropped, unless its
 * destination is on the passlist. */
#ifndef CORE_VERDICT_H
#define CORE_VERDICT_H

#include "core/addr.h"

/* Zero is the safe one: no path can let a packet out by omission. */
enum verdict { VERDICT_DROP = 0, VERDICT_ACCEPT };

enum verdict verdict_for(const struct addr_prefix *passlist, size_t count,
			 const struct ip_addr *destination);

#endif
