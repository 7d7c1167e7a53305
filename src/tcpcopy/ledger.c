// SPDX-License-Identifier: BSD-2-Clause
#include "tcpcopy/ledger.h"

#include <inttypes.h>
#include <stdlib.h>

struct loss_ratio {
	uint64_t captured, delivered;
};

/* What is still on its way is neither lost nor delivered. */
static struct loss_ratio turns_ratio(const struct ledger *l)
{
	const struct ledger_unit *t = &l->turns;

	return (struct loss_ratio){
		.captured = t->expected - t->not_sampled - t->in_flight,
		.delivered = t->answered + t->unanswered,
	};
}

double ledger_loss_percent(const struct ledger *l)
{
	struct loss_ratio r = turns_ratio(l);

	if (!r.captured)
		return 0;
	return 100.0 * ((double)r.captured - (double)r.delivered) /
	       (double)r.captured;
}

double ledger_factor(const struct ledger *l)
{
	const struct ledger_unit *t = &l->turns;

	return t->captured ? (double)(t->answered + t->unanswered) /
				     (double)t->captured
			   : 0;
}

static void put_row(FILE *out, const char *what, uint64_t conns, uint64_t turns,
		    uint64_t bytes)
{
	fprintf(out, "  %-44s %11" PRIu64 " %11" PRIu64 " %15" PRIu64 "\n",
		what, conns, turns, bytes);
}

static void put_account(FILE *out, const struct ledger *l)
{
	char what[64];

	fprintf(out, "  %-44s %11s %11s %15s\n", "", "connections", "turns",
		"bytes");
#define ROW(what, field)                                                       \
	put_row(out, what, l->conns.field, l->turns.field, l->bytes.field)
	ROW("captured", captured);
	ROW("expected (x copies x targets)", expected);
	ROW("not sampled (-r)", not_sampled);
	ROW("delivered and answered", answered);
	ROW("delivered, not answered", unanswered);
	ROW("in flight", in_flight);
	for (unsigned i = 0; i < LOSS_COUNT; i++) {
		if (!l->conns.lost[i] && !l->turns.lost[i] && !l->bytes.lost[i])
			continue;
		snprintf(what, sizeof(what), "lost: %s",
			 ledger_loss_text((enum loss)i));
		ROW(what, lost[i]);
	}
#undef ROW
}

static void put_counter(FILE *out, const char *text, uint64_t n)
{
	if (n)
		fprintf(out, "  %15" PRIu64 " %s\n", n, text);
}

static void put_counters(FILE *out, const struct ledger *l)
{
#define X(key, text) put_counter(out, text, l->key);
	LEDGER_COUNTERS(X)
#undef X
}

static void put_kernel(FILE *out, const struct ledger_view *v)
{
	fprintf(out,
		"  kernel: %" PRIu64 " packets received, %" PRIu64
		" dropped for want of buffer, %" PRIu64
		" dropped by devices, %" PRIu64 " frames not understood\n",
		v->kernel.received, v->kernel.dropped_kernel,
		v->kernel.dropped_device, v->kernel.dropped_unusual);
	fprintf(out,
		"  sender: %" PRIu64 " packets sent, %" PRIu64 " refused\n",
		v->send.sent, v->send.refused);
}

static void put_link(FILE *out, const struct link_state *s)
{
	char text[ENDPOINT_TEXT_MAX];

	fprintf(out,
		"link %u to %s: %s, %" PRIu64 " records in, %" PRIu64
		" out, up %" PRIu64 " times",
		s->number, endpoint_text(&s->server, text),
		s->up ? "up" : "down", s->stats.records_in,
		s->stats.records_out, s->times_up);
	if (s->refused)
		fprintf(out, ", ended %" PRIu64 " times for what came",
			s->refused);
	fputc('\n', out);
}

static void put_links(FILE *out, const struct ledger_view *v)
{
	for (unsigned w = 0; w < v->worker_count; w++)
		for (size_t i = 0; i < v->links[w].count; i++) {
			fputs("  ", out);
			if (v->worker_count > 1)
				fprintf(out, "worker %u, ", w);
			put_link(out, &v->links[w].states[i]);
		}
}

