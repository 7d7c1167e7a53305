// SPDX-License-Identifier: BSD-2-Clause
/* What iptables-save and nft print: any text is read to its end, and a packet
 * finds its way through any rules, in circles or not. */
#include <stdlib.h>
#include <string.h>

#include "check/nft.h"
#include "check/rules.h"
#include "core/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct rules_place out[] = {
	{"raw", "OUTPUT"}, {"mangle", "OUTPUT"}, {"filter", "OUTPUT"}};
static const struct rules_place in[] = {{"raw", "PREROUTING"},
					{"filter", "INPUT"}};

static bool is_text(const char *s, size_t cap)
{
	return memchr(s, '\0', cap) != NULL;
}

static void walk(const struct rules *r, const struct rules_place *places,
		 size_t count, const struct rules_packet *packet)
{
	struct rules_answer a;

	rules_walk(r, places, count, packet, &a);
	ASSERT(is_text(a.rule, sizeof(a.rule)));
	ASSERT(is_text(a.table, sizeof(a.table)));
	ASSERT(is_text(a.before, sizeof(a.before)));
	ASSERT(a.fate <= RULES_ADDRESS_CHANGED);
}

static void walk_native(const char *text, const struct rules_packet *packet)
{
	struct nft *n = nft_parse(text);
	struct nft_answer a;
	uint16_t ports[4];

	if (!n)
		return;
	for (int v4 = 0; v4 < 2; v4++) {
		nft_walk(n, v4, packet, &a);
		ASSERT(is_text(a.rule, sizeof(a.rule)));
		ASSERT(is_text(a.table, sizeof(a.table)));
		ASSERT(a.fate <= NFT_UNCLEAR);
	}
	ASSERT(nft_ports(n, 0, ports, 4) <= 4);
	nft_free(n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ip_addr to = {
		{[10] = 0xff, [11] = 0xff, 10, 0, 0, 1}};
	static const struct addr_prefix exempt = {
		.addr = {{[10] = 0xff, [11] = 0xff, 10, 0, 0, 0}},
		.len = 96 + 8};
	const struct rules_packet answer = {
		.sport = 80, .exempt = &exempt, .exempt_count = 1};
	const struct rules_packet request = {
		.dport = 80, .dst = &to, .device = "eth0", .queue_num = 1};
	char *text = malloc(size + 1);
	uint16_t ports[4];
	struct rules *r;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	walk_native(text, &answer);
	r = rules_parse(text);
	free(text);
	if (!r)
		return 0;
	walk(r, out, 3, &answer);
	walk(r, in, 2, &request);
	ASSERT(rules_ports(r, 0, ports, 4) <= 4);
	rules_free(r);
	return 0;
}
