// SPDX-License-Identifier: BSD-2-Clause
/* The fence's routing rules among those of a host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <netinet/in.h>

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "io/fence_rules.h"

#define PORT	  8080
#define RULES_MAX 32

static const struct guard_prefix passlist[] = {
	{.bytes = {192, 0, 2, 1}, .len = 32},
	{.bytes = {198, 51, 100}, .len = 24},
};

/* A host's rules, in the kernel's order. */
struct host {
	struct guard_line_config cfg;
	struct fence_rule rules[RULES_MAX];
	size_t count;
	struct fence_view view;
};

static void add(struct host *h, struct fence_rule r)
{
	size_t at = h->count++;

	assert_true(h->count <= RULES_MAX);
	for (; at > 0 && h->rules[at - 1].pref > r.pref; at--)
		h->rules[at] = h->rules[at - 1];
	h->rules[at] = r;
}

static struct fence_rule lookup(uint32_t pref, uint32_t table)
{
	return (struct fence_rule){
		.pref = pref, .action = FR_ACT_TO_TBL, .table = table};
}

static struct host new_host(size_t passlist_count)
{
	struct host h = {
		.cfg = {.family = AF_INET,
			.port = PORT,
			.passlist = passlist,
			.passlist_count = passlist_count},
	};

	add(&h, lookup(0, RT_TABLE_LOCAL));
	add(&h, lookup(32766, RT_TABLE_MAIN));
	add(&h, lookup(32767, RT_TABLE_DEFAULT));
	return h;
}

static void add_fence(struct host *h, uint32_t pref)
{
	for (size_t i = 0; i < fence_rules_count(&h->cfg); i++)
		add(h, fence_rules_at(&h->cfg, pref, i));
}

static const struct fence_view *judge(struct host *h)
{
	fence_rules_judge(&h->view, h->rules, h->count, &h->cfg);
	return &h->view;
}

static void test_none_yet(void **state)
{
	struct host h = new_host(0);

	(void)state;
	assert_false(judge(&h)->whole);
	assert_int_equal(h.view.pref, 0);
	assert_int_equal(fence_rules_place(&h.view), FENCE_PREF);
}

static void test_whole(void **state)
{
	(void)state;
	for (size_t n = 0; n <= 2; n++) {
		struct host h = new_host(n);

		add_fence(&h, FENCE_PREF);
		assert_int_equal(h.count, 3 + (n ? n + 2 : 1));
		assert_true(judge(&h)->whole);
		assert_int_equal(h.view.pref, FENCE_PREF);
		assert_int_equal(fence_rules_place(&h.view), FENCE_PREF);
	}
}

/* Exemptions come first and jump over the fence, not over what follows. */
static void test_exemptions(void **state)
{
	struct host h = new_host(2);
	struct fence_rule fence = fence_rules_at(&h.cfg, 1000, 0);
	struct fence_rule after = fence_rules_at(&h.cfg, 1000, 1);
	struct fence_rule exempt = fence_rules_at(&h.cfg, 1000, 3);

	(void)state;
	assert_int_equal(fence.pref, 1000);
	assert_int_equal(fence.table, FENCE_TABLE(PORT));
	assert_true(fence.local_only);
	assert_int_equal(after.pref, 1001);
	assert_int_equal(after.action, FR_ACT_NOP);
	assert_int_equal(exempt.pref, 999);
	assert_int_equal(exempt.action, FR_ACT_GOTO);
	assert_int_equal(exempt.target, 1001);
	assert_int_equal(exempt.dst_len, 24);
	assert_memory_equal(exempt.dst, passlist[1].bytes, 4);
}

static void test_one_is_missing(void **state)
{
	(void)state;
	for (size_t gone = 0; gone < 4; gone++) {
		struct host h = new_host(2);

		for (size_t i = 0; i < 4; i++)
			if (i != gone)
				add(&h, fence_rules_at(&h.cfg, 1000, i));
		assert_false(judge(&h)->whole);
		assert_int_equal(fence_rules_place(&h.view), 1000);
	}
}

/* An exemption that is not on the list any more lets answers out. */
static void test_one_too_many(void **state)
{
	struct host h = new_host(2);

	(void)state;
	add_fence(&h, FENCE_PREF);
	h.cfg.passlist_count = 1;
	assert_false(judge(&h)->whole);
	assert_int_equal(fence_rules_place(&h.view), FENCE_PREF);
}

static void test_altered(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct host h = new_host(0);
		struct fence_rule r = fence_rules_at(&h.cfg, FENCE_PREF, 0);

		r.more = i == 0;
		r.table += i == 1;
		r.ip_proto = i == 2 ? IPPROTO_UDP : IPPROTO_TCP;
		r.local_only = i != 3;
		add(&h, r);
		assert_false(judge(&h)->whole);
	}
}

