// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Every packet that leaves tcpcopy and every message that it is given pass
 * here. From them a picture of each of its connections is kept, apart from the
 * engine's own: what has been sent, what the target has said. A packet must fit
 * that picture and the truth about the conversation whose bytes it carries.
 * Sequence numbers are turned into offsets at once; nothing of core/seq.h is
 * used.
 */
#include "tests/sim/check.h"

#include <string.h>

#include "core/tuples.h"
#include "tests/sim/copier.h"

#define FAR_BYTES    (1u << 28)
#define RTO_LEAST_US 200000u /* RFC 6298 would say 1 s; ours is 200 ms */
#define MTU_BYTES    1500u
#define LEASE_US     1000000u
#define WINDOW_BYTES (65535u << 7)

void check_new(struct sim *sim)
{
	sim->check = sim_alloc(sim, sizeof(*sim->check));
}

/* How far number x is from `from` on the circle, if that is plausible. */
static bool offset(uint32_t x, uint32_t from, uint32_t *out)
{
	*out = x - from;
	return *out < FAR_BYTES;
}

static struct seen_connection *find_seen(struct sim *sim,
					 const struct four_tuple *tuple)
{
	struct seen_connection *s = sim->check->by_tuple[index_of_tuple(tuple)];

	while (s && !four_tuple_equal(&s->tuple, tuple))
		s = s->next;
	return s;
}

static struct seen_connection *find_routed(struct sim *sim, uint64_t route_id)
{
	struct seen_connection *s =
		sim->check->by_route[index_of_number(route_id)];

	while (s && s->route_id != route_id)
		s = s->next_by_route;
	return s;
}

struct seen_connection *check_find_ours(struct sim *sim)
{
	for (unsigned i = 0; i < SIM_CHAINS; i++) {
		struct seen_connection *s = sim->check->by_tuple[i];

		if (s && s->established && !s->over && !s->looped &&
		    sim->now_us - s->last_sent_us < TUPLES_LINGER_US / 2 &&
		    !conversations_use(sim, &s->tuple.src))
			return s;
	}
	return NULL;
}

void check_restart(struct sim *sim)
{
	struct conversations *cs = sim->conversations;

	for (unsigned i = 0; i < SIM_CHAINS; i++)
		for (struct seen_connection *s = sim->check->by_tuple[i]; s;
		     s = s->next)
			s->over = s->reset = true;
	memset(sim->check->routes, 0, sizeof(sim->check->routes));
	memset(sim->check->guarded, 0, sizeof(sim->check->guarded));
	sim->check->violations = 0;
	sim->check->restarted = true;
	for (unsigned i = 0; i < cs->count; i++)
		cs->all[i].handshake_seen = false;
}

/* --- messages ------------------------------------------------------------ */

static struct seen_route **routes_of(struct sim *sim,
				     const struct endpoint *client,
				     const struct endpoint *target)
{
	struct four_tuple tuple = {.src = *client, .dst = *target};

	return &sim->check->routes[index_of_tuple(&tuple)];
}

void check_msg_out(struct sim *sim, const struct wire_msg *msg)
{
	struct seen_route *r, **routes;

	sim_digest(sim, &msg->type, sizeof(msg->type));
	if (msg->type != WIRE_ROUTE_ADD)
		return;
	sim_digest(sim, &msg->route.route_id, sizeof(msg->route.route_id));
	sim_trace(sim, "route %llx to port %u iss %u",
		  (unsigned long long)msg->route.route_id,
		  msg->route.client.port, msg->route.iss);
	r = sim_alloc(sim, sizeof(*r));
	r->route = msg->route;
	routes = routes_of(sim, &r->route.client, &r->route.target);
	r->next = *routes;
	*routes = r;
}

static const struct wire_route *find_route(struct sim *sim,
					   const struct four_tuple *tuple)
{
	const struct seen_route *r = *routes_of(sim, &tuple->src, &tuple->dst);

	while (r && !(endpoint_equal(&r->route.client, &tuple->src) &&
		      endpoint_equal(&r->route.target, &tuple->dst)))
		r = r->next;
	return r ? &r->route : NULL;
}

