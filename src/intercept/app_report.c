// SPDX-License-Identifier: BSD-2-Clause
#include <inttypes.h>
#include <stdlib.h>

#include "intercept/app.h"

/* ---- JSON ---- */

static void json_packets(struct json *j, const struct divert_counters *c)
{
	json_object(j, "packets");
#define X(name, text) json_uint(j, #name, c->name);
	DIVERT_COUNTERS(X)
#undef X
	json_object_end(j);
}

static void json_queue(struct json *j, const struct queue_stats *q)
{
	json_object(j, "queue");
	json_uint(j, "received", q->received);
	json_uint(j, "lost", q->lost);
	json_uint(j, "queue_dropped", q->queue_dropped);
	json_uint(j, "user_dropped", q->user_dropped);
	json_uint(j, "verdict_errors", q->verdict_errors);
	json_uint(j, "receive_buffer_bytes", q->receive_buffer_bytes);
	json_object_end(j);
}

static void json_inject(struct json *j, const struct sender *inject)
{
	const struct sender_stats *s;

	if (!inject)
		return;
	s = inject->ops->stats(inject);
	json_object(j, "inject");
	json_uint(j, "sent", s->sent);
	json_uint(j, "refused", s->refused);
	json_uint(j, "cut", s->cut);
	json_object_end(j);
}

static void json_stats(struct json *j, const struct peer_stats *s)
{
	json_uint(j, "records_in", s->records_in);
	json_uint(j, "records_out", s->records_out);
	json_uint(j, "records_shed", s->records_shed);
	json_uint(j, "bytes_in", s->bytes_in);
	json_uint(j, "bytes_out", s->bytes_out);
}

static void json_link(struct json *j, unsigned id, const struct link_info *info)
{
	char text[ENDPOINT_TEXT_MAX];

	json_object(j, NULL);
	json_uint(j, "id", id);
	json_string(j, "remote", endpoint_text(&info->remote, text));
	snprintf(text, sizeof(text), "%016" PRIx64, info->instance);
	json_string(j, "instance", text);
	json_stats(j, &info->stats);
	json_object_end(j);
}

