// SPDX-License-Identifier: BSD-2-Clause
#include "intercept/options.h"

#include <stdlib.h>

#include "base/count.h"
#include "base/workers.h"
#include "core/wire.h"

#define QUEUE_LENGTH_MAX 65536 /* current kernels hold no more */
#define RECORDS_DEFAULT	 1024
#define RECORDS_MAX	 65535

enum {
	OPT_QUEUE_NUM = OPTS_LONG_ONLY,
	OPT_GUARD,
	OPT_UNGUARD,
	OPT_PRINT_RULES,
	OPT_ALLOW,
	OPT_RELAY,
	OPT_KEY_FILE,
	OPT_MAKE_KEY,
	OPT_WORKERS
};

static const struct opt table[] = {
	{'x', "passlist", "LIST",
	 "addresses, prefixes that answers may reach (none)"},
	{OPT_GUARD, "guard", "PORT,...",
	 "set up rule and fence for these ports, keep watch"},
	{OPT_UNGUARD, "unguard", "PORT,...",
	 "remove what --guard left there, and end"},
	{OPT_PRINT_RULES, "print-rules", NULL,
	 "with --guard: print commands that do it, and end"},
	{'p', "port", "PORT", "port for the links of tcpcopy (36524)"},
	{'b', "bind", "ADDRESS", "local address for that port (all)"},
	{OPT_RELAY, "relay", "PORT,...",
	 "inject what tcpcopy --path relay has for PORT"},
	{OPT_ALLOW, "allow", "LIST",
	 "connect from these too, not just own subnets"},
	{OPT_KEY_FILE, "key-file", "FILE",
	 "links only with this key, and encrypted"},
	{OPT_MAKE_KEY, "make-key", "FILE", "write a new key and end"},
	{OPT_QUEUE_NUM, "queue-num", "N", "NFQUEUE number, as in the rule (0)"},
	{OPT_WORKERS, "workers", "N",
	 "processes, with N queues and ports on from these (1)"},
	{'q', "queue-length", "COUNT",
	 "packets that may wait in the queue (65536)"},
	{'n', "records", "COUNT", "headers in one frame at most (1024)"},
	SERVICE_OPTIONS};

static const struct opts_number_row numbers[] = {
#define FIELD(name) offsetof(struct options, name)
	{OPT_QUEUE_NUM, "queue number", 0, UINT16_MAX, FIELD(queue_num)},
	{'q', "packets", 1, QUEUE_LENGTH_MAX, FIELD(queue_length)},
	{'n', "records", 1, RECORDS_MAX, FIELD(records)},
	{OPT_WORKERS, "workers", 1, WORKERS_MAX, FIELD(workers)},
#undef FIELD
};

static const char usage[] =
	"Usage: intercept [OPTION]...\n"
	"Takes the answers of the application under test out of the OUTPUT "
	"chain, drops\n"
	"them, and tells tcpcopy what their headers said. Needs CAP_NET_ADMIN "
	"and, before\n"
	"the first request arrives, --guard PORT or a rule of your own for "
	"it:\n"
	"  iptables -I OUTPUT -p tcp --sport PORT -j NFQUEUE\n"
	"\"intercept check\" with the same options says what is in the way "
	"(--json).\n\n";

static bool add_prefix(struct prefix_list *list,
		       const struct addr_prefix *prefix)
{
	struct addr_prefix *more =
		reallocarray(list->items, list->count + 1, sizeof(*more));

	if (!more)
		return false;
	list->items = more;
	more[list->count++] = *prefix;
	return true;
}

static bool take_prefixes(struct prefix_list *list, const char *value,
			  struct opts_fault *fault)
{
	char item[OPTS_ITEM_MAX];
	struct addr_prefix prefix;
	int rc;

	while ((rc = opts_item(&value, item, sizeof(item))) == 1) {
		if (!opts_prefix(item, &prefix, fault))
			return false;
		if (!add_prefix(list, &prefix))
			return opts_fail(fault, "no memory");
	}
	if (rc < 0 || list->count == 0)
		return opts_fail(fault, "must be ADDRESS or ADDRESS/LENGTH, "
					"several with commas between");
	return true;
}

/* A slip of the hand here would send every answer to the real clients. */
static bool is_everything(const struct addr_prefix *p)
{
	return p->len == 0 || (addr_is_v4(&p->addr) && p->len == 96);
}

static bool take_passlist(struct options *o, const char *value,
			  struct opts_fault *fault)
{
	if (!take_prefixes(&o->passlist, value, fault))
		return false;
	for (size_t i = 0; i < o->passlist.count; i++)
		if (is_everything(&o->passlist.items[i]))
			return opts_fail(fault, "a prefix of length 0 would "
						"let every answer out; 1 is "
						"the shortest");
	return true;
}

static bool add_port(uint16_t **ports, size_t *count, uint16_t port)
{
	uint16_t *more = reallocarray(*ports, *count + 1, sizeof(*more));

	if (!more)
		return false;
	*ports = more;
	for (size_t i = 0; i < *count; i++)
		if (more[i] == port)
			return true;
	more[(*count)++] = port;
	return true;
}

static bool take_ports(uint16_t **ports, size_t *count, const char *list,
		       struct opts_fault *fault)
{
	char item[OPTS_ITEM_MAX];
	uint16_t port;
	int rc;