static void hear_syn_ack(struct seen_connection *s,
			 const struct wire_response *r)
{
	s->established = true;
	s->irs = r->seq;
	s->heard_end = r->seq + 1;
	s->scale = r->opts.has_wscale ? r->opts.wscale : 0;
	s->mss = r->opts.mss_bytes ? r->opts.mss_bytes : 536;
	s->edge = s->window = r->wnd;
}

static void hear(struct seen_connection *s, const struct wire_response *r)
{
	uint32_t end = r->seq + r->payload_len + (r->flags & TCP_FIN ? 1 : 0);
	uint32_t news, acked, window = (uint32_t)r->wnd << s->scale;

	if (offset(end, s->heard_end, &news))
		s->heard_end = end;
	s->peer_fin |= (r->flags & TCP_FIN) != 0;
	if (!(r->flags & TCP_ACK) || !offset(r->ack, s->iss + 1, &acked) ||
	    acked > s->sent + 1 || acked < s->acked)
		return;
	s->acked = acked;
	s->window = window;
	if (acked + window > s->edge)
		s->edge = acked + window;
}

/* An RST that acknowledges nothing is in the window, which ends by so much
 * behind what has been heard, or below it; all others are of an earlier
 * connection on the tuple. */
static bool resets(const struct seen_connection *s,
		   const struct wire_response *r)
{
	uint32_t off, heard = s->heard_end - s->irs;

	if (!s->established)
		return r->flags & TCP_ACK && r->ack == s->iss + 1;
	return offset(r->seq, s->irs, &off) &&
	       (r->flags & TCP_ACK || off <= heard + WINDOW_BYTES);
}

static void on_response(struct sim *sim, const struct wire_response *r)
{
	struct seen_connection *s = find_routed(sim, r->route_id);
	uint32_t off;
	bool answers_syn;

	if (!s)
		return;
	answers_syn = r->flags & TCP_ACK && r->ack == s->iss + 1;
	/* what an earlier connection on the tuple has left behind */
	if (s->established && r->flags & TCP_ACK &&
	    !offset(r->ack, s->iss + 1, &off))
		return;
	if (r->flags & TCP_RST) {
		if (resets(s, r))
			s->over = s->reset = true;
		return;
	}
	if (r->flags & TCP_SYN) {
		if (!s->established && answers_syn)
			hear_syn_ack(s, r);
		return;
	}
	if (!s->established) {
		/* What acknowledges our SYN answers somebody else's packet. */
		if (!answers_syn) {
			s->challenged = true;
			s->challenge = r->ack;
		}
		return;
	}
	if (offset(r->seq, s->irs, &off))
		hear(s, r);
}

static void hear_status(struct sim *sim, unsigned link_id,
			const struct wire_status *status)
{
	unsigned group = link_id / sim->p.links_per_group;

	sim->check->guarded[group] = status->guarded;
	sim->check->vouched_until_us[group] =
		status->armed ? sim->now_us + LEASE_US : 0;
}

static bool vouches(const struct sim *sim, unsigned group)
{
	return !sim->check->guarded[group] ||
	       sim->now_us <= sim->check->vouched_until_us[group];
}

/* May tcpcopy send to this host? */
static bool is_vouched_for(struct sim *sim, const struct ip_addr *target)
{
	if (sim->p.by_port)
		return vouches(sim, 0) && vouches(sim, 1);
	return vouches(sim, (target->b[15] - 1u) % sim->p.groups);
}

void check_msg_in(struct sim *sim, unsigned link_id, const struct wire_msg *msg)
{
	if (msg->type == WIRE_STATUS)
		hear_status(sim, link_id, &msg->status);
	if (msg->type == WIRE_RESPONSE) {
		on_response(sim, &msg->response);
	} else if (msg->type == WIRE_ROUTE_REFUSED) {
		sim_trace(sim, "route %llx refused",
			  (unsigned long long)msg->route.route_id);
		struct seen_connection *s =
			find_routed(sim, msg->route.route_id);

		if (s)
			s->over = true;
	}
}

/* --- packets ------------------------------------------------------------- */

