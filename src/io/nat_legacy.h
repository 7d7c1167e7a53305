/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether iptables-legacy has one of its tables nat and raw in this network
 * namespace. */
#ifndef IO_NAT_LEGACY_H
#define IO_NAT_LEGACY_H

enum nat_answer { NAT_NONE, NAT_SOME, NAT_UNTOLD };

#define NAT_LEGACY_FILES 2

struct nat_legacy {
	const char *dir;
	int fds[NAT_LEGACY_FILES]; /* -1: not open */
};

/* dir: /proc/self/net; borrowed. Opens what is there, which root or root's
 * group may. */
void nat_legacy_open(struct nat_legacy *n, const char *dir);
void nat_legacy_close(struct nat_legacy *n);
/* As it is at this moment: two short reads. */
enum nat_answer nat_legacy_ask(struct nat_legacy *n);

#endif
