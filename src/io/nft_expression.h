/* SPDX-License-Identifier: BSD-2-Clause */
/* The pieces of which messages for nf_tables and their rules are made. */
#ifndef IO_NFT_EXPRESSION_H
#define IO_NFT_EXPRESSION_H

#include <stddef.h>
#include <stdint.h>

struct nlmsghdr;
struct nlattr;

/* A message of this type (with its subsystem) at at. */
struct nlmsghdr *nft_put_header(void *at, uint16_t type, uint16_t flags,
				uint8_t family, uint16_t res_id, uint32_t seq);

struct nft_expression {
	struct nlattr *element, *data;
};

struct nft_expression nft_open_expression(struct nlmsghdr *nlh,
					  const char *name);
void nft_close_expression(struct nlmsghdr *nlh, struct nft_expression e);
void nft_put_value(struct nlmsghdr *nlh, uint16_t type, const void *value,
		   size_t len);

/* Bytes of the packet (NFT_PAYLOAD_*), or NFT_META_* of it, into the register;
 * the rule goes on if it has this value. */
void nft_put_load(struct nlmsghdr *nlh, uint32_t base, uint32_t offset,
		  uint32_t len);
void nft_put_load_meta(struct nlmsghdr *nlh, uint32_t key);
void nft_put_equals(struct nlmsghdr *nlh, const void *value, size_t len);

#endif