static bool goes_to_target(struct sim *sim, const struct segment *seg)
{
	const struct replay_config *cfg = copier_config(sim);

	for (size_t i = 0; i < cfg->target_count; i++)
		if (endpoint_equal(&cfg->targets[i].at, &seg->tuple.dst))
			return true;
	sim_fail(sim, "targets", "a packet to no target");
	return false;
}

/* before: the last one on this tuple, or NULL. */
static void add_seen(struct sim *sim, const struct segment *seg,
		     const struct seen_connection *before)
{
	struct seen_connection *s = sim_alloc(sim, sizeof(*s)), **chain;
	const struct wire_route *route = find_route(sim, &seg->tuple);

	if (!route || route->iss != seg->seq) {
		sim_fail(sim, "route", "a SYN before its route");
		return;
	}
	if (before && sim->now_us - before->last_sent_us < TUPLES_LINGER_US)
		SIM_COVER(sim, tuples_lingering);
	s->tuple = seg->tuple;
	s->iss = seg->seq;
	s->route_id = route->route_id;
	s->last_sent_us = sim->now_us;
	chain = &sim->check->by_tuple[index_of_tuple(&s->tuple)];
	s->next = *chain;
	*chain = s;
	chain = &sim->check->by_route[index_of_number(s->route_id)];
	s->next_by_route = *chain;
	*chain = s;
}

/* Closed by both sides, even if the last ACK could not be sent. */
static bool is_closed(const struct seen_connection *s)
{
	return s->fin_sent && s->peer_fin;
}

static void check_syn(struct sim *sim, struct seen_connection *s,
		      const struct segment *seg)
{
	if (seg->payload_len > 0 || seg->flags != TCP_SYN ||
	    !seg->opts.mss_bytes || seg->opts.has_tstamp) {
		sim_fail(sim, "syn", "a SYN that we would not send");
		return;
	}
	if (!s || s->iss != seg->seq) {
		if (s && !s->over && !is_closed(s))
			sim_fail(sim, "tuple",
				 "two live sessions on one tuple");
		else
			add_seen(sim, seg, s);
		return;
	}
	if (s->established && !s->over)
		sim_fail(sim, "syn", "a SYN on an established connection");
	s->over = s->reset = false;
	SIM_COVER(sim, syn_retransmissions);
}

static void check_rst(struct sim *sim, struct seen_connection *s,
		      const struct segment *seg)
{
	uint32_t off;

	SIM_COVER(sim, resets_sent);
	if (s && !s->established && s->challenged && seg->seq == s->challenge)
		return;
	/* With relay it may have waited while more was acknowledged. */
	if (!s || !offset(seg->seq, s->iss + 1, &off) ||
	    (off < s->acked && !sim->p.relay) || off > s->sent + s->fin_sent) {
		sim_fail(sim, "rst", "an RST with sequence number %u",
			 seg->seq);
		return;
	}
	s->over = s->reset = true;
}

static void check_ack(struct sim *sim, struct seen_connection *s,
		      const struct segment *seg)
{
	uint32_t ahead;

	if (!(seg->flags & TCP_ACK) || !s->established) {
		sim_fail(sim, "ack", "a segment without a valid ACK");
		return;
	}
	if (!offset(s->heard_end, seg->ack, &ahead))
		sim_fail(sim, "ack", "ACK %u of what the target never sent",
			 seg->ack);
	if (s->has_last_ack && !offset(seg->ack, s->last_ack, &ahead))
		sim_fail(sim, "ack", "ACK went back");
	s->last_ack = seg->ack;
	s->has_last_ack = true;
}

/* What tcpcopy could have sent, but never of all that the target has. */
static bool fits(struct sim *sim, const struct seen_connection *s,
		 const struct segment *ack)
{
	const struct target_connection *t;
	uint32_t off;

	if (!four_tuple_equal(&s->tuple, &ack->tuple) || !s->established ||
	    !offset(ack->seq, s->iss + 1, &off) || off > s->sent + s->fin_sent)
		return false;
	t = target_find(sim, &ack->tuple, s->iss, s->irs);
	return t && offset(ack->ack, t->iss + 1, &off) && off > 0 &&
	       off < target_sent_bytes(t);
}

