/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether IPv4 packets that are put on lo as frames arrive, wherever they say
 * that they come from. */
#ifndef IO_LO_ARRIVAL_H
#define IO_LO_ARRIVAL_H

struct lo_arrival;

/* 0 or -ENOMEM. What cannot be asked is a hindrance. */
int lo_arrival_open(struct lo_arrival **out);
void lo_arrival_close(struct lo_arrival *a);
/* Asks the kernel. NULL: they do; or else what is in the way. To be called
 * every second. */
const char *lo_arrival_hindrance(struct lo_arrival *a);

#endif
