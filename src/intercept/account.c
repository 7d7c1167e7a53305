// SPDX-License-Identifier: BSD-2-Clause
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "intercept/account.h"

/* What is told: the sum, and the links of each. */
struct view {
	const struct account *const *accounts;
	unsigned count;
	struct totals sum;
	bool final;
};

/* ---- the sum ---- */

void account_set_links(struct account *a, const struct link_server *ls)
{
	struct totals *t = &a->totals;

	a->link_count = 0;
	for (unsigned i = 0; i < ACCOUNT_LINKS_MAX; i++) {
		struct account_link *link = &a->links[a->link_count];

		if (!link_server_info(ls, i, &link->info))
			continue;
		link->id = i;
		a->link_count++;
	}
	t->links_ended = link_server_ended(ls, &t->ended);
	t->altered = link_server_altered(ls);
	t->strangers = link_server_strangers(ls);
	for (unsigned i = 0; i < LINK_CAUSES; i++)
		t->refused[i] = link_server_refused(ls, (enum link_cause)i);
}

static void add_packets(struct divert_counters *sum,
			const struct divert_counters *c)
{
#define X(name, text) sum->name += c->name;
	DIVERT_COUNTERS(X)
#undef X
}

static void add_queue(struct queue_stats *sum, const struct queue_stats *q)
{
	sum->received += q->received;
	sum->lost += q->lost;
	sum->queue_dropped += q->queue_dropped;
	sum->user_dropped += q->user_dropped;
	sum->verdict_errors += q->verdict_errors;
	sum->receive_buffer_bytes += q->receive_buffer_bytes;
}

static void add_stats(struct peer_stats *sum, const struct peer_stats *s)
{
	sum->records_in += s->records_in;
	sum->records_out += s->records_out;
	sum->records_shed += s->records_shed;
	sum->bytes_in += s->bytes_in;
	sum->bytes_out += s->bytes_out;
}

static void add_links(struct totals *sum, const struct totals *a)
{
	sum->links_ended += a->links_ended;
	sum->altered += a->altered;
	sum->strangers += a->strangers;
	add_stats(&sum->ended, &a->ended);
	for (unsigned i = 0; i < LINK_CAUSES; i++)
		sum->refused[i] += a->refused[i];
}

static void add_usage(struct report_usage *sum, const struct report_usage *u)
{
	sum->cpu_seconds += u->cpu_seconds;
	sum->memory_peak_kb += u->memory_peak_kb;
}

static void add(struct totals *sum, const struct totals *a)
{
	add_packets(&sum->packets, &a->packets);
	sum->routes += a->routes;
	sum->links_excess += a->links_excess;
	sum->routes_foreign += a->routes_foreign;
	sum->routes_unguarded += a->routes_unguarded;
	sum->relay_foreign += a->relay_foreign;
	sum->relay_unguarded += a->relay_unguarded;
	if (a->guards) { /* one at most */
		sum->guards = true;
		sum->armed = a->armed;
		sum->guard = a->guard;
	}
	sum->injects |= a->injects;
	sum->inject.sent += a->inject.sent;
	sum->inject.refused += a->inject.refused;
	sum->inject.cut += a->inject.cut;
	add_queue(&sum->queue, &a->queue);
	add_links(sum, a);
	add_usage(&sum->usage, &a->usage);
}

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