/* The tuple's next session may have begun at tcpcopy meanwhile. */
void check_local_ack(struct sim *sim, const struct segment *ack)
{
	const struct seen_connection *s =
		sim->check->by_tuple[index_of_tuple(&ack->tuple)];

	SIM_COVER(sim, local_acks);
	while (s && !fits(sim, s, ack))
		s = s->next;
	if (!s || ack->flags != TCP_ACK || ack->payload_len > 0 ||
	    ack->wnd != 65535)
		sim_fail(sim, "local", "an ACK that nobody would send");
}

/* Target's bytes that must have been sent before turn k may go. */
static uint32_t needed_bytes(const struct conversation *c,
			     const struct target_connection *t, unsigned k)
{
	uint32_t seen = c->turns[k].seen, at = 0, need = 0;

	if (c->server_first) {
		at = SIM_GREETING_BYTES;
		need = seen < at ? seen : at;
	}
	for (unsigned i = 0; i < c->request_count && seen > at; i++) {
		const struct request *q = &c->requests[i];
		uint32_t part = seen - at < q->answer ? seen - at : q->answer;

		at += q->answer;
		if (i < t->first_request)
			continue;
		if (part == q->answer && !c->longer)
			part = q->target_answer;
		need += part < q->target_answer ? part : q->target_answer;
	}
	return need;
}

/* Turn k's first byte leaves: had its time come? */
static void check_gate(struct sim *sim, struct seen_connection *s, unsigned k)
{
	const struct conversation *c = s->conv;
	const struct target_connection *t;
	uint32_t before = c->turns[k].start - s->conv_at;

	if (before > 0 && s->acked < before) {
		sim_fail(sim, "gate",
			 "turn %u of conversation %u left before the target "
			 "had all of the turn before",
			 k, c->id);
		return;
	}
	t = target_find(sim, &s->tuple, s->iss, s->irs);
	if (s->tainted || !t || t->app_closed || t->state == T_CLOSED)
		return;
	/* a session that begins later on does not wait for a greeting, and
	 * without the handshake's ACK nobody can know of one */
	if (c->server_first && (s->conv_at > 0 || !c->handshake_seen))
		return;
	if (before == 0 && !c->server_first)
		return;
	if (target_sent_bytes(t) >= needed_bytes(c, t, k))
		return;
	s->tainted = true;
	sim_trace(sim, "turn %u of conversation %u left early", k, c->id);
	SIM_COVER(sim, early_violations);
	sim->check->violations++;
}

static void identify(struct sim *sim, struct seen_connection *s)
{
	if (s->conv || s->first_len < SIM_TELLING_BYTES)
		return;
	s->conv = conversations_find(sim->conversations, s->first, &s->conv_at);
	if (!s->conv)
		sim_fail(sim, "payload",
			 "a connection begins with bytes of no turn");
	else if (s->conv->tls && !sim->p.capture.loss &&
		 !sim->p.short_of_memory && !sim->check->restarted)
		/* elsewhere its hello has been seen */
		sim_fail(sim, "tls", "bytes of a TLS connection were sent");
	else
		sim_trace(sim, "this is conversation %u from byte %u",
			  s->conv->id, s->conv_at);
}

static void note_first(struct sim *sim, struct seen_connection *s, uint32_t off,
		       const struct segment *seg)
{
	for (uint32_t i = 0; i < seg->payload_len; i++) {
		if (off + i >= SIM_TELLING_BYTES)
			break;
		s->first[off + i] = seg->payload[i];
		if (off + i >= s->first_len)
			s->first_len = off + i + 1;
	}
	identify(sim, s);
}

/* Were these bytes captured, there? */
static void check_payload(struct sim *sim, struct seen_connection *s,
			  uint32_t off, const struct segment *seg)
{
	const struct conversation *c;
	uint32_t at;

	note_first(sim, s, off, seg);
	c = s->conv;
	if (!c || sim->failed)
		return;
	at = s->conv_at + off;
	for (uint32_t i = 0; i < seg->payload_len; i++) {
		if (at + i < c->len && c->captured[at + i] &&
		    c->stream[at + i] == seg->payload[i])
			continue;
		sim_fail(sim, "payload",
			 "byte %u of conversation %u was not captured so",
			 at + i, c->id);
		return;
	}
}

