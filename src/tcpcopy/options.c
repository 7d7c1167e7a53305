// SPDX-License-Identifier: BSD-2-Clause
#include "tcpcopy/options.h"

#include <string.h>

#include "base/count.h"
#include "base/workers.h"
#include "io/link_server.h"
#include "tcpcopy/rate.h"

enum {
	OPT_MAX_HOLD = OPTS_LONG_ONLY,
	OPT_NO_RESEND,
	OPT_CAPTURE,
	OPT_DEVICE,
	OPT_FILTER,
	OPT_BUFFER,
	OPT_DRY_RUN,
	OPT_KEY_FILE,
	OPT_MAX_SESSIONS,
	OPT_MAX_RATE,
	OPT_MAX_CPU,
	OPT_TRACE,
	OPT_PATH,
	OPT_NICE,
	OPT_WORKERS
};

static const struct opt table[] = {
	{'x', "transfer", "TRANSFER",
	 "[sourceIP:]sourcePort-targetIP:targetPort,..."},
	{'s', "intercept", "HOSTS",
	 "intercepts, HOST[:PORT],... (on the target)"},
	{'c', "client-addr", "ADDRS",
	 "clients appear as ADDRESS[/LEN],... or a.b.c.x"},
	{'H', "local-addr", "ADDR", "clients on this host appear as ADDR"},
	{'n', "copies", "N", "copies of every connection, 1-1023 (1)"},
	{'f', "port-slice", "N",
	 "where ports are looked for first, 0-1023 (0)"},
	{'r', "sample", "PERCENT",
	 "copy PERCENT of the connections, 1-100 (100)"},
	{'m', "memory", "MB", "use at most MB of memory, 16-1048576 (512)"},
	{OPT_MAX_SESSIONS, "max-sessions", "N",
	 "copies open at a time, 1-10000000 (as -m allows)"},
	{OPT_MAX_RATE, "max-rate", "RATE",
	 "packets/s or megabits/s sent: 50000, 200M, or both"},
	{OPT_MAX_CPU, "max-cpu", "PERCENT",
	 "of one core, 1-100 (over these: no new connections)"},
	{'M', "mtu", "BYTES", NULL},
	{'S', "mss", "BYTES", "largest packet (1500), largest payload in it"},
	{'C', "links", "N", "connections to each intercept, 1-16 (3)"},
	{'t', "timeout", "SECONDS",
	 "end a session without response, 1-86400 (60)"},
	{'k', "idle", "SECONDS", "end an idle session, 1-604800 (3600)"},
	{OPT_MAX_HOLD, "max-hold", "SECONDS",
	 "wait for an answer, 0.001-86400 (as --timeout)"},
	{OPT_NO_RESEND, "no-resend", NULL,
	 "never send a turn to the target twice"},
	{'p', "port", "PORT",
	 "port of intercept, PORT-PORT of its workers (36524)"},
	{OPT_KEY_FILE, "key-file", "FILE",
	 "intercept's key (intercept --make-key)"},
	{'i', "file", "FILE", "replay a pcap file (copy live packets)"},
	{'a', "accelerate", "N", NULL},
	{'I', "skip-idle", "MS", "N times as fast; shorten pauses to MS"},
	{OPT_CAPTURE, "capture", "WAY", NULL},
	{OPT_DEVICE, "device", "DEVICES",
	 "ring or pcap (ring); on DEVICE,... (all)"},
	{OPT_FILTER, "filter", "EXPR",
	 "and only what pcap-filter(7) EXPR takes"},
	{OPT_BUFFER, "buffer", "MB",
	 "capture buffer, 1-4096 (-m / 8, at most 32)"},
	{OPT_NICE, "nice", "STEPS", NULL},
	{OPT_WORKERS, "workers", "N",
	 "give way, 0-19 (10); processes, 1-32 (1)"},
	{OPT_PATH, "path", "PATH",
	 "packets go by auto, link, raw or relay (auto)"},
	{OPT_DRY_RUN, "dry-run", "FILE",
	 "write packets to a pcap file, send none"},
	{OPT_TRACE, "trace", "CLIENT",
	 "log each decision about ADDR[:PORT]'s connections"},
	SERVICE_OPTIONS,
};

