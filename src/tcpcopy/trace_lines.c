// SPDX-License-Identifier: BSD-2-Clause
#include "tcpcopy/trace_lines.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/count.h"
#include "core/ledger.h"

struct line {
	char *at;
	size_t left;
};

static void __attribute__((format(printf, 2, 3)))
add(struct line *l, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(l->at, l->left, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= l->left)
		n = (int)l->left - 1;
	l->at += n;
	l->left -= (size_t)n;
}

static void add_packet(struct line *l, const struct trace_event *e)
{
	static const struct {
		uint8_t flag;
		char name;
	} names[] = {{TCP_SYN, 'S'},
		     {TCP_FIN, 'F'},
		     {TCP_RST, 'R'},
		     {TCP_PSH, 'P'},
		     {TCP_ACK, '.'}};

	add(l, " [");
	for (size_t i = 0; i < COUNT(names); i++)
		if (e->flags & names[i].flag)
			add(l, "%c", names[i].name);
	add(l, "] seq %u", e->seq);
	if (e->flags & TCP_ACK)
		add(l, " ack %u", e->ack);
	add(l, " length %u", e->len);
}

static void add_held(struct line *l, const struct trace_event *e)
{
	switch ((enum trace_hold)e->why) {
	case TRACE_HOLD_ACK:
		add(l, ": what was sent before is not acknowledged");
		return;
	case TRACE_HOLD_ANSWER:
		add(l, ": the target has answered %u of the %u bytes", e->len,
		    e->need);
		return;
	case TRACE_HOLD_LINK:
		add(l, ": no link to intercept");
		return;
	case TRACE_HOLD_GUARD:
		add(l, ": intercept does not vouch for its guard");
		return;
	case TRACE_HOLD_PORT:
		add(l, ": intercept's guard is not for the target's port");
		return;
	case TRACE_HOLD_FULL:
		add(l, ": the link to intercept is full");
		return;
	case TRACE_HOLD_FIRST:
		add(l, ": no answer of the target has come back so far");
		return;
	case TRACE_HOLD_SPREAD:
		add(l, ": copies of a connection follow each other");
		return;
	}
}

static const char *release_text(enum trace_release why)
{
	switch (why) {
	case TRACE_RELEASE_ANSWERED:
		return "what the client had seen is answered";
	case TRACE_RELEASE_CLOSED:
		return "the target has closed";
	case TRACE_RELEASE_QUIET:
		return "early, the target answered less and is quiet";
	case TRACE_RELEASE_HOLD:
		return "early, --max-hold is over";
	}
	return "";
}

static void add_response(struct line *l, const struct trace_event *e)
{
	add_packet(l, e);
	add(l, " window %u", e->need);
}

static void add_endpoint(struct line *l, const struct trace_event *e)
{
	char text[ENDPOINT_TEXT_MAX];

	add(l, "%s", endpoint_text(&e->at, text));
}

static void add_release(struct line *l, const struct trace_event *e)
{
	add(l, ": %s", release_text((enum trace_release)e->why));
}

static void add_loss(struct line *l, const struct trace_event *e)
{
	add(l, ": %s",
	    e->why == LOSS_NONE ? "nothing is lost"
				: ledger_loss_text((enum loss)e->why));
}

static void add_never_sent(struct line *l, const struct trace_event *e)
{
	add(l, "%u turn%s in %u cop%s", e->len, e->len == 1 ? "" : "s", e->need,
	    e->need == 1 ? "y" : "ies");
}

static void add_turn(struct line *l, const struct trace_event *e)
{
	add(l, "turn at %u", e->seq);
}

/* What an event is called, and what is said before and behind that. */
static const struct words {
	void (*before)(struct line *l, const struct trace_event *e);
	const char *name;
	void (*behind)(struct line *l, const struct trace_event *e);
	bool captured; /* about the connection, not one of its copies */
} words[] = {
	[TRACE_CAPTURED] = {.name = "captured",
			    .behind = add_packet,
			    .captured = true},
	[TRACE_NOT_COPIED] = {.name = "captured, but left out by -r",
			      .behind = add_packet,
			      .captured = true},
	[TRACE_LEFT_OUT] = {.name = "captured, but left out: over a limit, or "
				    "a copy itself",
			    .behind = add_packet,
			    .captured = true},
	[TRACE_NO_MEMORY] = {.name = "captured, but there is no memory to "
				     "follow it",
			     .behind = add_packet,
			     .captured = true},
	[TRACE_NEVER_SENT] = {.before = add_never_sent,
			      .name = " lost",
			      .behind = add_loss,
			      .captured = true},
	[TRACE_NOT_OPENED] = {.name = "not opened yet", .behind = add_held},
	[TRACE_OPENED] = {.name = "opened as ", .behind = add_endpoint},
	[TRACE_REFUSED] = {.before = add_endpoint,
			   .name = " belongs to another tcpcopy"},
	[TRACE_HELD] = {.before = add_turn,
			.name = " held",
			.behind = add_held},
	[TRACE_NOT_SENT] = {.name = "sends nothing", .behind = add_held},
	[TRACE_RELEASED] = {.before = add_turn,
			    .name = " released",
			    .behind = add_release},
	[TRACE_SENT] = {.name = "sent", .behind = add_packet},
	[TRACE_RESENT] = {.name = "sent again", .behind = add_packet},
	[TRACE_RESPONSE] = {.name = "response", .behind = add_response},
	[TRACE_ANSWERED] = {.before = add_turn, .name = " answered"},
	[TRACE_UNANSWERED] = {.before = add_turn,
			      .name = " delivered, not answered"},
	[TRACE_LOST] = {.before = add_turn,
			.name = " lost",
			.behind = add_loss},
	[TRACE_REOPENED] = {.name = "the target has closed: opened again for "
				    "the ",
			    .behind = add_turn},
	[TRACE_ENDED] = {.name = "ended", .behind = add_loss},
};

char *trace_line(const struct trace_event *e, char buf[TRACE_LINE_MAX])
{
	const struct words *w = &words[e->what];
	struct line l = {.at = buf, .left = TRACE_LINE_MAX};
	char text[ENDPOINT_TEXT_MAX];

	add(&l, "trace %.6f %s", (double)e->at_us / 1e6,
	    endpoint_text(&e->client, text));
	if (!w->captured)
		add(&l, " target %u copy %u", e->target + 1u, e->copy + 1u);
	add(&l, ": ");
	if (w->before)
		w->before(&l, e);
	add(&l, "%s", w->name);
	if (w->behind)
		w->behind(&l, e);
	return buf;
}
