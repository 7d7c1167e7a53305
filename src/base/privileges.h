/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What this process may do: by capability and not by user while it starts, and
 * as little as possible afterwards.
 */
#ifndef BASE_PRIVILEGES_H
#define BASE_PRIVILEGES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* capability: CAP_NET_RAW, ... of <linux/capability.h>. */
bool privileges_have(unsigned capability);

struct privileges_user {
	uid_t uid;
	gid_t gid;
};

/* A user of this host by name, or any user id; one that is not known here has
 * the group of the same number. */
bool privileges_user_find(const char *text, struct privileges_user *out);
/* Who serves when root starts us and names nobody: the user "tcpcopy" if this
 * host has one, or else "nobody". */
void privileges_user_default(struct privileges_user *out);
/* Whether this process may become somebody else. */
bool privileges_may_change_user(void);

/* From here on the programs that we start have what we have. Without it they
 * have nothing unless we are root. */
void privileges_hand_down(void);

/*
 * For good: becomes user (NULL: stays who it is), without supplementary groups,
 * keeps only this capability of those it has (-1: none), can gain none, and
 * leaves no core. Call it while there is one thread. 0 or -errno.
 */
int privileges_drop(const struct privileges_user *user, int keep);

#endif