static void put_ending(FILE *out, const struct ledger_view *v)
{
	struct loss_ratio r = turns_ratio(v->ledger);

	fprintf(out,
		"  %" PRIu32 " connections followed, %" PRIu32
		" copies not over\n",
		v->flows, v->sessions);
	fprintf(out,
		"  loss ratio of turns: (%" PRIu64 " - %" PRIu64 ") / %" PRIu64
		" = %.4f%%\n",
		r.captured, r.delivered, r.captured,
		ledger_loss_percent(v->ledger));
	fprintf(out,
		"  effective factor: %.4f turns delivered for each captured\n",
		ledger_factor(v->ledger));
	fprintf(out, "  CPU %.2f s, peak memory %.1f MB\n",
		v->usage.cpu_seconds, (double)v->usage.memory_peak_kb / 1024.0);
}

char *ledger_text(const struct ledger_view *v)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	fprintf(out, "%s\n", v->final ? "ledger at the end:" : "ledger:");
	put_account(out, v->ledger);
	put_counters(out, v->ledger);
	put_kernel(out, v);
	put_links(out, v);
	put_ending(out, v);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

static void unit_json(struct json *j, const char *key,
		      const struct ledger_unit *u)
{
	json_object(j, key);
	json_uint(j, "captured", u->captured);
	json_uint(j, "expected", u->expected);
	json_uint(j, "not_sampled", u->not_sampled);
	json_uint(j, "answered", u->answered);
	json_uint(j, "unanswered", u->unanswered);
	json_uint(j, "in_flight", u->in_flight);
	json_object(j, "lost");
	for (unsigned i = 0; i < LOSS_COUNT; i++)
		json_uint(j, ledger_loss_key((enum loss)i), u->lost[i]);
	json_object_end(j);
	json_object_end(j);
}

static void counters_json(struct json *j, const struct ledger *l)
{
	json_object(j, "packets");
#define X(key, text) json_uint(j, #key, l->key);
	LEDGER_COUNTERS(X)
#undef X
	json_object_end(j);
}

static void kernel_json(struct json *j, const struct ledger_view *v)
{
	json_object(j, "kernel");
	json_uint(j, "received", v->kernel.received);
	json_uint(j, "dropped", v->kernel.dropped_kernel);
	json_uint(j, "dropped_device", v->kernel.dropped_device);
	json_uint(j, "unusual", v->kernel.dropped_unusual);
	json_object_end(j);
	json_object(j, "send");
	json_uint(j, "sent", v->send.sent);
	json_uint(j, "refused", v->send.refused);
	json_object_end(j);
}

static void link_json(struct json *j, const struct link_state *s)
{
	char text[ENDPOINT_TEXT_MAX];

	json_uint(j, "group", s->group);
	json_uint(j, "link", s->number);
	json_string(j, "intercept", endpoint_text(&s->server, text));
	json_bool(j, "up", s->up);
	json_uint(j, "times_up", s->times_up);
	json_uint(j, "refused", s->refused);
	json_uint(j, "records_in", s->stats.records_in);
	json_uint(j, "records_out", s->stats.records_out);
	json_uint(j, "bytes_in", s->stats.bytes_in);
	json_uint(j, "bytes_out", s->stats.bytes_out);
}

static void links_json(struct json *j, const struct ledger_view *v)
{
	json_array(j, "links");
	for (unsigned w = 0; w < v->worker_count; w++)
		for (size_t i = 0; i < v->links[w].count; i++) {
			json_object(j, NULL);
			if (v->worker_count > 1)
				json_uint(j, "worker", w);
			link_json(j, &v->links[w].states[i]);
			json_object_end(j);
		}
	json_array_end(j);
}

void ledger_json(struct json *j, const struct ledger_view *v)
{
	json_bool(j, "final", v->final);
	unit_json(j, "connections", &v->ledger->conns);
	unit_json(j, "turns", &v->ledger->turns);
	unit_json(j, "bytes", &v->ledger->bytes);
	counters_json(j, v->ledger);
	kernel_json(j, v);
	links_json(j, v);
	json_uint(j, "flows", v->flows);
	json_uint(j, "sessions", v->sessions);
	json_decimal(j, "loss_percent", ledger_loss_percent(v->ledger), 4);
	json_decimal(j, "factor", ledger_factor(v->ledger), 4);
	json_decimal(j, "cpu_seconds", v->usage.cpu_seconds, 3);
	json_uint(j, "memory_peak_kb", v->usage.memory_peak_kb);
}
