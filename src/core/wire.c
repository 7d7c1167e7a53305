// SPDX-License-Identifier: BSD-2-Clause
#include "core/wire.h"

#include <errno.h>

#include "core/bytes.h"

enum { ENDPOINT_BYTES = 18 };
enum { STATUS_BOUND = 1, STATUS_GUARDED = 2, STATUS_ARMED = 4 };

static uint8_t *put_u8(uint8_t *to, uint8_t v)
{
	*to = v;
	return to + 1;
}

static uint8_t *put_u16(uint8_t *to, uint16_t v)
{
	store_be16(to, v);
	return to + 2;
}

static uint8_t *put_u32(uint8_t *to, uint32_t v)
{
	store_be32(to, v);
	return to + 4;
}

static uint8_t *put_u64(uint8_t *to, uint64_t v)
{
	store_be64(to, v);
	return to + 8;
}

static uint8_t *put_endpoint(uint8_t *to, const struct endpoint *e)
{
	memcpy(to, e->addr.b, sizeof(e->addr.b));
	return put_u16(to + sizeof(e->addr.b), e->port);
}

static uint8_t *put_hello(uint8_t *to, const struct wire_hello *hello)
{
	to = put_u32(to, WIRE_MAGIC);
	to = put_u16(to, hello->version);
	to = put_u32(to, hello->features);
	return put_u64(to, hello->instance);
}

static uint8_t *put_route(uint8_t *to, const struct wire_route *route)
{
	to = put_u64(to, route->route_id);
	to = put_endpoint(to, &route->client);
	to = put_endpoint(to, &route->target);
	return put_u32(to, route->iss);
}

static uint8_t *put_response(uint8_t *to, const struct wire_response *resp)
{
	size_t opts_len;

	to = put_u64(to, resp->route_id);
	to = put_u32(to, resp->seq);
	to = put_u32(to, resp->ack);
	to = put_u32(to, resp->payload_len);
	to = put_u16(to, resp->wnd);
	to = put_u8(to, resp->flags);
	opts_len = tcp_opts_build(&resp->opts, to + 1);
	*to = (uint8_t)opts_len;
	return to + 1 + opts_len;
}

static uint8_t *put_status(uint8_t *to, const struct wire_status *status)
{
	unsigned flags = (status->queue_bound ? STATUS_BOUND : 0) |
			 (status->guarded ? STATUS_GUARDED : 0) |
			 (status->armed ? STATUS_ARMED : 0);

	to = put_u8(to, (uint8_t)flags);
	to = put_u64(to, status->queued);
	to = put_u64(to, status->queue_dropped);
	to = put_u8(to, status->port_count);
	for (unsigned i = 0; i < status->port_count; i++)
		to = put_u16(to, status->ports[i]);
	return to;
}

static uint8_t *put_round(uint8_t *to, const struct wire_round *round)
{
	to = put_u32(to, round->number);
	return put_u8(to, round->ended);
}

/* Its packet is put behind it by wire_append(). */
static uint8_t *put_relay(uint8_t *to, const struct wire_relay *relay)
{
	return put_u16(to, relay->len);
}

static uint8_t *put_probe(uint8_t *to, const struct wire_probe *probe)
{
	to = put_u8(to, probe->tell);
	to = put_endpoint(to, &probe->client);
	return put_endpoint(to, &probe->target);
}

static uint8_t *put_probe_seen(uint8_t *to, const struct wire_probe_seen *seen)
{
	to = put_u32(to, seen->error);
	to = put_u32(to, seen->arrived);
	to = put_u32(to, seen->accepted);
	to = put_u32(to, seen->answered);
	return put_u32(to, seen->left);
}

