// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "io/nfq_message.h"

#define TYPE_PACKET  0x0300
#define TYPE_VERDICT 0x0301
#define TYPE_ERROR   0x0002

enum { PACKET_HDR = 1, OUTDEV = 6, PAYLOAD = 10, CAP_LEN = 13 };

/* A datagram being written; message and attribute heads are in host order. */
struct out {
	uint8_t b[1024];
	size_t len, message_at;
};

static void put(struct out *o, const void *bytes, size_t len)
{
	memcpy(o->b + o->len, bytes, len);
	o->len += len;
}

static void pad(struct out *o)
{
	while (o->len % 4)
		o->b[o->len++] = 0xee;
}

static void begin(struct out *o, uint16_t type, uint32_t seq)
{
	uint32_t len = 0, pid = 0;
	uint16_t flags = 0;

	pad(o);
	o->message_at = o->len;
	put(o, &len, 4);
	put(o, &type, 2);
	put(o, &flags, 2);
	put(o, &seq, 4);
	put(o, &pid, 4);
}

static void begin_packet(struct out *o)
{
	begin(o, TYPE_PACKET, 0);
	put(o, "\2\0\0\7", 4); /* AF_INET, version, queue 7 */
}

static void end(struct out *o)
{
	uint32_t len = (uint32_t)(o->len - o->message_at);

	memcpy(o->b + o->message_at, &len, 4);
}

static void attr(struct out *o, uint16_t type, const void *bytes, size_t len)
{
	uint16_t whole = (uint16_t)(len + 4);

	pad(o);
	put(o, &whole, 2);
	put(o, &type, 2);
	put(o, bytes, len);
}

static void attr_be32(struct out *o, uint16_t type, uint32_t v)
{
	uint8_t b[4];

	store_be32(b, v);
	attr(o, type, b, 4);
}

static void attr_hdr(struct out *o, uint32_t id, uint16_t protocol)
{
	uint8_t b[7] = {0};

	store_be32(b, id);
	store_be16(b + 4, protocol);
	b[6] = 3; /* OUTPUT */
	attr(o, PACKET_HDR, b, 7);
}

/* Walks a copy of exactly that many bytes, so that a sanitizer sees one read
 * too many. */
static int first_of(const struct out *o, size_t len, struct nfq_message *m)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct reader r;
	int rc;

	assert_non_null(copy);
	memcpy(copy, o->b, len);
	r = reader_of(copy, len);
	rc = nfq_message_next(&r, m);
	free(copy);
	return rc;
}

static const uint8_t IPV4[5] = {0x45, 0, 0, 40, 9};
static const uint8_t IPV6[6] = {0x60, 0, 0, 0, 0, 20};

static void test_packet(void **state)
{
	struct out o = {0};
	struct nfq_message m;

	(void)state;
	begin_packet(&o);
	attr_hdr(&o, 0x01020304, 0x0800);
	attr_be32(&o, OUTDEV, 5);
	attr(&o, 99, "unknown", 7);
	attr(&o, PAYLOAD, IPV4, sizeof(IPV4));
	attr_be32(&o, CAP_LEN, 65000);
	end(&o);

	assert_int_equal(first_of(&o, o.len, &m), 1);
	assert_int_equal(m.type, NFQ_MESSAGE_PACKET);
	assert_int_equal(m.id, 0x01020304);
	assert_int_equal(m.out_ifindex, 5);
	assert_int_equal(m.cap_len, sizeof(IPV4));
	assert_int_equal(m.wire_len, 65000);
}

static void test_nothing_cut_off(void **state)
{
	struct out o = {0};
	struct nfq_message m;
	struct reader r;

	(void)state;
	begin_packet(&o);
	attr_hdr(&o, 1, 0x86dd);
	attr(&o, PAYLOAD, IPV6, sizeof(IPV6));
	end(&o);

	r = reader_of(o.b, o.len);
	assert_int_equal(nfq_message_next(&r, &m), 1);
	assert_int_equal(m.cap_len, sizeof(IPV6));
	assert_int_equal(m.wire_len, sizeof(IPV6));
	assert_memory_equal(m.l3, IPV6, sizeof(IPV6));
	assert_int_equal(m.out_ifindex, 0);
	assert_int_equal(nfq_message_next(&r, &m), 0);
}

/* The kernel's word and the first byte must agree. */
static void test_not_ip(void **state)
{
	static const struct {
		uint16_t protocol;
		uint8_t first;
	} cases[] = {{0x0806, 0x00}, {0x0800, 0x60}, {0x86dd, 0x45}, {0, 0x45}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct out o = {0};
		struct nfq_message m;

		begin_packet(&o);
		attr_hdr(&o, 8, cases[i].protocol);
		attr(&o, PAYLOAD, &cases[i].first, 1);
		end(&o);
		assert_int_equal(first_of(&o, o.len, &m), 1);
		assert_int_equal(m.type, NFQ_MESSAGE_PACKET);
		assert_int_equal(m.id, 8);
		assert_int_equal(m.cap_len, 0);
	}
}