	while ((rc = opts_item(&list, item, sizeof(item))) == 1) {
		if (!opts_port(item, &port, fault))
			return false;
		if (!add_port(ports, count, port))
			return opts_fail(fault, "no memory");
	}
	if (rc < 0 || *count == 0)
		return opts_fail(fault, "must be PORT, several with commas "
					"between");
	return true;
}

static bool take_guarded(struct options *o, const char *value,
			 struct opts_fault *fault)
{
	if (!take_ports(&o->guard_ports, &o->guard_count, value, fault))
		return false;
	return o->guard_count <= WIRE_GUARDED_MAX ||
	       opts_fail(fault, "must be at most %u ports", WIRE_GUARDED_MAX);
}

static bool take_address(struct options *o, const char *value,
			 struct opts_fault *fault)
{
	if (!opts_addr(value, &o->address) ||
	    (!opts_is_host(&o->address) && !addr_is_any(&o->address)))
		return opts_fail(fault, "must be an IPv4 or IPv6 address of "
					"this host");
	return true;
}

static bool take_key(struct options *o, const char *value,
		     struct opts_fault *fault)
{
	link_key_free(o->key);
	o->key = link_key_load(value, fault);
	return o->key;
}

static bool take_make_key(struct options *o, const char *value,
			  struct opts_fault *fault)
{
	o->make_key = value;
	return *value || opts_fail(fault, "must not be empty");
}

static bool take(void *ctx, int id, const char *value, struct opts_fault *fault)
{
	struct options *o = ctx;
	bool ok;

	if (service_option(&o->service, id, value, fault, &ok) ||
	    opts_number_of(numbers, COUNT(numbers), o, id, value, fault, &ok))
		return ok;
	switch (id) {
	case 'x':
		return take_passlist(o, value, fault);
	case 'p':
		return opts_port(value, &o->port, fault);
	case 'b':
		return take_address(o, value, fault);
	case OPT_GUARD:
		o->guard = true;
		return take_guarded(o, value, fault);
	case OPT_UNGUARD:
		o->unguard = true;
		return take_ports(&o->guard_ports, &o->guard_count, value,
				  fault);
	case OPT_RELAY:
		return take_ports(&o->relay_ports, &o->relay_count, value,
				  fault);
	case OPT_PRINT_RULES:
		o->print_rules = true;
		return true;
	case OPT_ALLOW:
		return take_prefixes(&o->allow, value, fault);
	case OPT_KEY_FILE:
		return take_key(o, value, fault);
	case OPT_MAKE_KEY:
		return take_make_key(o, value, fault);
	default:
		return opts_fail(fault, "not handled");
	}
}

static const struct opts_program program = {
	.name = "intercept",
	.usage = usage,
	.table = table,
	.count = COUNT(table),
	.take = take,
};

static bool check_workers(const struct options *o, struct opts_fault *fault)
{
	unsigned more = o->workers - 1;

	if (o->queue_num + more > UINT16_MAX)
		return opts_fail(fault,
				 "--workers %u: --queue-num must be at most "
				 "%u with so many",
				 o->workers, UINT16_MAX - more);
	if (o->port + more > UINT16_MAX)
		return opts_fail(fault,
				 "--workers %u: -p must be at most %u with so "
				 "many",
				 o->workers, UINT16_MAX - more);
	return true;
}

/* What the application says is kept from clients, and what is injected is for
 * it; who has a link is to be heard, and came by its own address. */
static bool check_ports(const struct options *o, const char *option,
			const uint16_t *ports, size_t count,
			struct opts_fault *fault)
{
	for (size_t i = 0; i < count; i++)
		if (ports[i] >= o->port && ports[i] < o->port + o->workers)
			return opts_fail(fault,
					 "%s %u: is the port of the links "
					 "(-p), and not the application's",
					 option, ports[i]);
	return true;
}

static bool check(const struct options *o, struct opts_fault *fault)
{
	if (!check_workers(o, fault))
		return false;
	if (o->key && o->allow.count > 0)
		return opts_fail(fault, "--allow: not together with "
					"--key-file: who has the key may "
					"connect from anywhere");
	if (o->unguard && o->guard)
		return opts_fail(fault, "--unguard: not together with --guard");
	if (o->print_rules && !o->guard)
		return opts_fail(fault,
				 "--print-rules: only together with --guard");
	if (o->print_rules && o->service.netns)
		return opts_fail(fault, "--print-rules: not together with "
					"--netns: what it prints must be run "
					"in that namespace (nsenter "
					"--net=FILE)");
	return check_ports(o, "--guard", o->guard_ports,
			   o->guard ? o->guard_count : 0, fault) &&
	       check_ports(o, "--relay", o->relay_ports, o->relay_count, fault);
}

bool options_parse(struct options *o, int argc, char **argv,
		   struct opts_fault *fault)
{
	*o = (struct options){
		.port = INTERCEPT_PORT,
		.queue_length = QUEUE_LENGTH_MAX,
		.records = RECORDS_DEFAULT,
		.workers = 1,
	};
	service_options_init(&o->service);
	if (!opts_parse(&program, argc, argv, o, fault))
		return false;
	return o->service.help || o->service.version || check(o, fault);
}

void options_help(FILE *out)
{
	opts_help(&program, out);
}

void options_free(struct options *o)
{
	free(o->guard_ports);
	free(o->relay_ports);
	free(o->passlist.items);
	free(o->allow.items);
	link_key_free(o->key);
}