static uint8_t *put_record(uint8_t *to, const struct wire_msg *msg)
{
	switch (msg->type) {
	case WIRE_HELLO:
		return put_hello(to, &msg->hello);
	case WIRE_ROUTE_ADD:
	case WIRE_ROUTE_DEL:
	case WIRE_ROUTE_REFUSED:
		return put_route(to, &msg->route);
	case WIRE_RESPONSE:
		return put_response(to, &msg->response);
	case WIRE_STATUS:
		return put_status(to, &msg->status);
	case WIRE_ROUND:
		return put_round(to, &msg->round);
	case WIRE_RELAY:
		return put_relay(to, &msg->relay);
	case WIRE_PROBE:
		return put_probe(to, &msg->probe);
	case WIRE_PROBE_SEEN:
		return put_probe_seen(to, &msg->probe_seen);
	case WIRE_PING:
	case WIRE_PONG:
		return put_u64(to, msg->token);
	}
	return to;
}

/* Where a record of len bytes goes, 0: it does not fit. */
static size_t record_at(const uint8_t *frame, size_t frame_len, size_t cap,
			unsigned max_records, enum wire_type type, size_t len)
{
	if (frame_len > 0) {
		uint16_t count = load_be16(frame + 6);

		if (frame[4] != type || count >= max_records ||
		    count == UINT16_MAX)
			return 0;
	} else {
		frame_len = WIRE_HEADER_BYTES;
	}
	if (cap > WIRE_FRAME_MAX)
		cap = WIRE_FRAME_MAX;
	return frame_len + len > cap ? 0 : frame_len;
}

size_t wire_relay_at(const uint8_t *frame, size_t frame_len, size_t cap,
		     unsigned max_records, size_t len)
{
	size_t at = record_at(frame, frame_len, cap, max_records, WIRE_RELAY,
			      WIRE_RELAY_HEAD_BYTES + len);

	return at > 0 ? at + WIRE_RELAY_HEAD_BYTES : 0;
}

size_t wire_append(uint8_t *frame, size_t frame_len, size_t cap,
		   unsigned max_records, const struct wire_msg *msg)
{
	uint8_t record[WIRE_RECORD_MAX];
	size_t len = (size_t)(put_record(record, msg) - record);
	size_t more = msg->type == WIRE_RELAY ? msg->relay.len : 0;
	uint16_t count = frame_len > 0 ? load_be16(frame + 6) : 0;

	frame_len = record_at(frame, frame_len, cap, max_records, msg->type,
			      len + more);
	if (frame_len == 0)
		return 0;
	memcpy(frame + frame_len, record, len);
	frame_len += len;
	if (more > 0 && msg->relay.l3 != frame + frame_len)
		memcpy(frame + frame_len, msg->relay.l3, more);
	frame_len += more;
	store_be32(frame, (uint32_t)frame_len);
	frame[4] = (uint8_t)msg->type;
	frame[5] = 0;
	store_be16(frame + 6, (uint16_t)(count + 1));
	return frame_len;
}

ssize_t wire_frame(struct wire_reader *r, const uint8_t *buf, size_t len)
{
	uint32_t frame_len;

	if (len < 4)
		return 0;
	frame_len = load_be32(buf);
	if (frame_len < WIRE_HEADER_BYTES || frame_len > WIRE_FRAME_MAX)
		return -EPROTO;
	if (len < frame_len)
		return 0;
	*r = (struct wire_reader){
		.p = buf + WIRE_HEADER_BYTES,
		.left_bytes = frame_len - WIRE_HEADER_BYTES,
		.type = buf[4],
		.left_records = load_be16(buf + 6),
	};
	return (ssize_t)frame_len;
}

static struct endpoint get_endpoint(struct reader *r)
{
	const uint8_t *p = reader_take(r, ENDPOINT_BYTES);
	struct endpoint e = {0};

	if (p) {
		memcpy(e.addr.b, p, sizeof(e.addr.b));
		e.port = load_be16(p + sizeof(e.addr.b));
	}
	return e;
}

static void get_hello(struct reader *r, struct wire_hello *hello)
{
	if (reader_u32(r) != WIRE_MAGIC)
		r->failed = true;
	hello->version = reader_u16(r);
	hello->features = reader_u32(r);
	hello->instance = reader_u64(r);
}