/* A packet without payload still has an id that needs a verdict. */
static void test_no_payload(void **state)
{
	struct out o = {0};
	struct nfq_message m;

	(void)state;
	begin_packet(&o);
	attr_hdr(&o, 77, 0x0800);
	end(&o);
	assert_int_equal(first_of(&o, o.len, &m), 1);
	assert_int_equal(m.id, 77);
	assert_int_equal(m.cap_len, 0);
	assert_int_equal(m.wire_len, 0);
}

static void test_broken_attribute(void **state)
{
	static const uint16_t lens[] = {0, 3, 600};

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct out o = {0};
		struct nfq_message m;
		size_t at;

		begin_packet(&o);
		attr_hdr(&o, 78, 0x0800);
		attr(&o, PAYLOAD, IPV4, sizeof(IPV4));
		pad(&o);
		at = o.len;
		attr(&o, OUTDEV, IPV4, 4);
		memcpy(o.b + at, &lens[i], 2);
		end(&o);
		assert_int_equal(first_of(&o, o.len, &m), 1);
		assert_int_equal(m.id, 78);
		assert_int_equal(m.cap_len, 0);
	}
}

static void test_short_header_attribute(void **state)
{
	struct out o = {0};
	struct nfq_message m;

	(void)state;
	begin_packet(&o);
	attr(&o, PACKET_HDR, "123456", 6);
	attr(&o, PAYLOAD, IPV4, sizeof(IPV4));
	end(&o);
	assert_int_equal(first_of(&o, o.len, &m), -EPROTO);
}

static void test_answers(void **state)
{
	struct out o = {0};
	struct nfq_message m;
	struct reader r;
	int ok = 0, refused = -EPERM;

	(void)state;
	begin(&o, TYPE_ERROR, 41);
	put(&o, &ok, 4);
	end(&o);
	begin(&o, TYPE_ERROR, 42);
	put(&o, &refused, 4);
	put(&o, "the request", 11);
	end(&o);
	begin(&o, TYPE_VERDICT, 43);
	end(&o);

	r = reader_of(o.b, o.len);
	assert_int_equal(nfq_message_next(&r, &m), 1);
	assert_int_equal(m.type, NFQ_MESSAGE_ERROR);
	assert_int_equal(m.seq, 41);
	assert_int_equal(m.error, 0);
	assert_int_equal(nfq_message_next(&r, &m), 1);
	assert_int_equal(m.type, NFQ_MESSAGE_ERROR);
	assert_int_equal(m.seq, 42);
	assert_int_equal(m.error, -EPERM);
	assert_int_equal(nfq_message_next(&r, &m), 1);
	assert_int_equal(m.type, NFQ_MESSAGE_OTHER);
	assert_int_equal(nfq_message_next(&r, &m), 0);
}

static void test_error_without_code(void **state)
{
	struct out o = {0};
	struct nfq_message m;

	(void)state;
	begin(&o, TYPE_ERROR, 1);
	put(&o, "abc", 3);
	end(&o);
	assert_int_equal(first_of(&o, o.len, &m), -EPROTO);
}

static void test_every_length(void **state)
{
	struct out o = {0};
	struct nfq_message m;

	(void)state;
	begin_packet(&o);
	attr_hdr(&o, 5, 0x0800);
	attr(&o, PAYLOAD, IPV4, sizeof(IPV4));
	end(&o);
	assert_int_equal(first_of(&o, 0, &m), 0);
	for (size_t len = 1; len < o.len; len++)
		assert_int_equal(first_of(&o, len, &m), -EPROTO);
	assert_int_equal(first_of(&o, o.len, &m), 1);
}

static void test_message_shorter_than_its_head(void **state)
{
	struct out o = {0};
	struct nfq_message m;
	uint32_t len = 15;

	(void)state;
	begin(&o, TYPE_VERDICT, 1);
	memcpy(o.b, &len, 4);
	assert_int_equal(first_of(&o, o.len, &m), -EPROTO);
}

static void test_proc_line(void **state)
{
	struct nfq_proc_line line;

	(void)state;
	assert_true(nfq_proc_parse(
		&line,
		"    7   6182 65535 2   160  4464    12  4294967295  1"));
	assert_int_equal(line.queue_num, 7);
	assert_int_equal(line.portid, 6182);
	assert_int_equal(line.queued, 65535);
	assert_int_equal(line.copy_mode, 2);
	assert_int_equal(line.copy_range, 160);
	assert_int_equal(line.queue_dropped, 4464);
	assert_int_equal(line.user_dropped, 12);
	assert_int_equal(line.id_sequence, 4294967295u);
	assert_false(nfq_proc_parse(&line, ""));
	assert_false(nfq_proc_parse(&line, "7 6182 0 2 160 1 2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packet),
		cmocka_unit_test(test_nothing_cut_off),
		cmocka_unit_test(test_not_ip),
		cmocka_unit_test(test_no_payload),
		cmocka_unit_test(test_broken_attribute),
		cmocka_unit_test(test_short_header_attribute),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_error_without_code),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_message_shorter_than_its_head),
		cmocka_unit_test(test_proc_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
