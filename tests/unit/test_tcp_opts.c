// SPDX-License-Identifier: BSD-2-Clause
/* TCP options: taken when they are whole, and built as they are taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/tcp_opts.h"

static struct tcp_opts parse(const uint8_t *bytes, size_t len)
{
	struct tcp_opts opts;

	memset(&opts, 0xff, sizeof(opts));
	tcp_opts_parse(&opts, bytes, len);
	return opts;
}

#define PARSE(...)                                                             \
	parse((const uint8_t[]){__VA_ARGS__},                                  \
	      sizeof((const uint8_t[]){__VA_ARGS__}))

static void check_none(struct tcp_opts o)
{
	assert_int_equal(o.mss_bytes, 0);
	assert_false(o.has_wscale || o.has_tstamp);
}

static void test_none(void **state)
{
	(void)state;
	check_none(parse(NULL, 0));
	check_none(PARSE(0));
	check_none(PARSE(1, 1, 1, 0));
	check_none(PARSE(0, 2, 3, 3, 7)); /* after the end */
}

/* As Linux sends them in a SYN. */
static void test_all(void **state)
{
	struct tcp_opts o = PARSE(2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6,
				  7, 8, 1, 3, 3, 7);

	(void)state;
	assert_int_equal(o.mss_bytes, 1460);
	assert_true(o.has_wscale && o.wscale == 7);
	assert_true(o.has_tstamp);
	assert_int_equal(o.tsval, 0x01020304);
	assert_int_equal(o.tsecr, 0x05060708);
}

/* And in every other segment; each other byte is taken for what it is. */
static void test_a_time_stamp_alone(void **state)
{
	uint8_t usual[] = {1, 1, 8, 10, 0xa1, 2, 3, 4, 0xa5, 6, 7, 8};
	struct tcp_opts o = parse(usual, sizeof(usual));

	(void)state;
	assert_true(o.has_tstamp && !o.has_wscale && !o.mss_bytes);
	assert_int_equal(o.tsval, 0xa1020304);
	assert_int_equal(o.tsecr, 0xa5060708);
	check_none(parse(usual, sizeof(usual) - 1));
	for (size_t i = 2; i < 4; i++) {
		usual[i]++;
		check_none(parse(usual, sizeof(usual)));
		usual[i]--;
	}
	usual[0] = 0;
	check_none(parse(usual, sizeof(usual)));
}

static void test_unknown_ones_are_passed_over(void **state)
{
	struct tcp_opts o = PARSE(253, 6, 1, 2, 3, 4, 3, 3, 2, 34, 2);

	(void)state;
	assert_true(o.has_wscale && o.wscale == 2);
}

/* RFC 7323, 2.3. */
static void test_scale_is_limited(void **state)
{
	(void)state;
	assert_int_equal(PARSE(3, 3, 14).wscale, 14);
	assert_int_equal(PARSE(3, 3, 15).wscale, 14);
	assert_int_equal(PARSE(3, 3, 255).wscale, 14);
}

static void test_wrong_lengths_are_not_taken(void **state)
{
	struct tcp_opts o = PARSE(2, 3, 5, 3, 3, 4);

	(void)state;
	assert_int_equal(o.mss_bytes, 0);
	assert_true(o.has_wscale && o.wscale == 4);
	check_none(PARSE(2, 5, 5, 0xb4, 0));
	check_none(PARSE(3, 4, 1, 1));
	check_none(PARSE(8, 9, 1, 2, 3, 4, 5, 6, 7));
	check_none(PARSE(8, 11, 1, 2, 3, 4, 5, 6, 7, 8, 9));
}

/* What came before the malformed one stands. */
static void test_malformed_ends_it(void **state)
{
	static const uint8_t bytes[] = {3, 3, 7, 2, 4, 5, 0xb4, 8, 10,
					0, 0, 0, 1, 0, 0, 0,	2};

	(void)state;
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		struct tcp_opts o = parse(bytes, len);

		assert_int_equal(o.has_wscale, len >= 3);
		assert_int_equal(o.mss_bytes, len >= 7 ? 1460 : 0);
		assert_int_equal(o.has_tstamp, len >= 17);
	}
	check_none(PARSE(2, 0, 3, 3, 7));
	check_none(PARSE(2, 1, 3, 3, 7));
	check_none(PARSE(2));
}

static void test_build(void **state)
{
	struct tcp_opts o = {0}, again;
	uint8_t out[TCP_OPTS_MAX];
	size_t len;

	(void)state;
	for (unsigned which = 0; which < 8; which++) {
		o = (struct tcp_opts){0};
		if (which & 1)
			o.mss_bytes = 536;
		if (which & 2) {
			o.has_wscale = true;
			o.wscale = 9;
		}
		if (which & 4) {
			o.has_tstamp = true;
			o.tsval = 0xfffffffeu;
			o.tsecr = 1;
		}
		len = tcp_opts_build(&o, out);
		assert_int_equal(len % 4, 0);
		assert_int_equal(len == 0, which == 0);
		again = parse(out, len);
		assert_int_equal(again.mss_bytes, o.mss_bytes);
		assert_int_equal(again.has_wscale, o.has_wscale);
		assert_int_equal(again.wscale, o.wscale);
		assert_int_equal(again.has_tstamp, o.has_tstamp);
		assert_int_equal(again.tsval, o.tsval);
		assert_int_equal(again.tsecr, o.tsecr);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_a_time_stamp_alone),
		cmocka_unit_test(test_unknown_ones_are_passed_over),
		cmocka_unit_test(test_scale_is_limited),
		cmocka_unit_test(test_wrong_lengths_are_not_taken),
		cmocka_unit_test(test_malformed_ends_it),
		cmocka_unit_test(test_build),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
