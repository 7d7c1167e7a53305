// SPDX-License-Identifier: BSD-2-Clause
/* The link's bytes. The literals are the protocol: to change one is to change
 * WIRE_VERSION and docs/link-protocol.md as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "core/bytes.h"
#include "core/segment.h"
#include "core/wire.h"
#include "../helpers/dice.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- samples of every type and their bytes ---- */

static const struct wire_route sample_route = {
	.route_id = 0x0102030405060708,
	.client = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7}},
		   0xc001},
	.target = {{{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		     0x2a}},
		   8080},
	.iss = 0xa1a2a3a4,
};

static const struct wire_response sample_response = {
	.route_id = 0x1112131415161718,
	.seq = 0x21222324,
	.ack = 0x31323334,
	.payload_len = 0x00010203,
	.wnd = 0x4142,
	.flags = TCP_ACK | TCP_PSH,
};

#define ENDS_HEX                                                               \
	"00000000000000000000ffffc0000207c001"                                 \
	"20010db800000000000000000000002a1f90"
#define ROUTE_HEX    "0102030405060708" ENDS_HEX "a1a2a3a4"
#define RESPONSE_HEX "1112131415161718212223243132333400010203414218"

static const uint8_t sample_packet[] = {0x45, 0xc1, 0xc2};

static struct wire_msg sample(enum wire_type type)
{
	struct wire_msg m = {.type = type};

	switch (type) {
	case WIRE_HELLO:
		m.hello = (struct wire_hello){.version = 1,
					      .features = 0x0a0b0c0d,
					      .instance = 0xfedcba9876543210};
		break;
	case WIRE_ROUTE_ADD:
	case WIRE_ROUTE_DEL:
	case WIRE_ROUTE_REFUSED:
		m.route = sample_route;
		break;
	case WIRE_RESPONSE:
		m.response = sample_response;
		break;
	case WIRE_PING:
	case WIRE_PONG:
		m.token = 0x5152535455565758;
		break;
	case WIRE_STATUS:
		m.status = (struct wire_status){.queue_bound = true,
						.armed = true,
						.queued = 0x6162636465666768,
						.queue_dropped =
							0x7172737475767778,
						.port_count = 2,
						.ports = {0x8182, 0x9192}};
		break;
	case WIRE_ROUND:
		m.round = (struct wire_round){.number = 0x81828384,
					      .ended = true};
		break;
	case WIRE_RELAY:
		m.relay = (struct wire_relay){.l3 = sample_packet, .len = 3};
		break;
	case WIRE_PROBE:
		m.probe = (struct wire_probe){.tell = true,
					      .client = sample_route.client,
					      .target = sample_route.target};
		break;
	case WIRE_PROBE_SEEN:
		m.probe_seen = (struct wire_probe_seen){0x91929394, 0xa1a2a3a4,
							0xb1b2b3b4, 0xc1c2c3c4,
							0xd1d2d3d4};
		break;
	}
	return m;
}

static const struct golden {
	enum wire_type type;
	const char *hex;
} goldens[] = {
	{WIRE_HELLO, "0000001a01000001"
		     "74634e7100010a0b0c0dfedcba9876543210"},
	{WIRE_ROUTE_ADD, "0000003802000001" ROUTE_HEX},
	{WIRE_ROUTE_DEL, "0000003803000001" ROUTE_HEX},
	{WIRE_ROUTE_REFUSED, "0000003804000001" ROUTE_HEX},
	{WIRE_RESPONSE, "0000002005000001" RESPONSE_HEX "00"},
	{WIRE_PING, "0000001006000001"
		    "5152535455565758"},
	{WIRE_PONG, "0000001007000001"
		    "5152535455565758"},
	{WIRE_STATUS, "0000001e08000001"
		      "0561626364656667687172737475767778"
		      "0281829192"},
	{WIRE_ROUND, "0000000d09000001"
		     "8182838401"},
	{WIRE_RELAY, "0000000d0a000001"
		     "000345c1c2"},
	{WIRE_PROBE, "0000002d0b000001"
		     "01" ENDS_HEX},
	{WIRE_PROBE_SEEN, "0000001c0c000001"
			  "91929394a1a2a3a4b1b2b3b4c1c2c3c4d1d2d3d4"},
};

