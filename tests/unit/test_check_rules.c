// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "check/check.h"
#include "check/rules.h"

static const struct rules_place places[] = {
	{"raw", "OUTPUT"}, {"mangle", "OUTPUT"}, {"filter", "OUTPUT"}};

/* What becomes of answers of port 80. */
static struct rules_answer walk(const char *text)
{
	static const struct addr_prefix exempt = {
		.addr = {{[10] = 0xff, [11] = 0xff, 10, 0, 0, 0}},
		.len = 96 + 8};
	const struct rules_packet packet = {
		.sport = 80, .exempt = &exempt, .exempt_count = 1};
	struct rules *r = rules_parse(text);
	struct rules_answer a;

	assert_non_null(r);
	rules_walk(r, places, 3, &packet, &a);
	rules_free(r);
	return a;
}

#define RAW    "*raw\n:OUTPUT ACCEPT [0:0]\n"
#define FILTER "COMMIT\n*filter\n:OUTPUT ACCEPT [0:0]\n"
#define QUEUE  "-A OUTPUT -p tcp -m tcp --sport 80 -j NFQUEUE --queue-num 0\n"

static const struct {
	const char *text;
	enum rules_fate fate;
	bool some, before, bypass;
} fates[] = {
	{"", RULES_THROUGH, false, false, false},
	{RAW FILTER, RULES_THROUGH, false, false, false},
	{FILTER QUEUE, RULES_QUEUED, false, false, false},
	{FILTER "-A OUTPUT -p tcp -j NFQUEUE --queue-num 0 "
		"--queue-bypass\n",
	 RULES_QUEUED, false, false, true},
	{FILTER "-A OUTPUT -p tcp -j NFQUEUE --queue-num 1\n",
	 RULES_OTHER_QUEUE, false, false, false},
	{FILTER "-A OUTPUT -p tcp -j NFQUEUE --queue-balance 0:3\n",
	 RULES_QUEUED, false, false, false},
	{FILTER "-A OUTPUT -p tcp -j NFQUEUE --queue-balance 1:3\n",
	 RULES_OTHER_QUEUE, false, false, false},
	/* An accept ends its own table, not the next one. */
	{RAW "-A OUTPUT -p tcp -j ACCEPT\n" FILTER QUEUE, RULES_QUEUED, false,
	 false, false},
	{FILTER "-A OUTPUT -p tcp -j ACCEPT\n" QUEUE, RULES_THROUGH, false,
	 true, false},
	{FILTER "-A OUTPUT -p tcp -j ACCEPT\n", RULES_THROUGH, false, false,
	 false},
	{FILTER "-A OUTPUT -m conntrack --ctstate ESTABLISHED -j "
		"ACCEPT\n" QUEUE,
	 RULES_QUEUED, false, true, false},
	/* What is not about it. */
	{FILTER "-A OUTPUT -p udp -j ACCEPT\n"
		"-A OUTPUT -o lo -j ACCEPT\n"
		"-A OUTPUT ! -p tcp -j ACCEPT\n"
		"-A OUTPUT -p tcp --sport 81:90 -j DROP\n"
		"-A OUTPUT -p tcp -m multiport --sports 1,3 -j DROP\n"
		"-A OUTPUT -d 10.0.0.0/8 -j ACCEPT\n"
		"-A OUTPUT -p tcp -m comment --comment \"-j DROP\" "
		"-j LOG --log-prefix \"-p udp \"\n" QUEUE,
	 RULES_QUEUED, false, false, false},
	{FILTER "-A OUTPUT -d 10.0.0.0/9 -j ACCEPT\n" QUEUE, RULES_QUEUED,
	 false, true, false},
	{FILTER "-A OUTPUT ! -o lo -j ACCEPT\n" QUEUE, RULES_THROUGH, false,
	 true, false},
	{FILTER "-A OUTPUT ! -p udp -j DROP\n" QUEUE, RULES_DROPPED, false,
	 false, false},
	{FILTER "-A OUTPUT -p tcp -m multiport --sports 1,70:80 -j "
		"REJECT --reject-with tcp-reset\n",
	 RULES_DROPPED, false, false, false},
	{RAW "-A OUTPUT -j DROP\n" FILTER QUEUE, RULES_DROPPED, false, false,
	 false},
	/* The rule itself is for some of them. */
	{FILTER "-A OUTPUT -d 1.2.3.4/32 -p tcp -j NFQUEUE\n", RULES_QUEUED,
	 true, false, false},
	/* Some go to another queue first. */
	{FILTER "-A OUTPUT -d 1.2.3.4/32 -j NFQUEUE --queue-num 1\n" QUEUE,
	 RULES_QUEUED, false, true, false},
	/* A module that chooses packets without an option. */
	{FILTER "-A OUTPUT -m socket -j DROP\n" QUEUE, RULES_QUEUED, false,
	 false, false},
	{FILTER "-A OUTPUT -m socket -j NFQUEUE\n", RULES_QUEUED, true, false,
	 false},
	/* By another chain, as --print-rules does it. */
	{FILTER "-A OUTPUT -p tcp -m tcp --sport 80 -j mine\n"
		"-A mine -d 10.0.0.0/8 -j RETURN\n"
		"-A mine -j NFQUEUE --queue-num 0\n",
	 RULES_QUEUED, false, false, false},
	{FILTER "-A OUTPUT -p tcp -m tcp --sport 80 -j mine\n"
		"-A mine -j RETURN\n"
		"-A mine -j NFQUEUE --queue-num 0\n",
	 RULES_THROUGH, false, false, false},
	{FILTER "-A OUTPUT -s 1.1.1.1/32 -j mine\n-A mine -j DROP\n"
		"-A OUTPUT -j round\n-A round -j round\n" QUEUE,
	 RULES_QUEUED, false, false, false},
	/* Policies. */
	{"*filter\n:OUTPUT DROP [0:0]\n", RULES_DROPPED, false, false, false},
	{"*filter\n:OUTPUT DROP [0:0]\n-A OUTPUT -s 1.1.1.1/32 -j "
	 "ACCEPT\n",
	 RULES_DROPPED, true, false, false},
	{"*filter\n:OUTPUT DROP [0:0]\n-A OUTPUT -j ACCEPT\n", RULES_THROUGH,
	 false, false, false},
};

