// SPDX-License-Identifier: BSD-2-Clause
/* What the engine has to tell, in words for the log. */
#include <inttypes.h>
#include <stdio.h>

#include "tcpcopy/app.h"
#include "tcpcopy/trace_lines.h"

static bool is_in(uint32_t groups, unsigned group)
{
	return groups >> group & 1;
}

static unsigned links_up(const struct app *a, uint32_t groups)
{
	unsigned up = 0;

	for (unsigned i = 0; i < link_client_count(a->links); i++) {
		struct link_state s;

		link_client_state(a->links, i, &s);
		up += s.up && is_in(groups, s.group);
	}
	return up;
}

/* What is known of the way back: of all of these intercepts together. */
static void describe_queue(const struct app *a, uint32_t groups, char *out,
			   size_t cap)
{
	bool heard = false, bound = true;
	uint64_t queued = 0;

	for (unsigned g = 0; g < a->plan.replay.group_count; g++) {
		const struct wire_status *s = &a->status[g];

		if (!is_in(groups, g) || !a->heard[g])
			continue;
		heard = true;
		bound &= s->queue_bound;
		queued += s->queued;
	}
	if (!heard)
		snprintf(out, cap, "intercept has not told of its queue");
	else
		snprintf(out, cap,
			 "its queue is %s, %" PRIu64 " packets came out of it",
			 bound ? "bound" : "NOT bound", queued);
}

static void tell_no_response(const struct app *a, uint32_t target,
			     const char *at)
{
	static const char by_network[] =
		"does rp_filter drop foreign sources (sysctl "
		"net.ipv4.conf.all.rp_filter=0). Check on the way: do filters "
		"drop packets with clients' addresses as source (then see "
		"--path relay, or -c)";
	static const char by_relay[] = "is that port in --relay of intercept";
	const struct replay_target *t = &a->plan.targets[target];
	unsigned links = (unsigned)__builtin_popcount(t->groups) *
			 a->plan.replay.links_per_group;
	bool v4 = addr_is_v4(&t->at.addr);
	char queue[128] = "";

	if (!a->links)
		return;
	describe_queue(a, t->groups, queue, sizeof(queue));
	log_warn(
		"no response of target %s has come back in 5 s, so that only "
		"one session a second is opened to it; %u of %u links to its "
		"intercept are up, %s. Check on the target: is there the rule "
		"\"%s -I OUTPUT -p tcp --sport %u -j NFQUEUE\"; does the "
		"server listen; %s. \"tcpcopy check\" with these options looks "
		"at all of this",
		at, links_up(a, t->groups), links, queue,
		v4 ? "iptables" : "ip6tables", t->at.port,
		a->sender == a->relay ? by_relay : by_network);
}

static void tell_limit(enum replay_notice_type type)
{
	log_warn("over --max-%s: new connections are not copied until there "
		 "is room; those that are copied go on",
		 type == NOTICE_MAX_SESSIONS ? "sessions"
		 : type == NOTICE_MAX_RATE   ? "rate"
					     : "cpu");
}

static void tell(const struct app *a, const struct replay_notice *n)
{
	unsigned port = a->plan.targets[n->target].at.port;
	char at[ENDPOINT_TEXT_MAX];

	endpoint_text(&a->plan.targets[n->target].at, at);
	switch (n->type) {
	case NOTICE_NO_RESPONSE:
		tell_no_response(a, n->target, at);
		break;
	case NOTICE_FIRST_RESPONSE:
		log_info("target %s answers: copying", at);
		break;
	case NOTICE_TLS:
		log_warn("connections are TLS and cannot be replayed, they are "
			 "not copied to %s: copy the plain connections behind "
			 "the TLS terminator instead",
			 at);
		break;
	case NOTICE_MEMORY:
		log_warn("-m %u is used up: new connections are not copied",
			 a->options->memory_mb);
		break;
	case NOTICE_MAX_SESSIONS:
	case NOTICE_MAX_RATE:
	case NOTICE_MAX_CPU:
		tell_limit(n->type);
		break;
	case NOTICE_LOOP:
		log_warn("packets that were copied to %s come back as if they "
			 "were clients', they are not copied again: end a "
			 "tcpcopy that copies from there to here, or capture "
			 "only where clients come in (--device, --filter)",
			 at);
		break;
	case NOTICE_UNGUARDED:
		log_warn("intercept does not vouch that its guard stands: "
			 "nothing is sent to %s until it does",
			 at);
		break;
	case NOTICE_PORT_UNGUARDED:
		log_error("intercept guards other ports of its host, and not "
			  "%u: nothing is sent to %s; add %u to --guard of "
			  "intercept there",
			  port, at, port);
		break;
	case NOTICE_GUARDED:
		log_info("the guard stands: sending to %s again", at);
		break;
	case NOTICE_NO_TUPLE:
		log_warn("no client address and port is free for another "
			 "session to %s: give more addresses with -c",
			 at);
		break;
	}
}

static void tell_trace(struct app *a)
{
	struct trace_event event;
	char line[TRACE_LINE_MAX];
	uint64_t missed;
	bool any;

	do {
		any = replay_next_trace(a->replay, &event, &missed);
		if (missed > 0)
			log_warn("trace: %" PRIu64 " events were too many",
				 missed);
		if (any)
			log_text(LOG_LEVEL_INFO, trace_line(&event, line));
	} while (any);
}

void app_tell_notices(struct app *a)
{
	struct replay_notice n;

	while (replay_next_notice(a->replay, &n)) {
		if (n.type == NOTICE_FIRST_RESPONSE && a->sender == a->relay)
			a->relay_answered = true;
		if (n.type != NOTICE_NO_RESPONSE || !app_leave_silent_relay(a))
			tell(a, &n);
	}
	tell_trace(a);
}
