// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A conversation is written down before the world begins: requests, what the
 * server had answered when the client went on, and the packets that a capture
 * would show, with the client's retransmissions and the merging of GRO. From
 * the packets follows the truth that the oracles use: which bytes make a turn,
 * and what the client had seen by then. Stream bytes are random, so that eight
 * of them tell where they belong.
 */
#include "tests/sim/client.h"

#include <string.h>

#include "core/tuple_ports.h"
#include "tests/sim/check.h"
#include "tests/sim/copier.h"

#define WRAP_BYTES   3000u /* how far from its end a number space begins */
#define PACKETS_MAX  2048u
#define PACKETS_FEW  256u
#define REQUESTS_MAX 24u
#define ONLINE_NET   0u
#define CLIENT_NET   1u
#define BLOCK_US     400u /* of a capture that gathers */

struct planned {
	uint64_t at_us;
	uint32_t from, len; /* in the stream */
	uint32_t seen;	    /* what its ACK says; server's FIN included */
	uint8_t flags;
	bool again, lost;
};

/* While a conversation is written. */
struct writer {
	struct sim *sim;
	struct conversation *c;
	uint64_t now_us;
	uint32_t sent;	    /* stream bytes written so far */
	uint32_t seen, due; /* server bytes seen, and sent by it */
	unsigned mss;
	bool pipelined, split;
};

struct ip_addr sim_addr(bool v6, unsigned net, unsigned host)
{
	static const uint8_t v4_nets[4][3] = {
		{192, 0, 2}, {198, 51, 100}, {203, 0, 113}, {198, 18, 7}};
	uint8_t b[16] = {0x20, 0x01, 0x0d, 0xb8};

	if (!v6) {
		memcpy(b, v4_nets[net], 3);
		b[3] = (uint8_t)host;
		return addr_from_v4(b);
	}
	b[7] = (uint8_t)net;
	b[15] = (uint8_t)host;
	return addr_from_v6(b);
}

static void put(struct writer *w, uint32_t from, uint32_t len, uint8_t flags)
{
	if (w->c->packet_count < w->c->packet_room)
		w->c->packets[w->c->packet_count++] = (struct planned){
			.at_us = w->now_us,
			.from = from,
			.len = len,
			.seen = w->seen,
			.flags = flags,
		};
	w->now_us += rng_between(&w->sim->plan, 5, 60);
}

static void put_again(struct writer *w, uint32_t from, uint32_t len)
{
	put(w, from, len, TCP_ACK);
	w->c->packets[w->c->packet_count - 1].again = true;
	SIM_COVER(w->sim, captured_again);
}

/* One captured packet of a run, or what loss on the way made of it. */
static void put_data(struct writer *w, uint32_t from, uint32_t len, bool push)
{
	struct rng *dice = &w->sim->plan;
	uint8_t flags = push ? TCP_ACK | TCP_PSH : TCP_ACK;
	uint32_t back = from < 40 ? from : 40;

	if (len > w->mss)
		SIM_COVER(w->sim, captured_merged);
	if (w->c->late || !rng_chance(dice, w->sim->p.captured_again)) {
		put(w, from, len, flags);
		return;
	}
	switch (rng_below(dice, 3)) {
	case 0: /* twice */
		put(w, from, len, flags);
		put_again(w, from, len);
		return;
	case 1: /* again, with a bit of what came before */
		put(w, from, len, flags);
		put_again(w, from - back, len + back);
		return;
	default: /* the first one never came: late, after those behind it */
		w->now_us += 900;
		put(w, from, len, flags);
		w->c->packets[w->c->packet_count - 1].again = true;
		SIM_COVER(w->sim, captured_again);
		w->now_us -= 900;
	}
}

/* The client writes the stream on to `end`. */
static void write_to(struct writer *w, uint32_t end)
{
	struct rng *dice = &w->sim->plan;

	while (w->sent < end) {
		uint32_t len = w->mss, left = end - w->sent;

		if (rng_chance(dice, 300))
			len *= rng_between(dice, 2, 20);
		if (len > left || left - len < SIM_TELLING_BYTES)
			len = left;
		put_data(w, w->sent, len, len == left);
		w->sent += len;
		if (w->split && w->seen < w->due && left > len &&
		    rng_chance(dice, 250)) {
			w->seen += rng_between(dice, 1, w->due - w->seen);
			w->now_us += 2000;
			SIM_COVER(w->sim, split_uploads);
		}
	}
	w->now_us += 1500;
}

