// SPDX-License-Identifier: BSD-2-Clause
/* Addresses of both families, and their text as inet_ntop() has it. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/addr.h"
#include "../helpers/dice.h"

static struct ip_addr v4(const char *text)
{
	uint8_t b[4];

	assert_int_equal(inet_pton(AF_INET, text, b), 1);
	return addr_from_v4(b);
}

static struct ip_addr v6(const char *text)
{
	uint8_t b[16];

	assert_int_equal(inet_pton(AF_INET6, text, b), 1);
	return addr_from_v6(b);
}

static void check_text(struct ip_addr a, const char *text)
{
	char buf[ADDR_TEXT_MAX];

	assert_string_equal(addr_text(&a, buf), text);
}

static void test_families(void **state)
{
	static const struct ip_addr none;
	struct ip_addr four = v4("192.0.2.1"), six = v6("2001:db8::1");
	struct ip_addr any = v4("0.0.0.0"), mapped = v6("::ffff:192.0.2.1");

	(void)state;
	assert_true(addr_is_v4(&four));
	assert_false(addr_is_v4(&six));
	assert_true(addr_equal(&four, &mapped));
	assert_false(addr_equal(&four, &six));
	assert_true(addr_is_none(&none));
	assert_false(addr_is_none(&any));
	assert_true(addr_is_any(&any) && addr_is_any(&none));
	assert_false(addr_is_any(&four) || addr_is_any(&six));
}

static void test_loopback_and_link_local(void **state)
{
	static const char *const loopback[] = {"127.0.0.1", "127.255.3.4"};
	static const char *const others[] = {"126.255.255.255", "128.0.0.1",
					     "169.253.0.1", "169.255.0.1"};
	struct ip_addr a = v6("::1"), b = v6("::2");

	(void)state;
	assert_true(addr_is_loopback(&a) && !addr_is_loopback(&b));
	for (int i = 0; i < 2; i++) {
		a = v4(loopback[i]);
		assert_true(addr_is_loopback(&a) && !addr_is_link_local(&a));
	}
	for (int i = 0; i < 4; i++) {
		a = v4(others[i]);
		assert_false(addr_is_loopback(&a) || addr_is_link_local(&a));
	}
	a = v4("169.254.7.7");
	b = v6("febf:ffff::1");
	assert_true(addr_is_link_local(&a) && addr_is_link_local(&b));
	a = v6("fe7f::1");
	b = v6("fec0::1");
	assert_false(addr_is_link_local(&a) || addr_is_link_local(&b));
}

static void test_prefix(void **state)
{
	struct addr_prefix p = {.addr = v4("10.1.128.0"), .len = 96 + 17};
	struct ip_addr in = v4("10.1.255.255"), out = v4("10.1.127.255");
	struct ip_addr other = v6("2001:db8::1");

	(void)state;
	assert_true(addr_in_prefix(&in, &p));
	assert_false(addr_in_prefix(&out, &p));
	assert_false(addr_in_prefix(&other, &p));
	p = (struct addr_prefix){.addr = in, .len = 128};
	assert_true(addr_in_prefix(&in, &p) && !addr_in_prefix(&out, &p));
	p = (struct addr_prefix){.addr = other, .len = 0};
	assert_true(addr_in_prefix(&in, &p) && addr_in_prefix(&other, &p));
}

static void test_range(void **state)
{
	struct addr_range r = {.first = v4("10.0.255.254"), .count = 1000};
	struct addr_range six = {.first = v6("2001:db8::ffff:ffff"),
				 .count = 10};

	(void)state;
	check_text(addr_range_at(&r, 0), "10.0.255.254");
	check_text(addr_range_at(&r, 2), "10.1.0.0");
	check_text(addr_range_at(&r, 999), "10.1.3.229");
	check_text(addr_range_at(&six, 1), "2001:db8::1:0:0");
}

/* RFC 5952, 4 and 5. */
static void test_text(void **state)
{
	static const char *const texts[] = {"::",
					    "::1",
					    "1::",
					    "2001:db8::1",
					    "2001:db8:0:1:1:1:1:1",
					    "2001:0:0:1::1",
					    "1:0:2:0:3:0:4:0",
					    "fe80::abcd:ef01:2345:6789",
					    "1::2:0:0:3",
					    "a:b:c:d:e:f:1:2"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct ip_addr a = v6(texts[i]);
		uint8_t b[16];
		char buf[ADDR_TEXT_MAX];

		assert_int_equal(inet_pton(AF_INET6, addr_text(&a, buf), b), 1);
		assert_memory_equal(a.b, b, 16);
	}
	check_text(v6("2001:0db8:0:0:1:0:0:1"), "2001:db8::1:0:0:1");
	check_text(v6("2001:db8:0:1:1:1:1:1"), "2001:db8:0:1:1:1:1:1");
	check_text(v6("0:0:0:0:0:0:0:0"), "::");
	check_text(v4("0.0.0.0"), "0.0.0.0");
	check_text(v4("255.255.255.255"), "255.255.255.255");
}