static const char *hex_of(const uint8_t *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	static char text[1024];

	assert_true(2 * len < sizeof(text));
	for (size_t i = 0; i < len; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	text[2 * len] = '\0';
	return text;
}

static size_t frame_of(uint8_t *frame, const struct wire_msg *msg)
{
	size_t len = wire_append(frame, 0, WIRE_FRAME_MAX, 1, msg);

	assert_int_not_equal(len, 0);
	return len;
}

static void open_frame(struct wire_reader *r, const uint8_t *frame, size_t len)
{
	assert_int_equal(wire_frame(r, frame, len), len);
}

/* ---- tests ---- */

static void test_golden(void **state)
{
	uint8_t frame[256];

	(void)state;
	for (size_t i = 0; i < COUNT(goldens); i++) {
		struct wire_msg m = sample(goldens[i].type);

		assert_string_equal(hex_of(frame, frame_of(frame, &m)),
				    goldens[i].hex);
	}
}

static void test_golden_options(void **state)
{
	struct wire_msg m = sample(WIRE_RESPONSE);
	uint8_t frame[256];

	(void)state;
	m.response.flags = TCP_SYN | TCP_ACK;
	m.response.opts = (struct tcp_opts){
		.mss_bytes = 1460, .wscale = 7, .has_wscale = true};
	assert_string_equal(hex_of(frame, frame_of(frame, &m)),
			    "0000002805000001"
			    "1112131415161718212223243132333400010203414212"
			    "08020405b403030701");
	m.response.opts.has_tstamp = true;
	m.response.opts.tsval = 0x81828384;
	m.response.opts.tsecr = 0x91929394;
	assert_string_equal(hex_of(frame, frame_of(frame, &m)),
			    "0000003405000001"
			    "1112131415161718212223243132333400010203414212"
			    "14020405b4030307080a818283849192939401"
			    "0101");
}

static void test_golden_several(void **state)
{
	struct wire_msg m = sample(WIRE_PING);
	uint8_t frame[256];
	size_t len = frame_of(frame, &m);

	(void)state;
	m.token = 9;
	len = wire_append(frame, len, sizeof(frame), 3, &m);
	assert_string_equal(hex_of(frame, len),
			    "0000001806000002"
			    "51525354555657580000000000000009");
}

/* What was decoded, as bytes again. */
static void assert_same(const struct wire_msg *a, const struct wire_msg *b)
{
	uint8_t fa[256], fb[256];
	size_t la = frame_of(fa, a), lb = frame_of(fb, b);

	assert_int_equal(la, lb);
	assert_memory_equal(fa, fb, la);
}

static void test_fields_come_back(void **state)
{
	struct wire_msg m = sample(WIRE_RESPONSE), out;
	struct wire_reader r;
	uint8_t frame[256];

	(void)state;
	m.response.opts = (struct tcp_opts){.mss_bytes = 9000,
					    .wscale = 14,
					    .has_wscale = true,
					    .has_tstamp = true,
					    .tsval = 5,
					    .tsecr = 6};
	open_frame(&r, frame, frame_of(frame, &m));
	assert_int_equal(wire_next(&r, &out), 1);
	assert_int_equal(out.type, WIRE_RESPONSE);
	assert_true(out.response.route_id == sample_response.route_id);
	assert_int_equal(out.response.seq, sample_response.seq);
	assert_int_equal(out.response.ack, sample_response.ack);
	assert_int_equal(out.response.payload_len, sample_response.payload_len);
	assert_int_equal(out.response.wnd, sample_response.wnd);
	assert_int_equal(out.response.flags, sample_response.flags);
	assert_int_equal(out.response.opts.mss_bytes, 9000);
	assert_true(out.response.opts.has_wscale);
	assert_int_equal(out.response.opts.wscale, 14);
	assert_true(out.response.opts.has_tstamp);
	assert_int_equal(out.response.opts.tsval, 5);
	assert_int_equal(out.response.opts.tsecr, 6);
	assert_int_equal(wire_next(&r, &out), 0);

	m = sample(WIRE_ROUTE_ADD);
	open_frame(&r, frame, frame_of(frame, &m));
	assert_int_equal(wire_next(&r, &out), 1);
	assert_true(out.route.route_id == sample_route.route_id);
	assert_true(endpoint_equal(&out.route.client, &sample_route.client));
	assert_true(endpoint_equal(&out.route.target, &sample_route.target));
	assert_int_equal(out.route.iss, sample_route.iss);

	m = sample(WIRE_STATUS);
	open_frame(&r, frame, frame_of(frame, &m));
	assert_int_equal(wire_next(&r, &out), 1);
	assert_true(out.status.queue_bound);
	assert_false(out.status.guarded);
	assert_true(out.status.armed);
	assert_true(out.status.queued == 0x6162636465666768);
	assert_true(out.status.queue_dropped == 0x7172737475767778);
	assert_int_equal(out.status.port_count, 2);
	assert_int_equal(out.status.ports[0], 0x8182);
	assert_int_equal(out.status.ports[1], 0x9192);

	m = sample(WIRE_ROUND);
	open_frame(&r, frame, frame_of(frame, &m));
	assert_int_equal(wire_next(&r, &out), 1);
	assert_int_equal(out.round.number, 0x81828384);
	assert_true(out.round.ended);

	m = sample(WIRE_PROBE);
	open_frame(&r, frame, frame_of(frame, &m));
	assert_int_equal(wire_next(&r, &out), 1);
	assert_true(out.probe.tell);
	assert_true(endpoint_equal(&out.probe.client, &sample_route.client));
	assert_true(endpoint_equal(&out.probe.target, &sample_route.target));

	m = sample(WIRE_PROBE_SEEN);
	open_frame(&r, frame, frame_of(frame, &m));
	assert_int_equal(wire_next(&r, &out), 1);
	assert_memory_equal(&out.probe_seen, &m.probe_seen,
			    sizeof(m.probe_seen));
}

static struct endpoint random_endpoint(struct dice *d)
{
	struct endpoint e;

	for (size_t i = 0; i < sizeof(e.addr.b); i++)
		e.addr.b[i] = (uint8_t)dice_u64(d);
	e.port = (uint16_t)dice_u64(d);
	return e;
}

static struct wire_msg random_msg(struct dice *d, enum wire_type type)
{
	struct wire_msg m = sample(type);

	if (type == WIRE_RESPONSE) {
		struct wire_response *resp = &m.response;

		resp->route_id = dice_u64(d);
		resp->seq = (uint32_t)dice_u64(d);
		resp->ack = (uint32_t)dice_u64(d);
		resp->payload_len = (uint32_t)dice_u64(d);
		resp->wnd = (uint16_t)dice_u64(d);
		resp->flags = (uint8_t)dice_u64(d);
		resp->opts.mss_bytes = (uint16_t)dice_below(d, 3);
		resp->opts.has_wscale = dice_below(d, 2);
		resp->opts.wscale =
			resp->opts.has_wscale ? (uint8_t)dice_below(d, 15) : 0;
		resp->opts.has_tstamp = dice_below(d, 2);
		resp->opts.tsval = (uint32_t)dice_u64(d);
	} else if (type == WIRE_HELLO) {
		m.hello.version = (uint16_t)dice_u64(d);
		m.hello.instance = dice_u64(d);
	} else if (type >= WIRE_ROUTE_ADD && type <= WIRE_ROUTE_REFUSED) {
		m.route.route_id = dice_u64(d);
		m.route.client = random_endpoint(d);
		m.route.target = random_endpoint(d);
		m.route.iss = (uint32_t)dice_u64(d);
	} else if (type == WIRE_STATUS) {
		m.status.queue_bound = dice_below(d, 2);
		m.status.guarded = dice_below(d, 2);
		m.status.armed = dice_below(d, 2);
		m.status.queued = dice_u64(d);
		m.status.port_count =
			(uint8_t)dice_below(d, WIRE_GUARDED_MAX + 1);
		for (unsigned i = 0; i < WIRE_GUARDED_MAX; i++)
			m.status.ports[i] = (uint16_t)dice_u64(d);
	} else if (type == WIRE_PROBE) {
		m.probe.client = random_endpoint(d);
		m.probe.tell = dice_below(d, 2);
	} else if (type == WIRE_PROBE_SEEN) {
		m.probe_seen.left = (uint32_t)dice_u64(d);
	} else if (type == WIRE_ROUND) {
		m.round.number = (uint32_t)dice_u64(d);
		m.round.ended = dice_below(d, 2);
	} else if (type == WIRE_RELAY) {
		m.relay.l3 = sample_packet;
		m.relay.len = (uint16_t)dice_below(d, 4);
	} else {
		m.token = dice_u64(d);
	}
	return m;
}

static void test_round_trip(void **state)
{
	static uint8_t frame[WIRE_FRAME_MAX];
	struct wire_msg in[64], out;
	struct dice d = {1};

	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		enum wire_type type = (enum wire_type)(1 + dice_below(&d, 10));
		unsigned count = 1 + dice_below(&d, COUNT(in));
		struct wire_reader r;
		size_t len = 0;

		for (unsigned i = 0; i < count; i++) {
			in[i] = random_msg(&d, type);
			len = wire_append(frame, len, sizeof(frame), 64,
					  &in[i]);
			assert_int_not_equal(len, 0);
		}
		open_frame(&r, frame, len);
		for (unsigned i = 0; i < count; i++) {
			assert_int_equal(wire_next(&r, &out), 1);
			assert_same(&in[i], &out);
		}
		assert_int_equal(wire_next(&r, &out), 0);
	}
}