static uint32_t request_bytes(struct writer *w)
{
	struct rng *dice = &w->sim->plan;

	if (!rng_chance(dice, w->sim->p.uploads))
		return rng_between(dice, SIM_TELLING_BYTES, 900);
	SIM_COVER(w->sim, uploads);
	return rng_chance(dice, 150) ? rng_between(dice, 60000, 160000)
				     : rng_between(dice, 3000, 30000);
}

static uint32_t answer_bytes(struct rng *dice)
{
	switch (rng_below(dice, 10)) {
	case 0:
		return rng_between(dice, 20000, 90000);
	case 1:
	case 2:
		return rng_between(dice, 1, 20);
	default:
		return rng_between(dice, 20, 4000);
	}
}

static void plan_answer(struct writer *w, struct request *q)
{
	struct rng *dice = &w->sim->plan;
	const struct profile *p = &w->sim->p;
	uint32_t timeout_us = (uint32_t)p->timeout_us;

	q->answer =
		p->short_ones ? rng_between(dice, 1, 2000) : answer_bytes(dice);
	q->target_answer = q->answer;
	q->delay_us = rng_below(dice, 3000);
	if (rng_chance(dice, p->slow)) {
		q->delay_us = rng_between(dice, 20000,
					  p->prompt ? timeout_us / 2 : 1500000);
		q->pause_us = !p->prompt && rng_chance(dice, 500)
				      ? rng_between(dice, 1000, 400000)
				      : 0;
	}
	if (rng_chance(dice, p->silent))
		q->target_answer = 0;
	else if (rng_chance(dice, p->shorter))
		q->target_answer = q->answer / 2;
	else if (w->c->longer)
		q->target_answer = q->answer + rng_below(dice, 3000);
}

static struct request *add_request(struct writer *w)
{
	struct conversation *c = w->c;
	struct request *q = &c->requests[c->request_count++];

	q->start = c->len;
	q->end = c->len + request_bytes(w);
	c->len = q->end;
	plan_answer(w, q);
	return q;
}

/* The client waits for what it wants to see before it goes on. */
static void wait_for_answer(struct writer *w, bool whole)
{
	struct rng *dice = &w->sim->plan;
	uint32_t timeout_us = (uint32_t)w->sim->p.timeout_us;

	w->now_us += rng_between(dice, 2000, 30000);
	if (whole || w->due - w->seen < 2)
		w->seen = w->due;
	else
		w->seen += rng_between(dice, 1, w->due - w->seen);
	if (rng_chance(dice, 100))
		put(w, w->sent, 0, TCP_ACK);
	if (rng_chance(dice, 50) && w->sent > 0) /* keep-alive */
		put(w, w->sent - 1, 0, TCP_ACK);
	w->now_us +=
		rng_chance(dice, 300) ? rng_between(dice, 1000, 400000) : 200;
	if (w->sim->p.prompt && rng_chance(dice, 200)) {
		w->now_us +=
			rng_between(dice, timeout_us / 2, timeout_us * 3 / 2);
		SIM_COVER(w->sim, long_waits);
	}
}

static void write_exchange(struct writer *w, bool last)
{
	struct rng *dice = &w->sim->plan;
	unsigned n = w->pipelined ? rng_between(dice, 1, 4) : 1;
	bool half = last && w->c->close == CLIENT_HALF_CLOSE;

	for (unsigned i = 0; i < n && w->c->request_count < REQUESTS_MAX; i++) {
		struct request *q = add_request(w);

		write_to(w, q->end);
		w->due += q->answer;
	}
	if (half)
		put(w, w->sent, 0, TCP_FIN | TCP_ACK);
	wait_for_answer(w, last || !w->pipelined || rng_chance(dice, 700));
}

