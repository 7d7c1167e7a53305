// SPDX-License-Identifier: BSD-2-Clause
#include <linux/capability.h>
#include <string.h>

#include "base/count.h"
#include "base/privileges.h"
#include "intercept/check.h"

/* In the order in which a packet meets them. */
static const struct rules_place in_places[] = {
	{"raw", "PREROUTING"}, {"mangle", "PREROUTING"}, {"nat", "PREROUTING"},
	{"mangle", "INPUT"},   {"filter", "INPUT"},	 {"security", "INPUT"}};

/* Then the connection tracker sees no answers. */
static bool is_queued_in_raw(const struct intercept_doctor *d, bool v4,
			     uint16_t port)
{
	struct rules_answer a;

	for (int f = 0; f < RULES_FLAVOURS; f++) {
		const struct rules *r = d->rules.flavours[!v4][f];

		if (!r)
			continue;
		doctor_walk_out(d, r, port, &a);
		if (a.fate == RULES_QUEUED && !strcmp(a.table, "raw"))
			return true;
	}
	return false;
}

static bool say_one_sided(struct check *c, const struct intercept_doctor *d,
			  bool v4, uint16_t port, int flavour,
			  const struct rules_answer *a)
{
	char fix[CHECK_TEXT_MAX];

	if (!a->invalid[0] || !is_queued_in_raw(d, v4, port))
		return false;
	check_fail(c,
		   check_text(fix,
			      "%s -t raw -I PREROUTING -p tcp --dport %u -j CT "
			      "--notrack, or queue them in the table filter",
			      rules_tool(&d->rules, v4, flavour), port),
		   "%s: answers of port %u are queued before the connection "
		   "tracker sees them, so it knows no such connection, and "
		   "requests are dropped: \"%s\"",
		   doctor_family_text(v4), port, a->invalid);
	return true;
}

static bool input_is_fine(struct check *c, const struct intercept_doctor *d,
			  bool v4, uint16_t port)
{
	const struct rules_packet packet = {.dport = port};
	char fix[CHECK_TEXT_MAX];
	struct rules_answer a;
	bool fine = true;

	for (int f = 0; f < RULES_FLAVOURS; f++) {
		const struct rules *r = d->rules.flavours[!v4][f];

		if (!r)
			continue;
		rules_walk(r, in_places, COUNT(in_places), &packet, &a);
		fine &= !say_one_sided(c, d, v4, port, f, &a);
		if (a.fate != RULES_DROPPED)
			continue;
		fine = false;
		check_text(fix, "%s -I INPUT -p tcp --dport %u -j ACCEPT",
			   rules_tool(&d->rules, v4, f), port);
		if (a.some)
			check_warn(c, fix,
				   "%s: requests to port %u may be dropped: "
				   "\"%s\" (table %s)",
				   doctor_family_text(v4), port, a.rule,
				   a.table);
		else
			check_fail(c, fix,
				   "%s: requests to port %u are dropped: "
				   "\"%s\" (table %s)",
				   doctor_family_text(v4), port, a.rule,
				   a.table);
	}
	return fine;
}

void check_input(struct check *c, void *ctx)
{
	const struct intercept_doctor *d = ctx;

	if (d->port_count > 0 && !privileges_have(CAP_NET_ADMIN)) {
		check_warn(c, "run the check as root",
			   "the firewall's rules cannot be read");
		return;
	}
	for (size_t i = 0; i < d->port_count; i++) {
		uint16_t port = d->ports[i];
		bool fine = port == 0 || input_is_fine(c, d, true, port);

		if (port && doctor_has_family(false, port))
			fine &= input_is_fine(c, d, false, port);
		if (fine && port)
			check_ok(c, "no rule drops requests to port %u", port);
	}
}