static void test_fates(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(fates) / sizeof(fates[0]); i++) {
		struct rules_answer a = walk(fates[i].text);

		if (a.fate != fates[i].fate || a.some != fates[i].some ||
		    a.bypass != fates[i].bypass ||
		    (a.before[0] != '\0') != fates[i].before)
			fail_msg("case %zu: fate %d, some %d, bypass %d, "
				 "before \"%s\": %s",
				 i, a.fate, a.some, a.bypass, a.before,
				 fates[i].text);
	}
}

/* Which queues the rule leads to. */
static void test_queues(void **state)
{
	struct rules_answer a =
		walk(FILTER "-A OUTPUT -j NFQUEUE --queue-balance 0:3\n");

	(void)state;
	assert_int_equal(a.first_queue, 0);
	assert_int_equal(a.last_queue, 3);
	a = walk(FILTER QUEUE);
	assert_int_equal(a.first_queue, 0);
	assert_int_equal(a.last_queue, 0);
	a = walk(FILTER "-A OUTPUT -j NFQUEUE --queue-balance x\n");
	assert_int_equal(a.fate, RULES_OTHER_QUEUE);
}

/* "--ctstate INVALID -j DROP" is told, unless nothing is tracked. */
static void test_invalid(void **state)
{
	static const char drop[] =
		"-A OUTPUT -m conntrack --ctstate INVALID -j DROP\n";
	char text[512];
	struct rules_answer a;

	(void)state;
	snprintf(text, sizeof(text), "%s%s%s", FILTER, drop, QUEUE);
	a = walk(text);
	assert_int_equal(a.fate, RULES_QUEUED);
	assert_memory_equal(a.invalid, drop, strlen(drop) - 1);
	snprintf(text, sizeof(text), "%s%s%s%s%s", RAW,
		 "-A OUTPUT -p tcp -j CT --notrack\n", FILTER, drop, QUEUE);
	a = walk(text);
	assert_string_equal(a.invalid, "");
}