static const struct opts_number_row numbers[] = {
#define FIELD(name) offsetof(struct tcpcopy_options, name)
	{'n', "copies", 1, 1023, FIELD(copies)},
	{'f', "the port slice", 0, 1023, FIELD(port_slice)},
	{'r', "the percentage", 1, 100, FIELD(sample_percent)},
	{'m', "megabytes", 16, 1048576, FIELD(memory_mb)},
	{OPT_MAX_SESSIONS, "sessions", 1, 10000000, FIELD(max_sessions)},
	{OPT_MAX_CPU, "the percentage", 1, 100, FIELD(max_cpu_percent)},
	{'M', "the MTU", 576, 65535, FIELD(mtu_bytes)},
	{'S', "the MSS", 64, 65495, FIELD(mss_bytes)},
	{'C', "links", 1, 16, FIELD(links)},
	{OPT_NICE, "steps", 0, 19, FIELD(nice_steps)},
	{OPT_WORKERS, "workers", 1, WORKERS_MAX, FIELD(split.count)},
	{'I', "milliseconds", 1, 3600000, FIELD(skip_idle_ms)},
	{OPT_BUFFER, "megabytes", 1, 4096, FIELD(buffer_mb)},
};

struct seconds_option {
	int id;
	double min, max;
	size_t at;
};

static const struct seconds_option seconds[] = {
	{'t', 1, 86400, FIELD(timeout_us)},
	{'k', 1, 604800, FIELD(idle_us)},
	{OPT_MAX_HOLD, 0.001, 86400, FIELD(max_hold_us)},
#undef FIELD
};

/* Whether id is a time; then *ok says if the value was good. */
static bool take_seconds(struct tcpcopy_options *o, int id, const char *value,
			 struct opts_fault *fault, bool *ok)
{
	for (size_t i = 0; i < COUNT(seconds); i++) {
		const struct seconds_option *s = &seconds[i];

		if (s->id != id)
			continue;
		*ok = opts_seconds(value, "seconds", s->min, s->max,
				   (uint64_t *)(void *)((char *)o + s->at),
				   fault);
		return true;
	}
	return false;
}

static bool take_local(struct tcpcopy_options *o, const char *value,
		       struct opts_fault *fault)
{
	struct ip_addr a;

	if (!opts_addr(value, &a) || addr_is_loopback(&a) || !opts_is_host(&a))
		return opts_fail(fault,
				 "must be the address of one host, and not "
				 "of loopback; once for IPv4, once for IPv6");
	if (addr_is_v4(&a))
		o->local_v4 = a;
	else
		o->local_v6 = a;
	return true;
}

static bool take_trace(struct tcpcopy_options *o, const char *value,
		       struct opts_fault *fault)
{
	return opts_endpoint(value, 0, &o->trace, fault);
}

static bool take_devices(struct tcpcopy_options *o, const char *value,
			 struct opts_fault *fault)
{
	char name[DEVICE_NAME_MAX];
	int rc;

	while ((rc = opts_item(&value, name, sizeof(name))) > 0) {
		if (o->device_count == DEVICES_MAX)
			return opts_fail(fault, "at most %d devices",
					 DEVICES_MAX);
		strcpy(o->devices[o->device_count++], name);
	}
	return rc == 0 || opts_fail(fault,
				    "must be names of devices, of at "
				    "most %d characters",
				    DEVICE_NAME_MAX - 1);
}

static bool take_capture(struct tcpcopy_options *o, const char *value,
			 struct opts_fault *fault)
{
	o->capture_pcap = !strcmp(value, "pcap");
	return o->capture_pcap || !strcmp(value, "ring") ||
	       opts_fail(fault, "must be ring or pcap");
}

static bool take_path(struct tcpcopy_options *o, const char *value,
		      struct opts_fault *fault)
{
	static const char *const names[] = {[PATH_AUTO] = "auto",
					    [PATH_LINK] = "link",
					    [PATH_RAW] = "raw",
					    [PATH_RELAY] = "relay"};

	for (size_t i = 0; i < COUNT(names); i++) {
		if (strcmp(value, names[i]) != 0)
			continue;
		o->path = (enum tcpcopy_path)i;
		return true;
	}
	return opts_fail(fault, "must be auto, link, raw or relay");
}

/* PORT or PORT-PORT. */
static bool take_ports(struct tcpcopy_options *o, const char *value,
		       struct opts_fault *fault)
{
	const char *dash = strchr(value, '-');
	size_t len = dash ? (size_t)(dash - value) : strlen(value);
	char first[8] = "";
	uint64_t last;

	if (len < sizeof(first))
		memcpy(first, value, len);
	if (!opts_port(first, &o->port, fault))
		return false;
	last = o->port + REPLAY_GROUPS_MAX - 1u;
	if (!dash)
		last = o->port;
	else if (!opts_number(dash + 1, "the last port", o->port,
			      last < 65535 ? last : 65535, &last, fault))
		return false;
	o->port_last = (uint16_t)last;
	return true;
}

