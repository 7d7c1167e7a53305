/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What this host's addresses say of a peer: whether it may connect, and whether
 * a target is here. They are read again when they are asked for and a second
 * old: so long an address that came does not count, and one that went still
 * does.
 */
#ifndef IO_LINK_ACCESS_H
#define IO_LINK_ACCESS_H

#include "core/addr.h"

struct link_access;

/* allow, which is borrowed: who may connect besides this host and the subnets
 * of its interfaces. 0 or -errno. */
int link_access_open(struct link_access **out, const struct addr_prefix *allow,
		     size_t allow_count, uint64_t now_us);
void link_access_free(struct link_access *la);

bool link_access_may_connect(struct link_access *la, const struct ip_addr *who,
			     uint64_t now_us);
/* An address of this host. */
bool link_access_is_own(struct link_access *la, const struct ip_addr *addr,
			uint64_t now_us);
/* The same as far as it is known: an address that is new may be missed for a
 * moment, but asking costs no system call, whoever asks how often. */
bool link_access_is_own_now(const struct link_access *la,
			    const struct ip_addr *addr);
/* The prefixes from which connections may come, as far as they fit. */
void link_access_text(const struct link_access *la, char *out, size_t cap);

#endif
