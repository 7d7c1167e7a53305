/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of the lists of sockets in /proc/net. */
#ifndef IO_PROC_LINE_H
#define IO_PROC_LINE_H

#include <stdbool.h>
#include <stdint.h>

/* Of "unix": the name of the socket with the space before it and the newline
 * behind it, or what stands there instead; in the line. */
const char *proc_unix_name(const char *line);

/* Of "netlink". */
struct proc_netlink {
	unsigned bus;
	uint32_t portid;
	unsigned long inode;
};

bool proc_netlink_parse(struct proc_netlink *out, const char *line);

#endif
