// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pcap/dlt.h>
#include <string.h>

#include "core/bytes.h"
#include "io/link_header.h"

#define IPV4 0x0800
#define IPV6 0x86dd
#define VLAN 0x8100
#define QINQ 0x88a8
#define ARP  0x0806

static uint8_t frame[64];

/* Types two bytes each from at on, with a tag's two bytes between them. */
static int len_of(int dlt, size_t at, size_t cap_len, const uint16_t *types,
		  size_t count)
{
	memset(frame, 0, sizeof(frame));
	for (size_t i = 0; i < count; i++)
		store_be16(frame + at + 4 * i, types[i]);
	return link_header_len(dlt, frame, cap_len);
}

static void test_ethernet(void **state)
{
	(void)state;
	assert_int_equal(len_of(DLT_EN10MB, 12, 64, (uint16_t[]){IPV4}, 1), 14);
	assert_int_equal(len_of(DLT_EN10MB, 12, 64, (uint16_t[]){IPV6}, 1), 14);
	assert_int_equal(len_of(DLT_EN10MB, 12, 64, (uint16_t[]){ARP}, 1), -1);
	assert_int_equal(len_of(DLT_EN10MB, 12, 64, (uint16_t[]){60}, 1), -1);
	assert_int_equal(len_of(DLT_EN10MB, 12, 13, (uint16_t[]){IPV4}, 1), -1);
	assert_int_equal(len_of(DLT_EN10MB, 12, 14, (uint16_t[]){IPV4}, 1), 14);
}

static void test_tags(void **state)
{
	static const uint16_t many[] = {VLAN, VLAN, VLAN, VLAN,
					VLAN, VLAN, IPV4};

	(void)state;
	assert_int_equal(
		len_of(DLT_EN10MB, 12, 64, (uint16_t[]){VLAN, IPV4}, 2), 18);
	assert_int_equal(
		len_of(DLT_EN10MB, 12, 64, (uint16_t[]){QINQ, VLAN, IPV6}, 3),
		22);
	assert_int_equal(len_of(DLT_EN10MB, 12, 64, (uint16_t[]){VLAN, ARP}, 2),
			 -1);
	assert_int_equal(
		len_of(DLT_EN10MB, 12, 17, (uint16_t[]){VLAN, IPV4}, 2), -1);
	assert_int_equal(len_of(DLT_EN10MB, 12, 64, many, 7), -1);
}

static void test_cooked(void **state)
{
	(void)state;
	assert_int_equal(len_of(DLT_LINUX_SLL, 14, 64, (uint16_t[]){IPV4}, 1),
			 16);
	assert_int_equal(
		len_of(DLT_LINUX_SLL, 14, 64, (uint16_t[]){VLAN, IPV6}, 2), 20);
	assert_int_equal(len_of(DLT_LINUX_SLL2, 0, 64, (uint16_t[]){IPV6}, 1),
			 20);
	assert_int_equal(len_of(DLT_LINUX_SLL, 14, 15, (uint16_t[]){IPV4}, 1),
			 -1);
	/* its type stands first, but it is not all there */
	assert_int_equal(len_of(DLT_LINUX_SLL2, 0, 19, (uint16_t[]){IPV6}, 1),
			 -1);
	assert_int_equal(len_of(DLT_LINUX_SLL2, 0, 20, (uint16_t[]){IPV6}, 1),
			 20);
}

static void test_cooked_tag(void **state)
{
	(void)state;
	/* In a cooked frame of the second kind the type stands apart from the
	 * tag. */
	memset(frame, 0, sizeof(frame));
	store_be16(frame, VLAN);
	store_be16(frame + 22, IPV4);
	assert_int_equal(link_header_len(DLT_LINUX_SLL2, frame, 64), 24);
}

static void test_raw(void **state)
{
	(void)state;
	memset(frame, 0, sizeof(frame));
	assert_int_equal(link_header_len(DLT_RAW, frame, 64), -1);
	frame[0] = 0x45;
	assert_int_equal(link_header_len(DLT_RAW, frame, 64), 0);
	assert_int_equal(link_header_len(DLT_IPV4, frame, 64), 0);
	assert_int_equal(link_header_len(DLT_RAW, frame, 0), -1);
	frame[0] = 0x60;
	assert_int_equal(link_header_len(DLT_RAW, frame, 64), 0);
	frame[4] = 0x45;
	assert_int_equal(link_header_len(DLT_NULL, frame, 64), 4);
	assert_int_equal(link_header_len(DLT_LOOP, frame, 64), 4);
	assert_int_equal(link_header_len(DLT_NULL, frame, 4), -1);
}

static void test_unknown(void **state)
{
	(void)state;
	assert_false(link_header_known(DLT_IEEE802_11));
	assert_int_equal(link_header_len(DLT_IEEE802_11, frame, 64), -1);
	assert_true(link_header_known(DLT_EN10MB));
	assert_true(link_header_known(DLT_LINUX_SLL2));
}

static void test_other_host(void **state)
{
	(void)state;
	memset(frame, 0, sizeof(frame));
	assert_false(link_header_other_host(DLT_LINUX_SLL, frame, 64));
	frame[1] = 3;
	assert_true(link_header_other_host(DLT_LINUX_SLL, frame, 64));
	assert_false(link_header_other_host(DLT_LINUX_SLL, frame, 1));
	assert_false(link_header_other_host(DLT_LINUX_SLL2, frame, 64));
	frame[10] = 3;
	assert_true(link_header_other_host(DLT_LINUX_SLL2, frame, 64));
	assert_false(link_header_other_host(DLT_LINUX_SLL2, frame, 10));
	assert_false(link_header_other_host(DLT_EN10MB, frame, 64));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ethernet),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_cooked),
		cmocka_unit_test(test_cooked_tag),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_other_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
