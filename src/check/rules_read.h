/* SPDX-License-Identifier: BSD-2-Clause */
/* This host's firewall rules, as its own tools print them. */
#ifndef CHECK_RULES_READ_H
#define CHECK_RULES_READ_H

#include "check/nft.h"
#include "check/rules.h"

/* iptables comes in two flavours, each with rules of its own. */
enum rules_flavour { RULES_NFT, RULES_LEGACY, RULES_FLAVOURS };

struct rules_host {
	/* [0] IPv4, [1] IPv6; NULL: the tool is not here, or cannot read. */
	struct rules *flavours[2][RULES_FLAVOURS];
	struct nft *native; /* NULL: there is no nft(8), or it cannot read */
};

void rules_host_read(struct rules_host *h);
void rules_host_free(struct rules_host *h);

/* "iptables", or with -nft or -legacy where both are in use. */
const char *rules_tool(const struct rules_host *h, bool v4,
		       enum rules_flavour flavour);

#endif