static void write_end(struct writer *w)
{
	struct conversation *c = w->c;

	switch (c->close) {
	case CLIENT_FIN:
		put(w, w->sent, 0, TCP_FIN | TCP_ACK);
		break;
	case CLIENT_FIN_SECOND:
		w->seen++;
		put(w, w->sent, 0, TCP_FIN | TCP_ACK);
		break;
	case CLIENT_HALF_CLOSE:
		SIM_COVER(w->sim, half_closed);
		break;
	case CLIENT_RST:
		SIM_COVER(w->sim, client_resets);
		put(w, w->sent, 0,
		    rng_chance(&w->sim->plan, 500) ? TCP_RST
						   : TCP_RST | TCP_ACK);
		break;
	case CLIENT_STAYS:
		SIM_COVER(w->sim, left_open);
		break;
	}
}

static void write_conversation(struct writer *w)
{
	struct conversation *c = w->c;
	struct rng *dice = &w->sim->plan;
	unsigned n = rng_between(dice, 1, w->sim->p.short_ones ? 2 : 6);

	put(w, 0, 0, TCP_SYN);
	w->now_us += rng_between(dice, 200, 20000);
	put(w, 0, 0, TCP_ACK);
	if (c->server_first) {
		w->due = SIM_GREETING_BYTES;
		wait_for_answer(w, true);
	}
	for (unsigned i = 0; i < n; i++)
		write_exchange(w, i + 1 == n);
	write_end(w);
}

static void fill_stream(struct sim *sim, struct conversation *c)
{
	static const uint8_t hello[6] = {0x16, 3, 1, 0, 0xf0, 1};

	c->stream = sim_alloc(sim, c->len + 8);
	c->captured = sim_alloc(sim, c->len);
	for (uint32_t i = 0; i < c->len; i += 8) {
		uint64_t x = rng_next(&sim->plan);

		memcpy(c->stream + i, &x, 8);
	}
	if (c->tls)
		memcpy(c->stream, hello, sizeof(hello));
	else
		c->stream[0] = 'G';
}

static bool earlier(const struct planned *a, const struct planned *b)
{
	return a->at_us < b->at_us;
}

/* By time; those of one time keep their order. */
static void sort_packets(struct conversation *c)
{
	for (unsigned i = 1; i < c->packet_count; i++) {
		struct planned p = c->packets[i];
		unsigned at = i;

		for (; at > 0 && earlier(&p, &c->packets[at - 1]); at--)
			c->packets[at] = c->packets[at - 1];
		c->packets[at] = p;
	}
}

/* What the capture misses. */
static void lose_packets(struct sim *sim, struct conversation *c)
{
	for (unsigned i = 0; i < c->packet_count; i++)
		if (rng_chance(&sim->capture_dice, sim->p.capture.loss)) {
			SIM_COVER(sim, capture_lost);
			c->packets[i].lost = true;
		}
}

/* Turns as the first captured copy of each byte shows them; bytes that are in
 * none go with those before them. */
static void find_turns(struct sim *sim, struct conversation *c)
{
	uint32_t *ack = sim_alloc(sim, c->len * sizeof(*ack));
	struct turn *t = NULL;

	for (unsigned i = 0; i < c->packet_count; i++)
		for (uint32_t b = 0; b < c->packets[i].len; b++)
			if (!c->packets[i].lost && !ack[c->packets[i].from + b])
				ack[c->packets[i].from + b] =
					c->packets[i].seen + 1;
	c->turns = sim_alloc(sim, c->packet_count * sizeof(*c->turns));
	c->boundaries =
		sim_alloc(sim, 2 * c->packet_count * sizeof(*c->boundaries));
	for (uint32_t b = 0; b < c->len; b++) {
		if (b == 0 || ack[b] > ack[b - 1])
			c->boundaries[c->boundary_count++] = b;
		if (!t || ack[b] > t->seen + 1) {
			t = &c->turns[c->turn_count++];
			t->start = b;
			t->seen = ack[b] > 0 ? ack[b] - 1 : 0;
		}
		t->end = b + 1;
	}
}

/* Had the client written something to its end there? */
static bool pushed_up_to(const struct conversation *c, uint32_t at)
{
	for (unsigned i = 0; i < c->packet_count; i++)
		if (c->packets[i].len > 0 &&
		    c->packets[i].from + c->packets[i].len == at)
			return c->packets[i].flags & TCP_PSH;
	return false;
}

