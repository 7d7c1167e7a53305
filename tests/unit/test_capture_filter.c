// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "base/opts.h"
#include "core/bytes.h"
#include "core/packet.h"
#include "io/capture_filter.h"

/* The kernel's own packet type stands before the part that any BPF machine can
 * run. */
#define KERNEL_PART 4

static struct split split; /* one worker, unless a test says otherwise */

static struct endpoint endpoint(const char *text)
{
	struct opts_fault fault;
	struct endpoint e;

	assert_true(opts_endpoint(text, 0, &e, &fault));
	return e;
}

static size_t build(uint8_t *out, size_t cap, const char *src, const char *dst)
{
	const struct segment seg = {
		.tuple = {.src = endpoint(src), .dst = endpoint(dst)},
		.seq = 1,
		.flags = TCP_ACK,
	};

	return packet_build(out, cap, &seg, 0);
}

static bool passes_packet(const char *text, const uint8_t *l3, size_t len)
{
	struct sock_fprog prog;
	char err[256];
	unsigned got;

	assert_int_equal(capture_filter_compile(&prog, text, false, &split, err,
						sizeof(err)),
			 0);
	got = bpf_filter((struct bpf_insn *)prog.filter + KERNEL_PART, l3,
			 (u_int)len, (u_int)len);
	capture_filter_free(&prog);
	assert_true(got == 0 || got >= 65535);
	return got;
}

static bool passes(const char *text, const char *src, const char *dst)
{
	uint8_t l3[256];

	return passes_packet(text, l3, build(l3, sizeof(l3), src, dst));
}

static void test_port(void **state)
{
	const struct endpoint source = {.port = 80};
	char *text = capture_filter_text(&source, 1, NULL);

	(void)state;
	assert_string_equal(text, "((tcp dst port 80))");
	assert_true(passes(text, "198.51.100.1:4000", "192.0.2.1:80"));
	assert_true(passes(text, "198.51.100.1:4000", "192.0.2.9:80"));
	assert_true(passes(text, "[2001:db8::1]:4000", "[2001:db8::2]:80"));
	assert_false(passes(text, "198.51.100.1:80", "192.0.2.1:4000"));
	assert_false(passes(text, "198.51.100.1:4000", "192.0.2.1:81"));
	assert_false(passes(text, "[2001:db8::1]:80", "[2001:db8::2]:4000"));
	free(text);
}

static void test_addresses(void **state)
{
	const struct endpoint sources[] = {endpoint("192.0.2.1:80"),
					   endpoint("[2001:db8::2]:81")};
	char *text = capture_filter_text(sources, 2, NULL);

	(void)state;
	assert_true(passes(text, "198.51.100.1:4000", "192.0.2.1:80"));
	assert_true(passes(text, "[2001:db8::1]:4000", "[2001:db8::2]:81"));
	assert_false(passes(text, "198.51.100.1:4000", "192.0.2.2:80"));
	assert_false(passes(text, "198.51.100.1:4000", "192.0.2.1:81"));
	assert_false(passes(text, "[2001:db8::1]:4000", "[2001:db8::2]:80"));
	free(text);
}

static void test_extra(void **state)
{
	const struct endpoint source = {.port = 80};
	/* Or-ed parts must not get past the ports. */
	char *text = capture_filter_text(
		&source, 1, "src host 198.51.100.1 or src host 198.51.100.2");

	(void)state;
	assert_true(passes(text, "198.51.100.1:4000", "192.0.2.1:80"));
	assert_true(passes(text, "198.51.100.2:4000", "192.0.2.1:80"));
	assert_false(passes(text, "198.51.100.3:4000", "192.0.2.1:80"));
	assert_false(passes(text, "198.51.100.1:4000", "192.0.2.1:81"));
	free(text);
}

static void test_not_tcp_or_not_first(void **state)
{
	uint8_t l3[256];
	size_t len = build(l3, sizeof(l3), "198.51.100.1:4000", "192.0.2.1:80");

	(void)state;
	store_be16(l3 + 6, 0x2000); /* first fragment */
	assert_true(passes_packet("tcp dst port 80", l3, len));
	store_be16(l3 + 6, 0x0010); /* a later one */
	assert_false(passes_packet("tcp dst port 80", l3, len));
	store_be16(l3 + 6, 0);
	l3[9] = 17;
	assert_false(passes_packet("tcp dst port 80", l3, len));
}

/* Of the packets that pass, ours: by the client's port. */
static void test_one_of_several_workers(void **state)
{
	char src[32];
	unsigned passed = 0;

	(void)state;
	for (unsigned port = 4000; port < 4100; port++) {
		snprintf(src, sizeof(src), "198.51.100.1:%u", port);
		split = (struct split){2, 1};
		assert_int_equal(passes("tcp dst port 80", src, "192.0.2.1:80"),
				 split_is_ours(&split, (uint16_t)port));
		passed += split_is_ours(&split, (uint16_t)port);
		assert_false(passes("tcp dst port 80", src, "192.0.2.1:81"));
	}
	split = (struct split){0};
	assert_true(passed > 30 && passed < 70);
}

static void test_many(void **state)
{
	struct endpoint sources[128];
	char last[32], *text;

	(void)state;
	for (unsigned i = 0; i < 128; i++) {
		snprintf(last, sizeof(last), "192.0.2.%u:%u", i + 1, 1000 + i);
		sources[i] = endpoint(last);
	}
	text = capture_filter_text(sources, 128, NULL);
	assert_true(passes(text, "198.51.100.1:4000", last));
	assert_false(passes(text, "198.51.100.1:4000", "192.0.2.1:1001"));
	free(text);
}

static void test_bad_expression(void **state)
{
	struct sock_fprog prog;
	char err[256] = "";

	(void)state;
	assert_int_equal(capture_filter_compile(&prog, "tcp dst prt 80", false,
						&split, err, sizeof(err)),
			 -EINVAL);
	assert_true(err[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_port),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_extra),
		cmocka_unit_test(test_not_tcp_or_not_first),
		cmocka_unit_test(test_one_of_several_workers),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_bad_expression),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
