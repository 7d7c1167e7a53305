/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of network devices by index, kept up to date by the kernel's news. */
#ifndef IO_DEVICES_H
#define IO_DEVICES_H

#include <stdint.h>

#define DEVICE_NAME_MAX 16 /* with the terminator */

struct devices;

/* Reads the table of this network namespace. NULL: errno says why. */
struct devices *devices_open(void);
void devices_close(struct devices *d);
/* To be polled for reading; then call devices_update(). */
int devices_fd(const struct devices *d);
void devices_update(struct devices *d);
/* Returns buf: the name, or "device 7" when there is none by that index. */
char *devices_name(struct devices *d, uint32_t ifindex,
		   char buf[DEVICE_NAME_MAX + 8]);

#endif