/* Three records, of which the frame says it has fewer bytes. */
static void cut_frame(enum wire_type type)
{
	struct wire_msg m = sample(type), out;
	uint8_t frame[256], cut[256];
	size_t len = 0, record_len;

	for (unsigned i = 0; i < 3; i++)
		len = wire_append(frame, len, sizeof(frame), 3, &m);
	record_len = (len - WIRE_HEADER_BYTES) / 3;
	for (size_t n = WIRE_HEADER_BYTES; n < len; n++) {
		struct wire_reader r;

		memcpy(cut, frame, n);
		store_be32(cut, (uint32_t)n);
		open_frame(&r, cut, n);
		for (size_t i = WIRE_HEADER_BYTES; i + record_len <= n;
		     i += record_len)
			assert_int_equal(wire_next(&r, &out), 1);
		assert_int_equal(wire_next(&r, &out), -EPROTO);
	}
}

static void test_every_truncation(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(goldens); i++) {
		struct wire_msg m = sample(goldens[i].type);
		struct wire_reader r;
		uint8_t frame[256];
		size_t len = frame_of(frame, &m);

		for (size_t n = 0; n < len; n++)
			assert_int_equal(wire_frame(&r, frame, n), 0);
		cut_frame(goldens[i].type);
	}
}

static void test_status_with_too_many_ports(void **state)
{
	struct wire_msg m = sample(WIRE_STATUS);
	uint8_t frame[256] = {0};
	struct wire_reader r;
	size_t len = frame_of(frame, &m) - 4; /* without its two ports */

	(void)state;
	for (unsigned n = 0; n < 100; n++) {
		frame[WIRE_HEADER_BYTES + 17] = (uint8_t)n;
		store_be32(frame, (uint32_t)(len + 2 * n));
		open_frame(&r, frame, len + 2 * n);
		assert_int_equal(wire_next(&r, &m),
				 n <= WIRE_GUARDED_MAX ? 1 : -EPROTO);
	}
}