static void json_inject(struct json *j, const struct totals *sum)
{
	if (!sum->injects)
		return;
	json_object(j, "inject");
	json_uint(j, "sent", sum->inject.sent);
	json_uint(j, "refused", sum->inject.refused);
	json_uint(j, "cut", sum->inject.cut);
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

static void json_link(struct json *j, const struct account_link *link)
{
	const struct link_info *info = &link->info;
	char text[ENDPOINT_TEXT_MAX];

	json_uint(j, "id", link->id);
	json_string(j, "remote", endpoint_text(&info->remote, text));
	snprintf(text, sizeof(text), "%016" PRIx64, info->instance);
	json_string(j, "instance", text);
	json_stats(j, &info->stats);
}

static void json_links_of(struct json *j, const struct view *v, unsigned worker)
{
	const struct account *a = v->accounts[worker];

	for (unsigned i = 0; i < a->link_count; i++) {
		json_object(j, NULL);
		if (v->count > 1)
			json_uint(j, "worker", worker);
		json_link(j, &a->links[i]);
		json_object_end(j);
	}
}

static void json_links(struct json *j, const struct view *v)
{
	json_array(j, "links");
	for (unsigned i = 0; i < v->count; i++)
		json_links_of(j, v, i);
	json_array_end(j);
	json_object(j, "links_ended");
	json_uint(j, "count", v->sum.links_ended);
	json_uint(j, "altered", v->sum.altered);
	json_stats(j, &v->sum.ended);
	json_object_end(j);
	json_uint(j, "strangers", v->sum.strangers);
	json_object(j, "refused");
#define X(name, key, text) json_uint(j, key, v->sum.refused[LINK_##name]);
	LINK_CAUSE_LIST(X)
#undef X
	json_object_end(j);
}

static void json_guard(struct json *j, const struct totals *sum)
{
	if (!sum->guards)
		return;
	json_object(j, "guard");
	json_bool(j, "armed", sum->armed);
#define X(name, text) json_uint(j, #name, sum->guard.name);
	GUARD_COUNTERS(X)
#undef X
	json_object_end(j);
}

static void report_json(struct report *r, const struct view *v)
{
	const struct totals *sum = &v->sum;
	struct json *j = report_begin(r, "ledger");

	if (!j)
		return;
	json_bool(j, "final", v->final);
	json_packets(j, &sum->packets);
	json_uint(j, "routes", sum->routes);
	json_uint(j, "links_excess", sum->links_excess);
	json_uint(j, "routes_foreign", sum->routes_foreign);
	json_uint(j, "routes_unguarded", sum->routes_unguarded);
	json_uint(j, "relay_foreign", sum->relay_foreign);
	json_uint(j, "relay_unguarded", sum->relay_unguarded);
	json_inject(j, sum);
	json_queue(j, &sum->queue);
	json_links(j, v);
	json_guard(j, sum);
	json_decimal(j, "cpu_seconds", sum->usage.cpu_seconds, 3);
	json_uint(j, "memory_peak_kb", sum->usage.memory_peak_kb);
	report_end(r);
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

static void text_inject(FILE *f, const struct totals *sum)
{
	if (!sum->injects)
		return;
	row(f, sum->inject.sent, "packets injected here");
	row(f, sum->inject.refused, "not injected: refused by this host");
	row(f, sum->inject.cut, "longer than lo's MTU, injected in pieces");
}

static void text_link(FILE *f, const char *name, const struct peer_stats *s)
{
	fprintf(f,
		"  %s: headers and messages sent %" PRIu64 ", shed %" PRIu64
		", received %" PRIu64 "\n",
		name, s->records_out, s->records_shed, s->records_in);
}

static void text_links_of(FILE *f, const struct view *v, unsigned worker)
{
	const struct account *a = v->accounts[worker];
	char remote[ENDPOINT_TEXT_MAX], name[ENDPOINT_TEXT_MAX + 48];

	for (unsigned i = 0; i < a->link_count; i++) {
		const struct account_link *link = &a->links[i];

		endpoint_text(&link->info.remote, remote);
		if (v->count > 1)
			snprintf(name, sizeof(name), "worker %u, link %u, %s",
				 worker, link->id, remote);
		else
			snprintf(name, sizeof(name), "link %u, %s", link->id,
				 remote);
		text_link(f, name, &link->info.stats);
	}
}

static void text_links(FILE *f, const struct view *v)
{
	const struct totals *sum = &v->sum;
	char name[64];

	for (unsigned i = 0; i < v->count; i++)
		text_links_of(f, v, i);
	if (sum->links_ended > 0) {
		snprintf(name, sizeof(name), "%" PRIu64 " ended links",
			 sum->links_ended);
		text_link(f, name, &sum->ended);
	}
	row(f, sum->altered,
	    "links ended for frames that were forged or altered");
	row(f, sum->strangers, "connections that were not tcpcopy");
#define X(name, key, text) row(f, sum->refused[LINK_##name], text);
	LINK_CAUSE_LIST(X)
#undef X
}

static void text_guard(FILE *f, const struct totals *sum)
{
	if (!sum->guards)
		return;
#define X(name, text) row(f, sum->guard.name, text);
	GUARD_COUNTERS(X)
#undef X
}

static void report_text(const struct view *v)
{
	const struct totals *sum = &v->sum;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return;
	fprintf(f, "ledger%s\n", v->final ? " at the end" : "");
	text_packets(f, &sum->packets);
	row(f, sum->routes, "routes registered now");
	row(f, sum->links_excess,
	    "links ended at once: of one tcpcopy too many");
	row(f, sum->routes_foreign, "routes not taken: not this host's target");
	row(f, sum->routes_unguarded,
	    "routes not taken: to a port not named by --guard");
	row(f, sum->relay_foreign,
	    "not injected: not to this host, or in its own name");
	row(f, sum->relay_unguarded, "not injected: the guard did not stand");
	text_inject(f, sum);
	text_queue(f, &sum->queue);
	text_links(f, v);
	text_guard(f, sum);
	fprintf(f, "  CPU %.2f s, memory at most %" PRIu64 " kB\n",
		sum->usage.cpu_seconds, sum->usage.memory_peak_kb);
	if (fclose(f) == 0)
		log_text(LOG_LEVEL_INFO, text);
	free(text);
}

void account_report(struct report *r, const struct account *const accounts[],
		    unsigned count, const struct report_usage *head, bool final)
{
	struct view v = {
		.accounts = accounts,
		.count = count,
		.final = final,
	};

	for (unsigned i = 0; i < count; i++)
		add(&v.sum, &accounts[i]->totals);
	if (head)
		add_usage(&v.sum.usage, head);
	report_text(&v);
	report_json(r, &v);
}
