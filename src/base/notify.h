/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tells the service manager that started us how we are: lines to the local
 * socket that it named in the environment, as sd_notify(3) describes.
 */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Finds the manager, if there is one; it is not passed on to children. */
void notify_open(void);
void notify_close(void);
/* "READY=1" and the like. Nothing without a manager. */
void notify_say(const char *state);
/* How often the manager wants to hear "WATCHDOG=1" at least; 0: never. */
uint64_t notify_watchdog_us(void);

#endif
