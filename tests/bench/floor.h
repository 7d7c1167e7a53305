/* SPDX-License-Identifier: BSD-2-Clause */
/* What the programs that measure the floors share. */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <signal.h>
#include <stdint.h>

/* How long to wait at most before looking at floor_ended. */
#define FLOOR_TICK_MS 100

/* SIGTERM or SIGINT came. */
extern volatile sig_atomic_t floor_ended;

void floor_signals(void);

/* CPU time of this process so far. With veth pairs the kernel does the
 * receiver's work in the sender's time: it is in there, too. */
double floor_cpu_us(void);

/* Says what failed, with errno, and ends with 1. */
_Noreturn void floor_die(const char *what);

/* A decimal number, or the end of the program. */
unsigned floor_number(const char *text);

/* Tells who started us that what is set up is set up. */
void floor_ready(void);

#endif
