/* SPDX-License-Identifier: BSD-2-Clause */
/* One guard a port and network namespace at a time. */
#ifndef IO_GUARD_LOCK_H
#define IO_GUARD_LOCK_H

#include <stdbool.h>
#include <stdint.h>

/* A descriptor that holds the lock until it is closed, at the process's end at
 * the latest. -EADDRINUSE: another process has it; -errno. */
int guard_lock(uint16_t port);
/* Whether some process has it. To look takes nothing, so that an intercept that
 * starts at this moment finds it free. */
bool guard_is_locked(uint16_t port);

#endif
