// SPDX-License-Identifier: BSD-2-Clause
#include "tcpcopy/trace_lines.h"

#include <stdarg.h>
#include <stdio.h>

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
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
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

static void add_what(struct line *l, const struct trace_event *e)
{
	char text[ENDPOINT_TEXT_MAX];

	switch ((enum trace_what)e->what) {
	case TRACE_CAPTURED:
		add(l, "captured");
		add_packet(l, e);
		return;
	case TRACE_NOT_COPIED:
		add(l, "captured, but left out by -r");
		add_packet(l, e);
		return;
	case TRACE_LEFT_OUT:
		add(l, "captured, but left out: over a limit, or a copy "
		       "itself");
		add_packet(l, e);
		return;
	case TRACE_OPENED:
		add(l, "opened as %s", endpoint_text(&e->at, text));
		return;
	case TRACE_REFUSED:
		add(l, "%s belongs to another tcpcopy",
		    endpoint_text(&e->at, text));
		return;
	case TRACE_HELD:
		add(l, "turn at %u held", e->seq);
		add_held(l, e);
		return;
	case TRACE_RELEASED:
		add(l, "turn at %u released: %s", e->seq,
		    release_text((enum trace_release)e->why));
		return;
	case TRACE_SENT:
		add(l, "sent");
		add_packet(l, e);
		return;
	case TRACE_RESENT:
		add(l, "sent again");
		add_packet(l, e);
		return;
	case TRACE_RESPONSE:
		add(l, "response");
		add_packet(l, e);
		add(l, " window %u", e->need);
		return;
	case TRACE_ANSWERED:
		add(l, "turn at %u answered", e->seq);
		return;
	case TRACE_UNANSWERED:
		add(l, "turn at %u delivered, not answered", e->seq);
		return;
	case TRACE_LOST:
		add(l, "turn at %u lost: %s", e->seq,
		    ledger_loss_text((enum loss)e->why));
		return;
	case TRACE_REOPENED:
		add(l, "the target has closed: opened again for the turn at %u",
		    e->seq);
		return;
	case TRACE_ENDED:
		add(l, "ended: %s",
		    e->why == LOSS_NONE ? "nothing is lost"
					: ledger_loss_text((enum loss)e->why));
		return;
	}
}

/* About the captured connection, not one of its copies. */
static bool is_captured(const struct trace_event *e)
{
	return e->what == TRACE_CAPTURED || e->what == TRACE_NOT_COPIED ||
	       e->what == TRACE_LEFT_OUT;
}

char *trace_line(const struct trace_event *e, char buf[TRACE_LINE_MAX])
{
	struct line l = {.at = buf, .left = TRACE_LINE_MAX};
	char text[ENDPOINT_TEXT_MAX];

	add(&l, "trace %.6f %s", (double)e->at_us / 1e6,
	    endpoint_text(&e->client, text));
	if (!is_captured(e))
		add(&l, " target %u copy %u", e->target + 1u, e->copy + 1u);
	add(&l, ": ");
	add_what(&l, e);
	return buf;
}