/* Zero groups at any place: the text means the same address. */
static void test_text_of_any(void **state)
{
	struct dice dice = {5};
	char ours[ADDR_TEXT_MAX];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		uint8_t b[16], back[16];
		struct ip_addr a;

		for (int k = 0; k < 8; k++) {
			uint32_t group = dice_below(&dice, 3)
						 ? 0
						 : dice_below(&dice, 65536);

			b[2 * k] = (uint8_t)(group >> 8);
			b[2 * k + 1] = (uint8_t)group;
		}
		a = addr_from_v6(b);
		addr_text(&a, ours);
		assert_int_equal(inet_pton(addr_is_v4(&a) ? AF_INET : AF_INET6,
					   ours, back),
				 1);
		assert_memory_equal(addr_is_v4(&a) ? b + 12 : b, back,
				    addr_is_v4(&a) ? 4 : 16);
	}
}

static void test_endpoint_text(void **state)
{
	char buf[ENDPOINT_TEXT_MAX];
	struct endpoint e = {v4("255.255.255.255"), 65535};

	(void)state;
	assert_string_equal(endpoint_text(&e, buf), "255.255.255.255:65535");
	e = (struct endpoint){v6("2001:db8::1"), 0};
	assert_string_equal(endpoint_text(&e, buf), "[2001:db8::1]:0");
	e.addr = v6("abcd:ef01:2345:6789:abcd:ef01:2345:6789");
	e.port = 65535;
	assert_string_equal(endpoint_text(&e, buf),
			    "[abcd:ef01:2345:6789:abcd:ef01:2345:6789]:65535");
}

static void test_equal(void **state)
{
	struct endpoint a = {v4("10.0.0.1"), 80}, b = a;
	struct four_tuple s, t;

	(void)state;
	memset(&s, 0, sizeof(s));
	s.src = s.dst = a;
	t = s;
	assert_true(endpoint_equal(&a, &b) && four_tuple_equal(&s, &t));
	b.port = 81;
	t.dst.port = 81;
	assert_false(endpoint_equal(&a, &b) || four_tuple_equal(&s, &t));
	b = (struct endpoint){v4("10.0.0.2"), 80};
	assert_false(endpoint_equal(&a, &b));
}

/* Whoever does not know the key can't choose where things go. */
static void test_keyed_hash(void **state)
{
	struct hash_key one = {{1}}, two = {{2}};

	(void)state;
	assert_true(keyed_hash(&one, "abc", 3) == keyed_hash(&one, "abc", 3));
	assert_true(keyed_hash(&one, "abc", 3) != keyed_hash(&two, "abc", 3));
	assert_true(keyed_hash(&one, "abc", 3) != keyed_hash(&one, "abd", 3));
}

/* Each byte of it counts, whatever the family. */
static void check_hash_of(struct four_tuple t)
{
	struct hash_key one = {{1}}, two = {{2}};
	uint64_t hash = four_tuple_hash(&one, &t);
	uint16_t *ports[] = {&t.src.port, &t.dst.port};
	struct ip_addr *addrs[] = {&t.src.addr, &t.dst.addr};

	assert_true(four_tuple_hash(&one, &t) == hash);
	assert_true(four_tuple_hash(&two, &t) != hash);
	for (size_t i = 0; i < 2; i++) {
		*ports[i] ^= 0x100;
		assert_true(four_tuple_hash(&one, &t) != hash);
		*ports[i] ^= 0x100;
		for (size_t at = 0; at < 16; at++) {
			addrs[i]->b[at] ^= 1;
			assert_true(four_tuple_hash(&one, &t) != hash);
			addrs[i]->b[at] ^= 1;
		}
	}
	assert_true(four_tuple_hash(&one, &t) == hash);
}

static void test_tuple_hash(void **state)
{
	struct endpoint a = {v4("10.0.0.1"), 80}, b = {v4("10.0.0.2"), 4000};
	struct endpoint c = {v6("2001:db8::1"), 80};

	(void)state;
	check_hash_of((struct four_tuple){a, b});
	check_hash_of((struct four_tuple){c, c});
	check_hash_of((struct four_tuple){a, c});
	check_hash_of((struct four_tuple){c, a});
}

/* Each second port of a client has the next place, and each its own. */
static void test_port_steps(void **state)
{
	struct endpoint server = {v4("10.0.0.2"), 80};
	struct four_tuple t = {{v4("10.0.0.1"), 0}, server};
	struct hash_key key = {{1}};
	static bool seen[UINT16_MAX + 1];

	(void)state;
	for (uint32_t port = 0; port <= UINT16_MAX; port++) {
		assert_in_range(port_step((uint16_t)port), 0, UINT16_MAX);
		assert_false(seen[port_step((uint16_t)port)]);
		seen[port_step((uint16_t)port)] = true;
	}
	for (uint16_t port = 1023; port < 65534; port++) {
		uint64_t hash;

		t.src.port = port;
		hash = four_tuple_hash(&key, &t);
		t.src.port += 2;
		assert_true(four_tuple_hash(&key, &t) == hash + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_loopback_and_link_local),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_of_any),
		cmocka_unit_test(test_endpoint_text),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_keyed_hash),
		cmocka_unit_test(test_tuple_hash),
		cmocka_unit_test(test_port_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