/* The capture begins somewhere in the middle: the first boundary in it is
 * where the copies can begin. */
static void join_late(struct sim *sim, struct conversation *c)
{
	uint32_t first = c->len;

	SIM_COVER(sim, joined_late);
	c->first_captured = rng_between(&sim->plan, 2, c->packet_count - 1);
	for (unsigned i = c->first_captured; i < c->packet_count; i++)
		if (c->packets[i].len > 0 && c->packets[i].from < first)
			first = c->packets[i].from;
	c->copied_from = c->len;
	for (unsigned k = c->turn_count; k-- > 0;)
		if (c->turns[k].start > first &&
		    pushed_up_to(c, c->turns[k].start))
			c->copied_from = c->turns[k].start;
}

static void choose_tuple(struct sim *sim, struct conversation *c)
{
	struct rng *dice = &sim->plan;
	bool v6 = rng_chance(dice, sim->p.ipv6);
	unsigned host = rng_between(dice, 1, sim->p.hosts);

	c->tuple.src.addr = sim_addr(v6, CLIENT_NET, host);
	c->tuple.src.port = (uint16_t)rng_between(dice, 1024, 65535);
	c->tuple.dst.addr = sim_addr(v6, ONLINE_NET, 1);
	c->tuple.dst.port = c->server_first ? SIM_GREETING_PORT : SIM_HTTP_PORT;
	if (rng_chance(dice, sim->p.local_clients)) {
		uint8_t lo[4] = {127, 0, 0, 1};

		if (!v6 && rng_chance(dice, 500))
			c->tuple.dst.addr = addr_from_v4(lo);
		c->tuple.src.addr = c->tuple.dst.addr;
	}
	c->iss = (uint32_t)rng_next(dice);
	c->irs = (uint32_t)rng_next(dice);
	if (rng_chance(dice, 150)) /* wraps within the stream */
		c->iss = 0u - rng_between(dice, 1, WRAP_BYTES);
}

/* The tuple of an earlier conversation, once that is over. */
static void choose_used_tuple(struct sim *sim, struct conversation *c,
			      uint64_t *start_us)
{
	const struct conversations *cs = sim->conversations;
	const struct conversation *old;

	if (c->id == 0 || !rng_chance(&sim->plan, sim->p.reuse))
		return;
	old = &cs->all[rng_below(&sim->plan, c->id)];
	for (unsigned i = 0; i < c->id; i++)
		if (&cs->all[i] != old &&
		    four_tuple_equal(&cs->all[i].tuple, &old->tuple))
			return;
	if (old->server_first != c->server_first || c->late)
		return;
	SIM_COVER(sim, port_reuse);
	c->tuple = old->tuple;
	c->iss = old->iss + rng_between(&sim->plan, 1u << 26, 1u << 31);
	*start_us = old->packets[old->packet_count - 1].at_us +
		    rng_between(&sim->plan, 3000, 3000000);
}

/* The last conversation on this tuple, or NULL. */
static struct conversation *last_on(const struct conversations *cs,
				    const struct four_tuple *tuple)
{
	struct conversation *c = cs->by_tuple[index_of_tuple(tuple)];

	while (c && !four_tuple_equal(&c->tuple, tuple))
		c = c->older;
	return c;
}

/* One of few endpoints, when the conversation before it there is over. */
static void choose_one_of_few(struct sim *sim, struct conversation *c,
			      uint64_t *start_us)
{
	struct rng *dice = &sim->plan;
	const struct conversation *old;
	uint64_t over_us;

	choose_tuple(sim, c);
	c->tuple.src.port =
		(uint16_t)(TUPLES_PORT_MIN + rng_below(dice, sim->p.ports));
	/* No client begins with the endpoint and number of a copy of another
	 * one's: with few of both that would happen. */
	if (c->iss >= 0u - WRAP_BYTES)
		c->iss -= (uint32_t)c->tuple.src.port << 16 |
			  (c->server_first ? 1u << 15 : 0);
	old = last_on(sim->conversations, &c->tuple);
	if (!old)
		return;
	SIM_COVER(sim, port_reuse);
	c->iss = old->iss + old->len + rng_between(dice, 1u << 16, 1u << 28);
	over_us = old->packets[old->packet_count - 1].at_us +
		  rng_between(dice, 500, 300000);
	if (*start_us < over_us)
		*start_us = over_us;
}