static void test_every_frame_length(void **state)
{
	static uint8_t frame[WIRE_FRAME_MAX + 2];
	struct wire_reader r;
	struct wire_msg m;

	(void)state;
	for (uint32_t n = 0; n < WIRE_FRAME_MAX + 2; n++) {
		bool possible = n >= WIRE_HEADER_BYTES && n <= WIRE_FRAME_MAX;

		store_be32(frame, n);
		assert_int_equal(wire_frame(&r, frame, 4),
				 possible ? 0 : -EPROTO);
		if (!possible)
			continue;
		assert_int_equal(wire_frame(&r, frame, n - 1), 0);
		assert_int_equal(wire_frame(&r, frame, sizeof(frame)), n);
		assert_int_equal(r.left_bytes, n - WIRE_HEADER_BYTES);
		/* No records, but bytes. */
		assert_int_equal(wire_next(&r, &m),
				 n == WIRE_HEADER_BYTES ? 0 : -EPROTO);
	}
	store_be32(frame, UINT32_MAX);
	assert_int_equal(wire_frame(&r, frame, 4), -EPROTO);
}

static void test_bytes_beyond_the_records(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(goldens); i++) {
		struct wire_msg m = sample(goldens[i].type), out;
		uint8_t frame[256] = {0};
		size_t len = frame_of(frame, &m);
		struct wire_reader r;

		store_be32(frame, (uint32_t)len + 1);
		open_frame(&r, frame, len + 1);
		assert_int_equal(wire_next(&r, &out), 1);
		assert_int_equal(wire_next(&r, &out), -EPROTO);
	}
}

