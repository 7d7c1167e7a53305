// SPDX-License-Identifier: BSD-2-Clause
/* A value from the command line, given to everything that parses one: what is
 * refused leaves a reason, what is taken is sound. */
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "tcpcopy/clients.h"
#include "tcpcopy/transfer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Instead of the C library's: nothing is looked up while fuzzing. */
int getaddrinfo(const char *node, const char *service,
		const struct addrinfo *hints, struct addrinfo **found)
{
	(void)node;
	(void)service;
	(void)hints;
	*found = NULL;
	return EAI_NONAME;
}

static void sound(bool ok, const struct opts_fault *fault)
{
	ASSERT(memchr(fault->text, '\0', sizeof(fault->text)));
	ASSERT(ok || fault->text[0]);
}

static void parse_transfer(const char *text)
{
	struct opts_fault fault = {""};
	struct transfer *t = calloc(1, sizeof(*t));

	if (!t)
		return;
	sound(transfer_parse(t, text, &fault), &fault);
	ASSERT(t->target_count <= t->mapping_count + 1);
	for (size_t i = 0; i < t->mapping_count; i++) {
		ASSERT(t->mappings[i].source.port);
		ASSERT(t->mappings[i].target < t->target_count);
		ASSERT(t->targets[t->mappings[i].target].port);
		ASSERT(opts_is_host(&t->targets[t->mappings[i].target].addr));
	}
	free(t);
}

static void parse_clients(const char *text)
{
	struct opts_fault fault = {""};
	struct clients *c = calloc(1, sizeof(*c));

	if (!c)
		return;
	sound(clients_parse(c, text, &fault), &fault);
	for (size_t i = 0; i < c->count; i++) {
		struct addr_range r = c->ranges[i];
		struct ip_addr last = addr_range_at(&r, r.count - 1);

		ASSERT(r.count && opts_is_host(&r.first));
		ASSERT(opts_is_host(&last));
	}
	free(c);
}

static void parse_rest(const char *text)
{
	struct opts_fault fault = {""};
	struct addr_prefix prefix;
	struct endpoint e;
	uint64_t number;
	bool ok;

	ok = opts_number(text, "n", 5, 500, &number, &fault);
	sound(ok, &fault);
	ASSERT(!ok || (number >= 5 && number <= 500));
	fault.text[0] = '\0';
	ok = opts_seconds(text, "s", 0.001, 86400, &number, &fault);
	sound(ok, &fault);
	ASSERT(!ok || (number >= 1000 && number <= 86400000000));
	fault.text[0] = '\0';
	ok = opts_prefix(text, &prefix, &fault);
	sound(ok, &fault);
	ASSERT(!ok || prefix.len <= 128);
	fault.text[0] = '\0';
	sound(opts_endpoint(text, 36524, &e, &fault), &fault);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	parse_transfer(text);
	parse_clients(text);
	parse_rest(text);
	free(text);
	return 0;
}
