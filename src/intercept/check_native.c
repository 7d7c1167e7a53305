// SPDX-License-Identifier: BSD-2-Clause
#include "intercept/check.h"

static void say_way_out(struct check *c, const struct nft_answer *a,
			const char *family, uint16_t port, const char *fix)
{
	if (a->fate == NFT_BYPASS)
		check_fail(c, fix,
			   "%s: the nftables rule of port %u has bypass: "
			   "without intercept, answers reach real clients: "
			   "\"%s\" (table %s)",
			   family, port, a->rule, a->table);
	else
		check_fail(c, fix,
			   "%s: the nftables rule of port %u is not the "
			   "first: before it stands \"%s\" (table %s), which "
			   "lets answers out",
			   family, port, a->rule, a->table);
}

static void say_taken(struct check *c, const struct nft_answer *a,
		      const char *family, uint16_t port)
{
	check_fail(c, "nft -a list ruleset, and delete that rule",
		   "%s: answers of port %u %s: \"%s\" (table %s)", family, port,
		   a->fate == NFT_DROPPED ? "are dropped, not queued"
					  : "go to another queue",
		   a->rule, a->table);
}

bool check_native(struct check *c, const struct intercept_doctor *d, bool v4,
		  uint16_t port)
{
	const struct rules_packet answer = {
		.sport = port,
		.exempt = d->o->passlist.items,
		.exempt_count = d->o->passlist.count,
		.queue_num = d->o->queue_num,
		.more_queues = (uint16_t)(d->o->workers - 1),
	};
	const char *family = doctor_family_text(v4);
	char fix[CHECK_TEXT_MAX];
	struct nft_answer a = {.fate = NFT_NO_RULE};

	if (d->rules.native)
		nft_walk(d->rules.native, v4, &answer, &a);
	doctor_insert_text(d, v4, port, fix);
	switch (a.fate) {
	case NFT_NO_RULE:
		return false;
	case NFT_QUEUED:
		doctor_say_queues(c, d, v4, port, a.first_queue, a.last_queue);
		break;
	case NFT_SOME_QUEUED:
		check_warn(c, fix,
			   "%s: only some answers of port %u go to the queue: "
			   "\"%s\" (table %s)",
			   family, port, a.rule, a.table);
		break;
	case NFT_UNCLEAR:
		check_warn(c, fix,
			   "%s: cannot tell whether all answers of port %u go "
			   "to the queue, because of \"%s\" (table %s)",
			   family, port, a.rule, a.table);
		break;
	case NFT_BYPASS:
	case NFT_LET_OUT:
		say_way_out(c, &a, family, port, fix);
		break;
	case NFT_OTHER_QUEUE:
	case NFT_DROPPED:
		say_taken(c, &a, family, port);
	}
	return true;
}