static void choose_endpoint(struct sim *sim, struct conversation *c,
			    uint64_t *start_us)
{
	struct conversation **chain;

	if (sim->p.ports) {
		choose_one_of_few(sim, c, start_us);
	} else {
		do
			choose_tuple(sim, c);
		while (last_on(sim->conversations, &c->tuple));
		choose_used_tuple(sim, c, start_us);
	}
	chain = &sim->conversations->by_tuple[index_of_tuple(&c->tuple)];
	c->older = *chain;
	*chain = c;
}

static void choose_manners(struct sim *sim, struct conversation *c)
{
	struct rng *dice = &sim->plan;
	const struct profile *p = &sim->p;
	unsigned how = rng_below(dice, 10);

	c->server_first = rng_chance(dice, p->server_first);
	c->late = rng_chance(dice, p->late_join);
	c->tls = !c->late && !c->server_first && rng_chance(dice, p->tls);
	c->close = how < 5   ? CLIENT_FIN
		   : how < 6 ? CLIENT_FIN_SECOND
		   : how < 8 ? CLIENT_HALF_CLOSE
		   : how < 9 ? CLIENT_RST
			     : CLIENT_STAYS;
	c->longer = rng_chance(dice, p->longer);
	if (rng_chance(dice, p->closing))
		c->app = APP_CLOSES;
	else if (rng_chance(dice, p->resetting))
		c->app = APP_RESETS;
	c->close_after = rng_between(dice, 1, 3);
}

static void note_beginnings(struct sim *sim, struct conversation *c)
{
	for (unsigned k = 0; k < c->boundary_count; k++) {
		struct beginning *b = sim_alloc(sim, sizeof(*b)), **chain;

		b->conv = c;
		b->at = c->boundaries[k];
		chain = &sim->conversations
				 ->by_bytes[index_of_bytes(c->stream + b->at)];
		while (*chain)
			chain = &(*chain)->next;
		*chain = b;
	}
}

static void plan_conversation(struct sim *sim, struct conversation *c)
{
	struct rng *dice = &sim->plan;
	uint64_t start_us = sim->now_us + rng_below(dice, sim->p.spread_us);
	struct writer w = {
		.sim = sim,
		.c = c,
		.mss = rng_chance(dice, 300) ? 536 : 1448,
		.pipelined = rng_chance(dice, sim->p.pipelined),
	};

	SIM_COVER(sim, connections);
	w.split = w.pipelined && rng_chance(dice, 500);
	c->packet_room = sim->p.short_ones ? PACKETS_FEW : PACKETS_MAX;
	c->packets = sim_alloc(sim, c->packet_room * sizeof(*c->packets));
	c->requests = sim_alloc(sim, REQUESTS_MAX * sizeof(*c->requests));
	choose_manners(sim, c);
	choose_endpoint(sim, c, &start_us);
	w.now_us = start_us;
	write_conversation(&w);
	sort_packets(c);
	fill_stream(sim, c);
	lose_packets(sim, c);
	find_turns(sim, c);
	if (c->late)
		join_late(sim, c);
	note_beginnings(sim, c);
	sim->coverage[COVER_ipv6] += !addr_is_v4(&c->tuple.src.addr);
	sim->coverage[COVER_pipelined] += w.pipelined;
	sim->coverage[COVER_server_first] += c->server_first;
	sim->coverage[COVER_tls_seen] += c->tls;
}

static struct conversation *plan_next(struct sim *sim, struct conversations *cs)
{
	struct conversation *c = &cs->all[cs->count];
	uint64_t end_us;

	c->id = cs->count;
	plan_conversation(sim, c);
	end_us = c->packets[c->packet_count - 1].at_us;
	cs->end_us = end_us > cs->end_us ? end_us : cs->end_us;
	cs->count++;
	return c;
}

void conversations_new(struct sim *sim)
{
	struct conversations *cs = sim_alloc(sim, sizeof(*cs));

	sim->conversations = cs;
	cs->all = sim_alloc(sim, (sim->p.conversations + CONVERSATIONS_FRESH) *
					 sizeof(*cs->all));
	while (cs->count < sim->p.conversations)
		plan_next(sim, cs);
}