static void test_words_are_kept(void **state)
{
	struct rules_answer a = walk(FILTER "-A OUTPUT -m comment --comment "
					    "\"a b\" -j ACCEPT\n");

	(void)state;
	assert_int_equal(a.fate, RULES_THROUGH);
	a = walk(RAW "-A OUTPUT -m comment --comment \"a b\" -j DROP\n");
	assert_string_equal(a.rule, "-A OUTPUT -m comment --comment \"a b\" -j "
				    "DROP");
	assert_string_equal(a.table, "raw");
}

/* Of rules on the online server. */
static void test_changed_address(void **state)
{
	static const struct rules_place post[] = {{"raw", "OUTPUT"},
						  {"nat", "POSTROUTING"}};
	static const struct ip_addr dst = {
		{[10] = 0xff, [11] = 0xff, 192, 0, 2, 2}};
	static const struct {
		const char *text;
		enum rules_fate fate;
	} cases[] = {
		{"*nat\n-A POSTROUTING -o eth0 -j MASQUERADE\n",
		 RULES_ADDRESS_CHANGED},
		{"*nat\n-A POSTROUTING -o eth1 -j MASQUERADE\n", RULES_THROUGH},
		{"*nat\n-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE\n",
		 RULES_THROUGH},
		{"*nat\n-A POSTROUTING -d 192.0.2.0/24 -j SNAT --to-source "
		 "1.2.3.4\n",
		 RULES_ADDRESS_CHANGED},
		{"*raw\n-A OUTPUT -d 192.0.2.2/32 -j CT --notrack\n*nat\n-A "
		 "POSTROUTING -j MASQUERADE\n",
		 RULES_THROUGH},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct rules_packet packet = {
			.dport = 80, .dst = &dst, .device = "eth0"};
		struct rules *r = rules_parse(cases[i].text);
		struct rules_answer a;

		rules_walk(r, post, 2, &packet, &a);
		rules_free(r);
		assert_int_equal(a.fate, cases[i].fate);
	}
}

static void test_ports(void **state)
{
	uint16_t ports[4];
	struct rules *r = rules_parse(
		FILTER QUEUE QUEUE
		"-A OUTPUT -p tcp -m multiport --sports 81,82 -j NFQUEUE\n"
		"-A OUTPUT -p tcp --sport 83 -j NFQUEUE --queue-num 2\n"
		"-A OUTPUT -p tcp --sport 84 -j mine\n"
		"-A mine -j NFQUEUE\n-A INPUT -j NFQUEUE\n");

	(void)state;
	assert_int_equal(rules_ports(r, 0, ports, 4), 4);
	assert_int_equal(ports[0], 80);
	assert_int_equal(ports[1], 81);
	assert_int_equal(ports[2], 82);
	assert_int_equal(ports[3], 84);
	assert_int_equal(rules_ports(r, 0, ports, 2), 2);
	rules_free(r);
}

static void test_arguments(void **state)
{
	static const struct {
		const char *in[6], *out[6];
		bool json;
	} cases[] = {
		{{"p", "check"}, {"p"}, false},
		{{"p", "check", "--json"}, {"p"}, true},
		{{"p", "check", "--json", "-x", "1"}, {"p", "-x", "1"}, true},
		{{"p", "check", "--json", "-", "-x"}, {"p", "-x"}, true},
		{{"p", "check", "--json=-", "-x"}, {"p", "-x"}, true},
		{{"p", "check", "--json", "f"}, {"p", "--json", "f"}, false},
		{{"p", "check", "--json=f"}, {"p", "--json=f"}, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *argv[7] = {0};
		int argc = 0, left = 0;

		for (; cases[i].in[argc]; argc++)
			argv[argc] = (char *)cases[i].in[argc];
		assert_true(check_asked(argc, argv));
		assert_int_equal(check_arguments(&argc, argv), cases[i].json);
		for (; cases[i].out[left]; left++)
			assert_string_equal(argv[left], cases[i].out[left]);
		assert_int_equal(argc, left);
		assert_null(argv[argc]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fates),
		cmocka_unit_test(test_queues),
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_words_are_kept),
		cmocka_unit_test(test_changed_address),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