static void test_something_in_front(void **state)
{
	struct host h = new_host(2);

	(void)state;
	add_fence(&h, FENCE_PREF);
	add(&h, lookup(998, RT_TABLE_MAIN));
	assert_false(judge(&h)->whole);
	assert_true(h.view.has_in_front);
	assert_int_equal(h.view.in_front, 998);
	assert_int_equal(fence_rules_place(&h.view), 996);
	/* in between, after the exemptions */
	h = new_host(2);
	add_fence(&h, FENCE_PREF);
	add(&h, lookup(999, RT_TABLE_MAIN));
	assert_true(judge(&h)->has_in_front);
	assert_int_equal(fence_rules_place(&h.view), 997);
	/* behind it, anything may stand */
	h = new_host(2);
	add_fence(&h, FENCE_PREF);
	add(&h, lookup(1001, RT_TABLE_MAIN));
	assert_true(judge(&h)->whole);
}

static void test_place_in_front_of_all(void **state)
{
	static const struct {
		uint32_t first, place;
	} cases[] = {{32766, 1000}, {1003, 1000}, {1002, 1000}, {1001, 999},
		     {4, 2},	    {3, 0},	  {1, 0},	{0, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct host h = new_host(1);

		add(&h, lookup(cases[i].first, RT_TABLE_MAIN));
		judge(&h);
		assert_int_equal(fence_rules_place(&h.view), cases[i].place);
	}
}

/* The guards of two ports stand beside each other, in any order; the table of
 * the host's own addresses leads nowhere else. */
static void test_neighbours(void **state)
{
	struct host h = new_host(2);
	struct guard_line_config other = h.cfg;

	(void)state;
	other.port = 80;
	for (size_t i = 0; i < fence_rules_count(&other); i++)
		add(&h, fence_rules_at(&other, 900, i));
	add(&h, lookup(500, RT_TABLE_LOCAL));
	add_fence(&h, FENCE_PREF);
	assert_true(judge(&h)->whole);
	/* one that only looks like it is foreign */
	other.port = PORT;
	for (size_t i = 0; i < h.count; i++)
		if (h.rules[i].pref == 900)
			h.rules[i].sport_last = 9000;
	assert_true(judge(&h)->has_in_front);
}

/* What we write, read as the kernel would tell it. */
static void test_message(void **state)
{
	_Alignas(8) uint8_t buf[FENCE_MESSAGE_MAX];
	struct host h = new_host(2);

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct fence_rule r = fence_rules_at(&h.cfg, 1000, i), back;
		struct nlmsghdr *nlh = fence_rule_message(
			buf, &r, AF_INET, RTM_NEWRULE, NLM_F_CREATE, 1);

		assert_true(nlh->nlmsg_len <= FENCE_MESSAGE_MAX);
		assert_true(fence_rule_parse(&back, nlh));
		assert_true(fence_rule_equal(&r, &back));
		assert_true(fence_rule_is_ours(&back, PORT));
		assert_false(fence_rule_is_ours(&back, 80));
		/* any condition more makes another rule of it */
		mnl_attr_put_u32(nlh, FRA_FWMARK, 1);
		assert_true(fence_rule_parse(&back, nlh));
		assert_false(fence_rule_equal(&r, &back));
	}
}

static void test_message_cut_short(void **state)
{
	_Alignas(8) uint8_t buf[FENCE_MESSAGE_MAX];
	struct host h = new_host(2);
	struct fence_rule r = fence_rules_at(&h.cfg, 1000, 3), back;
	struct nlmsghdr *nlh =
		fence_rule_message(buf, &r, AF_INET, RTM_NEWRULE, 0, 1);
	uint32_t whole = nlh->nlmsg_len;

	(void)state;
	for (uint32_t len = sizeof(*nlh); len < whole; len += 4) {
		nlh->nlmsg_len = len;
		if (fence_rule_parse(&back, nlh))
			assert_false(fence_rule_equal(&r, &back));
	}
	nlh->nlmsg_len = whole;
	nlh->nlmsg_type = RTM_NEWROUTE;
	assert_false(fence_rule_parse(&back, nlh));
}

static void test_prefixes(void **state)
{
	struct addr_prefix in[] = {
		{.addr = {{[10] = 255, 255, 192, 0, 2, 77}}, .len = 96 + 25},
		{.addr = {{0x20, 1, 0xd, 0xb8, 0xff}}, .len = 33},
		{.addr = {{[10] = 255, 255, 192, 0, 2, 1}}, .len = 128},
		{.addr = {{[10] = 255, 255, 192, 0, 2, 5}}, .len = 96 + 25},
	};
	struct guard_prefix out[4];

	(void)state;
	assert_int_equal(guard_prefixes(AF_INET, in, 4, out), 2);
	assert_int_equal(out[0].len, 25);
	assert_memory_equal(out[0].bytes, ((uint8_t[16]){192, 0, 2}), 16);
	assert_int_equal(out[1].len, 32);
	assert_memory_equal(out[1].bytes, ((uint8_t[16]){192, 0, 2, 1}), 16);
	assert_int_equal(guard_prefixes(AF_INET6, in, 4, out), 1);
	assert_int_equal(out[0].len, 33);
	assert_memory_equal(out[0].bytes,
			    ((uint8_t[16]){0x20, 1, 0xd, 0xb8, 0x80}), 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none_yet),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_exemptions),
		cmocka_unit_test(test_one_is_missing),
		cmocka_unit_test(test_one_too_many),
		cmocka_unit_test(test_altered),
		cmocka_unit_test(test_something_in_front),
		cmocka_unit_test(test_place_in_front_of_all),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_message_cut_short),
		cmocka_unit_test(test_prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
