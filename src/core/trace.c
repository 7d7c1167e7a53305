// SPDX-License-Identifier: BSD-2-Clause
#include "core/trace.h"

#define EVENTS_MAX 1024u
#define SAID_MAX   32u

struct trace {
	struct endpoint client;
	struct trace_event about; /* whom, and when */
	enum trace_hold paused;	  /* why, if it is */
	/* what was said last of each, by the number of the copy */
	struct trace_event held[SAID_MAX], not_opened[SAID_MAX],
		not_sent[SAID_MAX];
	uint64_t missed;
	uint32_t first, count;
	struct trace_event events[EVENTS_MAX];
};

struct trace *trace_new(const struct endpoint *client, const struct mem *mem)
{
	struct trace *t = mem->alloc(mem->ctx, sizeof(*t));

	if (t)
		t->client = *client;
	return t;
}

size_t trace_bytes(void)
{
	return sizeof(struct trace);
}

void trace_free(struct trace *t, const struct mem *mem)
{
	mem->free(mem->ctx, t, sizeof(*t));
}

bool trace_wants(const struct trace *t, const struct endpoint *client)
{
	return addr_equal(&t->client.addr, &client->addr) &&
	       (t->client.port == 0 || t->client.port == client->port);
}

void trace_about_copy(struct trace *t, const struct endpoint *client,
		      unsigned copy, unsigned target, enum trace_hold paused,
		      uint64_t now_us)
{
	t->about.client = *client;
	t->about.copy = (uint16_t)copy;
	t->about.target = (uint16_t)target;
	t->about.at_us = now_us;
	t->paused = paused;
}

void trace_about(struct trace *t, const struct endpoint *client,
		 uint64_t now_us)
{
	trace_about_copy(t, client, 0, 0, TRACE_HOLD_LINK, now_us);
}

static bool says_the_same(const struct trace_event *a,
			  const struct trace_event *b)
{
	return a->what == b->what && a->why == b->why && a->seq == b->seq &&
	       a->len == b->len && a->copy == b->copy &&
	       a->target == b->target && endpoint_equal(&a->client, &b->client);
}

/* Where the last such event about its copy is kept, NULL: it never is. */
static struct trace_event *said_of(struct trace *t, enum trace_what what,
				   const struct trace_event *e)
{
	unsigned slot = (e->client.port + e->copy + e->target) % SAID_MAX;

	if (what == TRACE_HELD)
		return &t->held[slot];
	if (what == TRACE_NOT_OPENED)
		return &t->not_opened[slot];
	return what == TRACE_NOT_SENT ? &t->not_sent[slot] : NULL;
}

/* What holds a copy is found again and again; only what is new is worth a line.
 * Once it has sent something, that it may not is new. */
static bool is_new(struct trace *t, const struct trace_event *event)
{
	struct trace_event *said =
		said_of(t, (enum trace_what)event->what, event);

	if (event->what == TRACE_SENT || event->what == TRACE_RESENT)
		said_of(t, TRACE_NOT_SENT, event)->at_us = 0;
	if (!said)
		return true;
	if (said->at_us && says_the_same(event, said))
		return false;
	*said = *event;
	return true;
}

void trace_add(struct trace *t, struct trace_event event)
{
	event.client = t->about.client;
	event.copy = t->about.copy;
	event.target = t->about.target;
	event.at_us = t->about.at_us;
	if (!is_new(t, &event))
		return;
	if (t->count == EVENTS_MAX) {
		t->missed++;
		return;
	}
	t->events[(t->first + t->count++) % EVENTS_MAX] = event;
}

void trace_segment(struct trace *t, enum trace_what what,
		   const struct segment *seg)
{
	trace_add(t, (struct trace_event){
			     .what = (uint8_t)what,
			     .at = seg->tuple.src,
			     .seq = seg->seq,
			     .ack = seg->ack,
			     .len = seg->payload_len,
			     .flags = seg->flags,
		     });
}

static enum trace_hold why_held(const struct trace *t,
				const struct gate_view *view)
{
	if (view->paused)
		return t->paused;
	return view->acked ? TRACE_HOLD_ANSWER : TRACE_HOLD_ACK;
}

static enum trace_release why_released(const struct gate_view *view,
				       enum gate_verdict verdict)
{
	if (verdict == GATE_EARLY_QUIET)
		return TRACE_RELEASE_QUIET;
	if (verdict == GATE_EARLY_HOLD)
		return TRACE_RELEASE_HOLD;
	return view->got_bytes >= view->need_bytes ? TRACE_RELEASE_ANSWERED
						   : TRACE_RELEASE_CLOSED;
}

void trace_gate(struct trace *t, const struct gate_view *view,
		enum gate_verdict verdict, uint32_t seq)
{
	bool held = verdict == GATE_SHUT;

	trace_add(t, (struct trace_event){
			     .what = held ? TRACE_HELD : TRACE_RELEASED,
			     .why = held ? (uint8_t)why_held(t, view)
					 : (uint8_t)why_released(view, verdict),
			     .seq = seq,
			     .len = view->got_bytes,
			     .need = view->need_bytes,
		     });
}

bool trace_next(struct trace *t, struct trace_event *event, uint64_t *missed)
{
	*missed = t->missed;
	t->missed = 0;
	if (t->count == 0)
		return false;
	*event = t->events[t->first];
	t->first = (t->first + 1) % EVENTS_MAX;
	t->count--;
	return true;
}