static bool take_text(const char **out, const char *value,
		      struct opts_fault *fault)
{
	*out = value;
	return *value || opts_fail(fault, "must not be empty");
}

static bool take_key(struct tcpcopy_options *o, const char *value,
		     struct opts_fault *fault)
{
	link_key_free(o->key);
	o->key = link_key_load(value, fault);
	return o->key;
}

static bool take(void *ctx, int id, const char *value, struct opts_fault *fault)
{
	struct tcpcopy_options *o = ctx;
	bool ok;

	if (id < (int)sizeof(o->given))
		o->given[id] = 1;
	if (service_option(&o->service, id, value, fault, &ok) ||
	    opts_number_of(numbers, COUNT(numbers), o, id, value, fault, &ok) ||
	    take_seconds(o, id, value, fault, &ok))
		return ok;
	switch (id) {
	case 'x':
		return transfer_parse(&o->transfer, value, fault);
	case 'p':
		return take_ports(o, value, fault);
	case 's':
		return take_text(&o->intercepts_text, value, fault);
	case 'c':
		return clients_parse(&o->clients, value, fault);
	case 'H':
		return take_local(o, value, fault);
	case 'i':
		return take_text(&o->file, value, fault);
	case 'a':
		return opts_decimal(value, "the factor", 1, 1000,
				    &o->accelerate, fault);
	case OPT_NO_RESEND:
		o->resend = false;
		return true;
	case OPT_CAPTURE:
		return take_capture(o, value, fault);
	case OPT_DEVICE:
		return take_devices(o, value, fault);
	case OPT_PATH:
		return take_path(o, value, fault);
	case OPT_FILTER:
		return take_text(&o->filter, value, fault);
	case OPT_KEY_FILE:
		return take_key(o, value, fault);
	case OPT_MAX_RATE:
		return rate_parse(&o->max_packets, &o->max_megabits, value,
				  fault);
	case OPT_TRACE:
		return take_trace(o, value, fault);
	case OPT_DRY_RUN:
		return take_text(&o->dry_run, value, fault);
	default:
		return opts_fail(fault, "not handled");
	}
}

const struct opts_program tcpcopy_program = {
	.name = "tcpcopy",
	.usage =
		"Usage: tcpcopy -x [sourceIP:]sourcePort-targetIP:targetPort,"
		"... [options]\n"
		"Copies live requests of this host's clients to a server where "
		"intercept runs.\n"
		"\"tcpcopy check OPTIONS\" says what is in the way. In "
		"parentheses: defaults.\n",
	.table = table,
	.count = COUNT(table),
	.take = take,
};

static void set_defaults(struct tcpcopy_options *o)
{
	*o = (struct tcpcopy_options){
		.copies = 1,
		.sample_percent = 100,
		.memory_mb = 512,
		.mtu_bytes = 1500,
		.links = 3,
		.nice_steps = 10,
		.port = DEFAULT_PORT,
		.port_last = DEFAULT_PORT,
		.split = {.count = 1},
		.timeout_us = 60000000,
		.idle_us = 3600000000,
		.resend = true,
		.accelerate = 1,
	};
	service_options_init(&o->service);
}

static bool add_intercept(struct tcpcopy_options *o, const struct endpoint *at,
			  struct opts_fault *fault)
{
	if (o->intercept_count == REPLAY_GROUPS_MAX)
		return opts_fail(fault, "-s: at most %d intercepts",
				 REPLAY_GROUPS_MAX);
	o->intercepts[o->intercept_count++] = *at;
	return true;
}

/* Without a port: each of -p. */
static bool add_intercepts(struct tcpcopy_options *o, const struct endpoint *at,
			   struct opts_fault *fault)
{
	struct endpoint each = *at;

	if (at->port)
		return add_intercept(o, at, fault);
	for (unsigned port = o->port; port <= o->port_last; port++) {
		each.port = (uint16_t)port;
		if (!add_intercept(o, &each, fault))
			return false;
	}
	return true;
}

/* After the others: -p may come last. */
static bool parse_intercepts(struct tcpcopy_options *o, const char *text,
			     struct opts_fault *fault)
{
	char item[OPTS_ITEM_MAX];
	struct opts_fault why;
	struct endpoint at;
	int rc;