static uint32_t segment_most(struct sim *sim, const struct seen_connection *s)
{
	const struct replay_config *cfg = copier_config(sim);
	uint32_t most = MTU_BYTES - (addr_is_v4(&s->tuple.dst.addr) ? 40 : 60);

	if (cfg->mss_bytes && cfg->mss_bytes < most)
		most = cfg->mss_bytes;
	return s->mss < most ? s->mss : most;
}

/* Several segments in one packet: sent for the first time, whole, and of one
 * turn. */
static void check_large(struct sim *sim, const struct seen_connection *s,
			uint32_t off, uint32_t len)
{
	uint32_t most = segment_most(sim, s);
	const struct conversation *c = s->conv;
	uint32_t at = s->conv_at + off, end = at + len;
	unsigned k;

	if (len <= most)
		return;
	SIM_COVER(sim, large_packets);
	if (!sim->p.relay || off != s->sent)
		sim_fail(sim, "large", "%u bytes in one packet, at %u of %u",
			 len, off, s->sent);
	if (!c)
		return;
	k = conversation_turn_at(c, at);
	if (end > c->turns[k].end)
		sim_fail(sim, "large", "a packet of two turns");
	else if (len % most && end < c->turns[k].end && c->captured[end])
		sim_fail(sim, "large", "a segment of %u bytes, not of %u",
			 len % most, most);
}

/* A segment smaller than need be, while nothing is under way. */
static void check_size(struct sim *sim, const struct seen_connection *s,
		       uint32_t off, uint32_t len)
{
	const struct conversation *c = s->conv;
	uint32_t most = segment_most(sim, s), at, end;
	unsigned k;

	if (!c || off != s->sent || s->acked != s->sent || s->window == 0)
		return;
	at = s->conv_at + off;
	k = conversation_turn_at(c, at);
	most = s->window < most ? s->window : most;
	for (end = at; end < c->turns[k].end && end < at + most; end++)
		if (!c->captured[end])
			break;
	if (len < end - at)
		sim_fail(sim, "silly", "%u bytes sent where %u could be", len,
			 end - at);
}

static void check_fin(struct sim *sim, struct seen_connection *s, uint32_t end)
{
	const struct conversation *c = s->conv;

	if (!c || s->conv_at + end != c->len || c->close == CLIENT_RST ||
	    c->close == CLIENT_STAYS)
		sim_fail(sim, "fin", "a FIN before the client's end");
	s->fin_sent = true;
}

static void note_repeat(struct sim *sim, struct seen_connection *s,
			const struct segment *seg, uint32_t off)
{
	bool again = off < s->sent;

	if (again && s->window > 0) {
		if (seg->seq == s->last_seq &&
		    sim->now_us - s->last_sent_us >= RTO_LEAST_US)
			SIM_COVER(sim, retransmissions);
		else
			SIM_COVER(sim, fast_retransmissions);
	}
	s->last_seq = seg->seq;
	s->last_sent_us = sim->now_us;
}

static void check_text(struct sim *sim, struct seen_connection *s,
		       const struct segment *seg)
{
	uint32_t off, end;
	bool fin = seg->flags & TCP_FIN;

	if (!offset(seg->seq, s->iss + 1, &off) ||
	    off > s->sent + s->fin_sent) {
		sim_fail(sim, "hole", "sequence number %u leaves a hole",
			 seg->seq);
		return;
	}
	if (seg->payload_len == 0 && !fin)
		return;
	end = off + seg->payload_len;
	if (end > s->edge && seg->payload_len > 0) {
		if (seg->payload_len > 1 || off != s->acked || s->window != 0)
			sim_fail(sim, "window", "%u bytes beyond the window",
				 end - s->edge);
		else
			SIM_COVER(sim, window_probes);
	}
	if (s->fin_sent && (end > s->sent || (fin && end != s->sent)))
		sim_fail(sim, "fin", "bytes after the FIN");
	note_repeat(sim, s, seg, off);
	if (seg->payload_len > 0)
		check_payload(sim, s, off, seg);
	if (sim->failed)
		return;
	check_large(sim, s, off, seg->payload_len);
	if (seg->payload_len > 1 && !fin)
		check_size(sim, s, off, seg->payload_len);
	for (unsigned k = 0; s->conv && k < s->conv->turn_count; k++) {
		uint32_t start = s->conv->turns[k].start;

		if (start >= s->conv_at && start - s->conv_at >= s->sent &&
		    start - s->conv_at < end)
			check_gate(sim, s, k);
	}
	if (end > s->sent)
		s->sent = end;
	if (fin)
		check_fin(sim, s, end);
}