static void test_unknown_type_is_skipped(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		struct wire_msg m = sample(WIRE_PING), out;
		struct wire_reader r;
		uint8_t frame[64];
		size_t len = frame_of(frame, &m);

		if (type >= WIRE_HELLO && type <= WIRE_PROBE_SEEN)
			continue;
		frame[4] = (uint8_t)type;
		open_frame(&r, frame, len);
		assert_int_equal(wire_next(&r, &out), 0);
		assert_int_equal(wire_next(&r, &out), 0);
	}
}

static void test_reserved_byte_is_ignored(void **state)
{
	struct wire_msg m = sample(WIRE_PING), out;
	struct wire_reader r;
	uint8_t frame[64];
	size_t len = frame_of(frame, &m);

	(void)state;
	frame[5] = 0xff;
	open_frame(&r, frame, len);
	assert_int_equal(wire_next(&r, &out), 1);
	assert_true(out.token == m.token);
}

static void test_hello_needs_its_magic(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct wire_msg m = sample(WIRE_HELLO), out;
		struct wire_reader r;
		uint8_t frame[64];
		size_t len = frame_of(frame, &m);

		frame[WIRE_HEADER_BYTES + i] ^= 1;
		open_frame(&r, frame, len);
		assert_int_equal(wire_next(&r, &out), -EPROTO);
	}
}

/* Every length of the options, all of its bytes there. */
static void test_options_length(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 256; n++) {
		struct wire_msg m = sample(WIRE_RESPONSE), out;
		struct wire_reader r;
		uint8_t frame[512];
		size_t len = frame_of(frame, &m);

		memset(frame + len, 1, n);
		frame[len - 1] = (uint8_t)n;
		store_be32(frame, (uint32_t)(len + n));
		open_frame(&r, frame, len + n);
		assert_int_equal(wire_next(&r, &out),
				 n <= TCP_OPTS_MAX ? 1 : -EPROTO);
	}
}