static void get_route(struct reader *r, struct wire_route *route)
{
	route->route_id = reader_u64(r);
	route->client = get_endpoint(r);
	route->target = get_endpoint(r);
	route->iss = reader_u32(r);
}

static void get_response(struct reader *r, struct wire_response *resp)
{
	const uint8_t *opts;
	uint8_t opts_len;

	resp->route_id = reader_u64(r);
	resp->seq = reader_u32(r);
	resp->ack = reader_u32(r);
	resp->payload_len = reader_u32(r);
	resp->wnd = reader_u16(r);
	resp->flags = reader_u8(r);
	opts_len = reader_u8(r);
	opts = reader_take(r, opts_len);
	if (opts_len > TCP_OPTS_MAX)
		r->failed = true;
	if (opts && !r->failed)
		tcp_opts_parse(&resp->opts, opts, opts_len);
}

static void get_status(struct reader *r, struct wire_status *status)
{
	uint8_t flags = reader_u8(r);

	status->queue_bound = flags & STATUS_BOUND;
	status->guarded = flags & STATUS_GUARDED;
	status->armed = flags & STATUS_ARMED;
	status->queued = reader_u64(r);
	status->queue_dropped = reader_u64(r);
	status->port_count = reader_u8(r);
	if (status->port_count > WIRE_GUARDED_MAX) {
		r->failed = true;
		return;
	}
	for (unsigned i = 0; i < status->port_count; i++)
		status->ports[i] = reader_u16(r);
}

static void get_round(struct reader *r, struct wire_round *round)
{
	round->number = reader_u32(r);
	round->ended = reader_u8(r);
}

static void get_relay(struct reader *r, struct wire_relay *relay)
{
	relay->len = reader_u16(r);
	relay->l3 = reader_take(r, relay->len);
}

static void get_probe(struct reader *r, struct wire_probe *probe)
{
	probe->tell = reader_u8(r);
	probe->client = get_endpoint(r);
	probe->target = get_endpoint(r);
}

static void get_probe_seen(struct reader *r, struct wire_probe_seen *seen)
{
	seen->error = reader_u32(r);
	seen->arrived = reader_u32(r);
	seen->accepted = reader_u32(r);
	seen->answered = reader_u32(r);
	seen->left = reader_u32(r);
}

/* false: a type we do not know. */
static bool get_record(struct reader *r, struct wire_msg *msg)
{
	switch (msg->type) {
	case WIRE_HELLO:
		get_hello(r, &msg->hello);
		return true;
	case WIRE_ROUTE_ADD:
	case WIRE_ROUTE_DEL:
	case WIRE_ROUTE_REFUSED:
		get_route(r, &msg->route);
		return true;
	case WIRE_RESPONSE:
		get_response(r, &msg->response);
		return true;
	case WIRE_STATUS:
		get_status(r, &msg->status);
		return true;
	case WIRE_ROUND:
		get_round(r, &msg->round);
		return true;
	case WIRE_RELAY:
		get_relay(r, &msg->relay);
		return true;
	case WIRE_PROBE:
		get_probe(r, &msg->probe);
		return true;
	case WIRE_PROBE_SEEN:
		get_probe_seen(r, &msg->probe_seen);
		return true;
	case WIRE_PING:
	case WIRE_PONG:
		msg->token = reader_u64(r);
		return true;
	}
	return false;
}

int wire_next(struct wire_reader *wr, struct wire_msg *msg)
{
	struct reader r = reader_of(wr->p, wr->left_bytes);

	if (wr->left_records == 0)
		return wr->left_bytes ? -EPROTO : 0;
	*msg = (struct wire_msg){.type = (enum wire_type)wr->type};
	if (!get_record(&r, msg)) {
		wr->left_records = 0; /* skipped by its length */
		wr->left_bytes = 0;
		return 0;
	}
	if (r.failed)
		return -EPROTO;
	wr->p = r.p;
	wr->left_bytes = r.left_bytes;
	wr->left_records--;
	return 1;
}
