// SPDX-License-Identifier: BSD-2-Clause
/* A value from the command line, a key file or a line of /proc, given to
 * everything that parses one: what is refused leaves a reason, what is taken is
 * sound. */
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/check.h"
#include "io/link_key.h"
#include "io/proc_line.h"
#include "tcpcopy/clients.h"
#include "tcpcopy/rate.h"
#include "tcpcopy/transfer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct addrinfo entry;
static struct sockaddr_storage where;

/* Instead of the C library's: nothing is looked up while fuzzing. A name's
 * first letter says what it is the name of. */
int getaddrinfo(const char *node, const char *service,
		const struct addrinfo *hints, struct addrinfo **found)
{
	(void)service;
	(void)hints;
	*found = NULL;
	if (!strchr("456", node[0]))
		return EAI_NONAME;
	where.ss_family = node[0] == '4'   ? AF_INET
			  : node[0] == '6' ? AF_INET6
					   : AF_UNIX;
	memset((char *)&where + sizeof(where.ss_family), 32, 24);
	entry.ai_addr = (struct sockaddr *)&where;
	*found = &entry;
	return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
	ASSERT(found == &entry);
}

static void sound(bool ok, const struct opts_fault *fault)
{
	ASSERT(memchr(fault->text, '\0', sizeof(fault->text)));
	ASSERT(ok || fault->text[0]);
}

static void use_transfer(const struct transfer *t)
{
	static const struct ip_addr own = {{[10] = 0xff, 0xff, 192, 0, 2, 1}};
	const struct endpoint *loop = transfer_loop(t, &own, 1);
	char *filter = t->mapping_count ? transfer_filter_text(t, "tcp") : NULL;

	ASSERT(!loop || loop->port);
	ASSERT(!filter || strstr(filter, "tcp"));
	transfer_names_source(t);
	free(filter);
}

static void parse_transfer(const char *text)
{
	struct opts_fault fault = {""};
	struct transfer *t = calloc(1, sizeof(*t));

	if (!t)
		return;
	sound(transfer_parse(t, text, &fault), &fault);
	ASSERT(t->target_count <= t->mapping_count + 1);
	use_transfer(t);
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
	ASSERT(!clients_have_family(c, true) || c->count);
	ASSERT(!clients_have_family(c, false) || c->count);
	free(c);
}

static void parse_rate(const char *text)
{
	struct opts_fault fault = {""};
	uint64_t packets, megabits;
	bool ok = rate_parse(&packets, &megabits, text, &fault);

	sound(ok, &fault);
	ASSERT(!ok || packets || megabits);
	ASSERT(!ok ||
	       (packets <= RATE_PACKETS_MAX && megabits <= RATE_MEGABITS_MAX));
}

/* A key that is taken is printed as the same again. */
static void parse_key(const char *text, size_t len)
{
	char again[LINK_KEY_TEXT_BYTES];
	struct link_key key, same;

	if (!link_key_parse(&key, text, len))
		return;
	link_key_print(again, &key);
	ASSERT(strncasecmp(again, text, sizeof(again) - 1) == 0);
	ASSERT(link_key_parse(&same, again, sizeof(again)));
	ASSERT(memcmp(key.b, same.b, sizeof(key.b)) == 0);
}

static void parse_line(const char *text)
{
	const char *name = proc_unix_name(text);
	struct proc_netlink sock;

	ASSERT(name >= text && name <= text + strlen(text));
	proc_netlink_parse(&sock, text);
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
	parse_rate(text);
	parse_key(text, size);
	parse_line(text);
	parse_rest(text);
	free(text);
	return 0;
}