static void json_links(struct json *j, const struct link_server *ls)
{
	struct peer_stats sum;
	struct link_info info;
	uint64_t ended = link_server_ended(ls, &sum);

	json_array(j, "links");
	for (unsigned i = 0; i < APP_LINKS_MAX; i++)
		if (link_server_info(ls, i, &info))
			json_link(j, i, &info);
	json_array_end(j);
	json_object(j, "links_ended");
	json_uint(j, "count", ended);
	json_uint(j, "altered", link_server_altered(ls));
	json_stats(j, &sum);
	json_object_end(j);
	json_uint(j, "strangers", link_server_strangers(ls));
	json_object(j, "refused");
#define X(name, key, text)                                                     \
	json_uint(j, key, link_server_refused(ls, LINK_##name));
	LINK_CAUSE_LIST(X)
#undef X
	json_object_end(j);
}

static void report_json(struct app *a, bool final,
			const struct queue_stats *queue,
			const struct report_usage *usage)
{
	struct json *j = report_begin(&a->service->report, "ledger");

	if (!j)
		return;
	json_bool(j, "final", final);
	json_packets(j, divert_counters(a->divert));
	json_uint(j, "routes", divert_routes(a->divert));
	json_uint(j, "links_excess", a->links_excess);
	json_uint(j, "routes_foreign", a->routes_foreign);
	json_uint(j, "routes_unguarded", a->routes_unguarded);
	json_uint(j, "relay_foreign", a->relay_foreign);
	json_uint(j, "relay_unguarded", a->relay_unguarded);
	json_inject(j, a->inject);
	json_queue(j, queue);
	json_links(j, a->server);
	app_guard_json(&a->guard, j);
	json_decimal(j, "cpu_seconds", usage->cpu_seconds, 3);
	json_uint(j, "memory_peak_kb", usage->memory_peak_kb);
	report_end(&a->service->report);
}

/* ---- text ---- */

static void row(FILE *f, uint64_t value, const char *text)
{
	fprintf(f, "  %12" PRIu64 "  %s\n", value, text);
}

static void text_packets(FILE *f, const struct divert_counters *c)
{
#define X(name, text) row(f, c->name, text);
	DIVERT_COUNTERS(X)
#undef X
}

static void text_queue(FILE *f, const struct queue_stats *q)
{
	row(f, q->queue_dropped, "dropped by the kernel: queue full (-q)");
	row(f, q->user_dropped, "dropped by the kernel: receive buffer full");
	row(f, q->lost, "missing in the packet numbers");
	row(f, q->verdict_errors, "verdicts that the kernel refused");
}

static void text_inject(FILE *f, const struct sender *inject)
{
	const struct sender_stats *s;

	if (!inject)
		return;
	s = inject->ops->stats(inject);
	row(f, s->sent, "packets injected here");
	row(f, s->refused, "not injected: refused by this host");
	row(f, s->cut, "longer than lo's MTU, injected in pieces");
}

static void text_link(FILE *f, const char *name, const struct peer_stats *s)
{
	fprintf(f,
		"  %s: headers and messages sent %" PRIu64 ", shed %" PRIu64
		", received %" PRIu64 "\n",
		name, s->records_out, s->records_shed, s->records_in);
}

static void text_links(FILE *f, const struct link_server *ls)
{
	char remote[ENDPOINT_TEXT_MAX], name[ENDPOINT_TEXT_MAX + 32];
	struct link_info info;
	struct peer_stats sum;
	uint64_t ended = link_server_ended(ls, &sum);

	for (unsigned i = 0; i < APP_LINKS_MAX; i++) {
		if (!link_server_info(ls, i, &info))
			continue;
		snprintf(name, sizeof(name), "link %u, %s", i,
			 endpoint_text(&info.remote, remote));
		text_link(f, name, &info.stats);
	}
	if (ended > 0) {
		snprintf(name, sizeof(name), "%" PRIu64 " ended links", ended);
		text_link(f, name, &sum);
	}
	row(f, link_server_altered(ls),
	    "links ended for frames that were forged or altered");
	row(f, link_server_strangers(ls), "connections that were not tcpcopy");
#define X(name, key, text) row(f, link_server_refused(ls, LINK_##name), text);
	LINK_CAUSE_LIST(X)
#undef X
}

static void report_text(struct app *a, bool final,
			const struct queue_stats *queue,
			const struct report_usage *usage)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return;
	fprintf(f, "ledger%s\n", final ? " at the end" : "");
	text_packets(f, divert_counters(a->divert));
	row(f, divert_routes(a->divert), "routes registered now");
	row(f, a->links_excess, "links ended at once: of one tcpcopy too many");
	row(f, a->routes_foreign, "routes not taken: not this host's target");
	row(f, a->routes_unguarded,
	    "routes not taken: to a port not named by --guard");
	row(f, a->relay_foreign,
	    "not injected: not to this host, or in its own name");
	row(f, a->relay_unguarded, "not injected: the guard did not stand");
	text_inject(f, a->inject);
	text_queue(f, queue);
	text_links(f, a->server);
	app_guard_text(&a->guard, f);
	fprintf(f, "  CPU %.2f s, memory at most %" PRIu64 " kB\n",
		usage->cpu_seconds, usage->memory_peak_kb);
	if (fclose(f) == 0)
		log_text(LOG_LEVEL_INFO, text);
	free(text);
}

void app_report(struct app *a, bool final)
{
	struct queue_stats queue;
	struct report_usage usage;

	a->queue->ops->stats(a->queue, &queue);
	report_usage(&usage);
	report_text(a, final, &queue, &usage);
	report_json(a, final, &queue, &usage);
}