/* The largest packet, by the way that they go. */
static uint32_t packet_most(struct sim *sim)
{
	const struct replay_config *cfg = copier_config(sim);

	return sim->p.relay && !cfg->mss_bytes && cfg->relay_bytes > MTU_BYTES
		       ? cfg->relay_bytes
		       : MTU_BYTES;
}

bool check_packet_out(struct sim *sim, const struct sim_packet *pkt)
{
	const struct segment *seg = &pkt->seg;
	struct seen_connection *s = find_seen(sim, &seg->tuple);

	if (!goes_to_target(sim, seg))
		return false;
	if (!(seg->flags & TCP_RST) &&
	    !is_vouched_for(sim, &seg->tuple.dst.addr))
		sim_fail(sim, "guard", "sent while nobody vouched");
	if (pkt->len > packet_most(sim))
		sim_fail(sim, "mtu", "a packet of %u bytes", pkt->len);
	if (seg->flags & TCP_SYN) {
		check_syn(sim, s, seg);
	} else if (seg->flags & TCP_RST) {
		check_rst(sim, s, seg);
	} else if (!s || s->reset) {
		sim_fail(sim, "over", "a segment of no open connection");
	} else {
		check_ack(sim, s, seg);
		check_text(sim, s, seg);
		s->over |= is_closed(s);
	}
	return !sim->failed;
}

/* --- at the target ------------------------------------------------------- */

static void note_delivered(struct sim *sim, struct target_connection *t,
			   uint32_t from, uint32_t to)
{
	struct conversation *c = t->conv;
	unsigned host = t->tuple.dst.addr.b[15] - 1u;
	struct check_conversation *n = c->checked;

	if (!n) {
		n = c->checked = sim_alloc(sim, sizeof(*n));
		for (unsigned h = 0; h < CHECK_HOSTS_MAX; h++)
			n->delivered[h] = sim_alloc(
				sim, c->turn_count * sizeof(**n->delivered));
	}
	for (unsigned k = conversation_turn_at(c, from); k < c->turn_count;
	     k++) {
		if (c->turns[k].start >= from && c->turns[k].start < to)
			sim->check->turns_begun++;
		if (c->turns[k].start >= to)
			break;
		if (c->turns[k].end > to)
			continue;
		if (c->turns[k].end <= from || c->turns[k].start < t->conv_at)
			continue;
		sim->check->turns_delivered++;
		sim_trace(sim, "turn %u of conversation %u is there", k, c->id);
		if (++n->delivered[host][k] > 3 * sim->p.copies)
			sim_fail(sim, "once",
				 "turn %u of conversation %u came more than "
				 "three times",
				 k, c->id);
	}
	sim->check->bytes_delivered += to - from;
}

void check_received(struct sim *sim, struct target_connection *t)
{
	struct conversation *c = t->conv;
	uint32_t from = t->conv_at + t->verified;
	uint32_t to = t->conv_at + t->received;

	if (!c || t->verified == t->received)
		return;
	if (to > c->len || memcmp(t->bytes + t->verified, c->stream + from,
				  t->received - t->verified) != 0) {
		sim_fail(sim, "prefix",
			 "the target got other bytes than conversation %u has",
			 c->id);
		return;
	}
	t->verified = t->received;
	note_delivered(sim, t, from, to);
}

void check_fin_received(struct sim *sim, const struct target_connection *t)
{
	if (!t->conv || t->conv_at + t->received != t->conv->len)
		sim_fail(sim, "prefix", "the target got a FIN too early");
}