static struct sim_packet *captured_packet(struct sim *sim,
					  const struct conversation *c,
					  const struct planned *p)
{
	struct segment seg = {
		.tuple = c->tuple,
		.seq = c->iss + 1 + p->from - (p->flags & TCP_SYN ? 1 : 0),
		.ack = p->flags & TCP_ACK ? c->irs + 1 + p->seen : 0,
		.payload_len = p->len,
		.payload_cap = p->len,
		.payload = p->len ? c->stream + p->from : NULL,
		.wnd = 501,
		.flags = p->flags,
	};

	if (p->flags & TCP_SYN)
		seg.opts = (struct tcp_opts){
			.mss_bytes = 1460, .has_wscale = true, .wscale = 7};
	return sim_packet_new(sim, &seg);
}

static void capture(struct sim *sim, void *obj, uint64_t arg)
{
	struct conversation *c = obj;
	struct planned *p = &c->packets[arg >> 1];

	if (p->len > 0)
		memset(c->captured + p->from, 1, p->len);
	if (p->flags == TCP_ACK && p->len == 0 && p->from == 0 && p->seen == 0)
		c->handshake_seen = true;
	c->captured_at_all |= p->len > 0 || p->flags & TCP_SYN;
	copier_on_capture(sim, captured_packet(sim, c, p));
}

static uint64_t captured_us(const struct sim *sim, uint64_t at_us)
{
	return sim_gathers(sim) ? (at_us / BLOCK_US + 1) * BLOCK_US : at_us;
}

/* What the capture makes of the packet. */
static void play(struct sim *sim, struct conversation *c, unsigned i)
{
	struct rng *dice = &sim->capture_dice;
	const struct fault_rates *rates = &sim->p.capture;
	const struct planned *p = &c->packets[i];
	uint64_t at = p->at_us;

	if (p->lost)
		return;
	if (p->len > 0 && !p->again && !c->late &&
	    rng_chance(dice, rates->reorder)) {
		SIM_COVER(sim, capture_reordered);
		at += rng_between(dice, 10, 400);
	}
	if (rng_chance(dice, rates->dup)) {
		SIM_COVER(sim, capture_doubled);
		sim_at(sim, captured_us(sim, at + rng_between(dice, 1, 90)),
		       capture, c, (uint64_t)i << 1 | 1);
	}
	sim_at(sim, captured_us(sim, at), capture, c, (uint64_t)i << 1);
}

static void play_all(struct sim *sim, struct conversation *c)
{
	for (unsigned i = c->first_captured; i < c->packet_count; i++)
		play(sim, c, i);
}

void conversations_play(struct sim *sim)
{
	const struct conversations *cs = sim->conversations;

	for (unsigned n = 0; n < cs->count; n++)
		play_all(sim, &cs->all[n]);
}

void conversations_add_fresh(struct sim *sim, unsigned count)
{
	struct profile troubled = sim->p;

	profile_calm(&sim->p);
	for (unsigned n = 0; n < count; n++) {
		struct conversation *c = plan_next(sim, sim->conversations);

		c->fresh = true;
		play_all(sim, c);
		SIM_COVER(sim, fresh);
	}
	sim->p = troubled;
}

uint64_t conversations_end_us(const struct conversations *c)
{
	return c->end_us;
}

struct conversation *conversations_find(struct conversations *c,
					const uint8_t *bytes, uint32_t *start)
{
	const struct beginning *b = c->by_bytes[index_of_bytes(bytes)];

	while (b &&
	       memcmp(b->conv->stream + b->at, bytes, SIM_TELLING_BYTES) != 0)
		b = b->next;
	if (!b)
		return NULL;
	*start = b->at;
	return b->conv;
}

unsigned conversation_turn_at(const struct conversation *c, uint32_t at)
{
	unsigned k = 0;

	while (k < c->turn_count && at >= c->turns[k].end)
		k++;
	return k;
}

bool conversations_use(const struct sim *sim, const struct endpoint *client)
{
	const struct conversations *cs = sim->conversations;

	for (unsigned i = 0; i < cs->count; i++)
		if (endpoint_equal(&cs->all[i].tuple.src, client))
			return true;
	return false;
}
