// SPDX-License-Identifier: BSD-2-Clause
#include "tcpcopy/transfer.h"

#include <string.h>

#include "io/capture_filter.h"

static const char format_text[] =
	"must be [sourceIP:]sourcePort-targetIP:targetPort";

static bool only_digits(const char *from, const char *to)
{
	if (from == to)
		return false;
	for (; from < to; from++)
		if (*from < '0' || *from > '9')
			return false;
	return true;
}

/* Host names have hyphens as well: the one that ends the source stands after
 * PORT or HOST:PORT. */
static const char *find_hyphen(const char *item)
{
	const char *port = item;

	for (const char *at = item; *at; at++) {
		if (*at == ':')
			port = at + 1;
		else if (*at == '-' && only_digits(port, at))
			return at;
	}
	return NULL;
}

/* HOST:PORT, the port not left out. */
static bool parse_endpoint(const char *text, struct endpoint *out,
			   struct opts_fault *fault)
{
	if (!opts_endpoint(text, 0, out, fault))
		return false;
	return out->port || opts_fail(fault, "%s", format_text);
}

static bool parse_source(const char *text, struct endpoint *out,
			 struct opts_fault *fault)
{
	*out = (struct endpoint){0};
	return strchr(text, ':') ? parse_endpoint(text, out, fault)
				 : opts_port(text, &out->port, fault);
}

static uint32_t target_index(struct transfer *t, const struct endpoint *e)
{
	for (size_t i = 0; i < t->target_count; i++)
		if (endpoint_equal(&t->targets[i], e))
			return (uint32_t)i;
	t->targets[t->target_count] = *e;
	return (uint32_t)t->target_count++;
}

static bool add(struct transfer *t, const struct replay_mapping *m,
		struct opts_fault *fault)
{
	for (size_t i = 0; i < t->mapping_count; i++)
		if (t->mappings[i].target == m->target &&
		    endpoint_equal(&t->mappings[i].source, &m->source))
			return opts_fail(fault, "the same transfer twice");
	t->mappings[t->mapping_count++] = *m;
	return true;
}

static bool parse_item(struct transfer *t, char *item, struct opts_fault *fault)
{
	char *hyphen = (char *)find_hyphen(item);
	struct replay_mapping m;
	struct endpoint target;

	if (!hyphen)
		return opts_fail(fault, "%s", format_text);
	*hyphen = '\0';
	if (!parse_source(item, &m.source, fault) ||
	    !parse_endpoint(hyphen + 1, &target, fault))
		return false;
	if (!addr_is_none(&m.source.addr) &&
	    addr_is_v4(&m.source.addr) != addr_is_v4(&target.addr))
		return opts_fail(fault, "source and target must both be IPv4 "
					"or both IPv6");
	if (t->mapping_count == TRANSFERS_MAX)
		return opts_fail(fault, "at most %d transfers", TRANSFERS_MAX);
	m.target = target_index(t, &target);
	return add(t, &m, fault);
}

bool transfer_parse(struct transfer *t, const char *text,
		    struct opts_fault *fault)
{
	char item[OPTS_ITEM_MAX];
	int rc;

	while ((rc = opts_item(&text, item, sizeof(item))) > 0)
		if (!parse_item(t, item, fault))
			return false;
	return rc == 0 || opts_fail(fault, "%s", format_text);
}

bool transfer_names_source(const struct transfer *t)
{
	for (size_t i = 0; i < t->mapping_count; i++)
		if (!addr_is_none(&t->mappings[i].source.addr))
			return true;
	return false;
}

char *transfer_filter_text(const struct transfer *t, const char *extra)
{
	struct endpoint sources[TRANSFERS_MAX];

	for (size_t i = 0; i < t->mapping_count; i++)
		sources[i] = t->mappings[i].source;
	return capture_filter_text(sources, t->mapping_count, extra);
}

/* As one of any address, or by its own name. */
static bool is_copied(const struct transfer *t, const struct endpoint *e,
		      bool by_name)
{
	for (size_t i = 0; i < t->mapping_count; i++) {
		const struct endpoint *s = &t->mappings[i].source;

		if (s->port == e->port &&
		    (addr_is_none(&s->addr) ? !by_name
					    : addr_equal(&s->addr, &e->addr)))
			return true;
	}
	return false;
}

const struct endpoint *transfer_loop(const struct transfer *t,
				     const struct ip_addr *own, size_t count)
{
	for (size_t i = 0; i < t->target_count; i++) {
		const struct endpoint *e = &t->targets[i];

		if (!is_copied(t, e, false))
			continue;
		if (is_copied(t, e, true)) /* seen on a mirror port */
			return e;
		if (addr_is_loopback(&e->addr))
			return e;
		for (size_t j = 0; j < count; j++)
			if (addr_equal(&own[j], &e->addr))
				return e;
	}
	return NULL;
}