	while ((rc = opts_item(&text, item, sizeof(item))) > 0) {
		if (!opts_endpoint(item, 0, &at, &why))
			return opts_fail(fault, "-s %.80s: %.200s", item,
					 why.text);
		if (!add_intercepts(o, &at, fault))
			return false;
	}
	return rc == 0 || opts_fail(fault, "-s %.80s: must be HOST[:PORT],...",
				    o->intercepts_text);
}

struct only_with {
	int id;
	const char *name;
};

static bool check_live_or_file(const struct tcpcopy_options *o,
			       struct opts_fault *fault)
{
	static const struct only_with live[] = {{OPT_CAPTURE, "--capture"},
						{OPT_DEVICE, "--device"},
						{OPT_BUFFER, "--buffer"}};
	static const struct only_with file[] = {{'a', "-a"}, {'I', "-I"}};

	for (size_t i = 0; o->file && i < COUNT(live); i++)
		if (o->given[live[i].id])
			return opts_fail(fault, "%s: not together with -i",
					 live[i].name);
	for (size_t i = 0; !o->file && i < COUNT(file); i++)
		if (o->given[file[i].id])
			return opts_fail(fault, "%s: only together with -i",
					 file[i].name);
	return true;
}

static bool check_clients(const struct tcpcopy_options *o,
			  struct opts_fault *fault)
{
	char text[ENDPOINT_TEXT_MAX];

	for (size_t i = 0; o->clients.count && i < o->transfer.target_count;
	     i++) {
		const struct endpoint *t = &o->transfer.targets[i];
		bool v4 = addr_is_v4(&t->addr);

		if (!clients_have_family(&o->clients, v4))
			return opts_fail(
				fault, "-c: target %s needs an %s address",
				endpoint_text(t, text), v4 ? "IPv4" : "IPv6");
	}
	return true;
}

/* How many copies a connection can have: -n for each target of its port. */
static unsigned most_copies(const struct tcpcopy_options *o)
{
	const struct transfer *t = &o->transfer;
	unsigned most = 0;

	for (size_t i = 0; i < t->mapping_count; i++) {
		unsigned targets = 0;

		for (size_t j = 0; j < t->mapping_count; j++)
			targets += t->mappings[j].source.port ==
				   t->mappings[i].source.port;
		most = targets > most ? targets : most;
	}
	return most * o->copies;
}

/* Of what is divided among workers there must be enough. */
static bool check_parts(const struct tcpcopy_options *o,
			struct opts_fault *fault)
{
	unsigned n = o->split.count, least = n * most_copies(o);

	if (n > 1 && o->max_sessions && o->max_sessions < least)
		return opts_fail(fault,
				 "--max-sessions %u: must be at least %u, the "
				 "copies of a connection for each of "
				 "--workers",
				 o->max_sessions, least);
	if (o->max_packets && o->max_packets < n)
		return opts_fail(fault,
				 "--max-rate: must be at least %u packets, one "
				 "for each of --workers",
				 n);
	if (n > 1 && n * o->links > LINK_SERVER_EACH_MAX)
		return opts_fail(fault,
				 "--workers %u: with -C %u more than the %d "
				 "links that an intercept takes from one host: "
				 "fewer workers, or a smaller -C",
				 n, o->links, LINK_SERVER_EACH_MAX);
	return true;
}

static bool check_workers(const struct tcpcopy_options *o,
			  struct opts_fault *fault)
{
	const char *other = o->file	      ? "-i"
			    : o->capture_pcap ? "--capture pcap"
					      : NULL;

	if (o->split.count > 1 && other)
		return opts_fail(fault, "--workers: not together with %s",
				 other);
	return check_parts(o, fault);
}

static bool check(struct tcpcopy_options *o, struct opts_fault *fault)
{
	if (!o->transfer.mapping_count)
		return opts_fail(fault, "-x: must be given, see --help");
	if (o->intercepts_text &&
	    !parse_intercepts(o, o->intercepts_text, fault))
		return false;
	if (!o->max_hold_us)
		o->max_hold_us = o->timeout_us;
	return check_live_or_file(o, fault) && check_clients(o, fault) &&
	       check_workers(o, fault);
}

bool tcpcopy_options_parse(struct tcpcopy_options *o, int argc, char **argv,
			   struct opts_fault *fault)
{
	set_defaults(o);
	if (!opts_parse(&tcpcopy_program, argc, argv, o, fault))
		return false;
	return o->service.help || o->service.version || check(o, fault);
}

void tcpcopy_options_free(struct tcpcopy_options *o)
{
	link_key_free(o->key);
}
