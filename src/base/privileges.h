/* SPDX-License-Identifier: BSD-2-Clause */
/* What this process may do, by capability and not by user. */
#ifndef BASE_PRIVILEGES_H
#define BASE_PRIVILEGES_H

#include <stdbool.h>

/* capability: CAP_NET_RAW, ... of <linux/capability.h>. */
bool privileges_have(unsigned capability);

#endif