static void test_append_keeps_its_bounds(void **state)
{
	struct wire_msg ping = sample(WIRE_PING), pong = sample(WIRE_PONG);
	uint8_t frame[64], before[64];
	size_t len;

	(void)state;
	for (size_t cap = 0; cap < 16; cap++)
		assert_int_equal(wire_append(frame, 0, cap, 9, &ping), 0);
	len = wire_append(frame, 0, 16, 9, &ping);
	assert_int_equal(len, 16);
	memcpy(before, frame, sizeof(frame));
	assert_int_equal(wire_append(frame, len, 23, 9, &ping), 0);
	assert_int_equal(wire_append(frame, len, 64, 1, &ping), 0);
	assert_int_equal(wire_append(frame, len, 64, 9, &pong), 0);
	assert_memory_equal(frame, before, sizeof(frame));
	assert_int_equal(wire_append(frame, len, 24, 9, &ping), 24);
}

/* However large the buffer is. */
static void test_frame_is_never_too_long(void **state)
{
	static uint8_t frame[2 * WIRE_FRAME_MAX];
	struct wire_msg m = sample(WIRE_RESPONSE), out;
	struct wire_reader r;
	size_t len = 0, next;
	unsigned count = 0, back = 0;

	(void)state;
	while ((next = wire_append(frame, len, sizeof(frame), 100000, &m))) {
		len = next;
		count++;
	}
	assert_int_equal(count, (WIRE_FRAME_MAX - WIRE_HEADER_BYTES) / 24);
	open_frame(&r, frame, len);
	while (wire_next(&r, &out) == 1)
		back++;
	assert_int_equal(back, count);
}

/* It fills a frame of its own, and comes back. */
static void test_largest_packet(void **state)
{
	static uint8_t frame[WIRE_FRAME_MAX], packet[WIRE_RELAY_MAX + 1];
	struct wire_msg m = {.type = WIRE_RELAY}, out;
	struct wire_reader r;

	(void)state;
	packet[0] = 0x45;
	packet[WIRE_RELAY_MAX - 1] = 0x77;
	m.relay = (struct wire_relay){.l3 = packet, .len = WIRE_RELAY_MAX};
	assert_int_equal(frame_of(frame, &m), WIRE_FRAME_MAX);
	open_frame(&r, frame, WIRE_FRAME_MAX);
	assert_int_equal(wire_next(&r, &out), 1);
	assert_int_equal(out.relay.len, WIRE_RELAY_MAX);
	assert_memory_equal(out.relay.l3, packet, WIRE_RELAY_MAX);
	assert_int_equal(wire_next(&r, &out), 0);
	m.relay.len++;
	assert_int_equal(wire_append(frame, 0, WIRE_FRAME_MAX, 1, &m), 0);
}

static void test_largest_record(void **state)
{
	struct wire_msg m = sample(WIRE_RESPONSE);
	uint8_t frame[256];

	(void)state;
	m.response.opts = (struct tcp_opts){
		.mss_bytes = 1, .has_wscale = true, .has_tstamp = true};
	assert_true(frame_of(frame, &m) - WIRE_HEADER_BYTES <= WIRE_RECORD_MAX);
	m = sample(WIRE_ROUTE_ADD);
	assert_true(frame_of(frame, &m) - WIRE_HEADER_BYTES <= WIRE_RECORD_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_golden_options),
		cmocka_unit_test(test_golden_several),
		cmocka_unit_test(test_fields_come_back),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_every_frame_length),
		cmocka_unit_test(test_status_with_too_many_ports),
		cmocka_unit_test(test_bytes_beyond_the_records),
		cmocka_unit_test(test_unknown_type_is_skipped),
		cmocka_unit_test(test_reserved_byte_is_ignored),
		cmocka_unit_test(test_hello_needs_its_magic),
		cmocka_unit_test(test_options_length),
		cmocka_unit_test(test_append_keeps_its_bounds),
		cmocka_unit_test(test_frame_is_never_too_long),
		cmocka_unit_test(test_largest_packet),
		cmocka_unit_test(test_largest_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
