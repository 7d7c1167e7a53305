// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "check/nft.h"

#define HOOK(priority)                                                         \
	"\t\ttype filter hook output priority " priority "; policy accept;\n"
#define CHAIN(family, rules)                                                   \
	"table " family " t {\n\tchain out {\n" HOOK("filter") rules "\t}\n}"  \
								     "\n"
#define QUEUE "\t\ttcp sport 80 queue to 0\n"

static struct nft_answer walk_to(const char *text, bool v4,
				 uint16_t more_queues)
{
	static const struct addr_prefix exempt = {
		.addr = {{[10] = 0xff, [11] = 0xff, 10, 0, 0, 0}},
		.len = 96 + 8};
	const struct rules_packet packet = {.sport = 80,
					    .exempt = &exempt,
					    .exempt_count = 1,
					    .more_queues = more_queues};
	struct nft *n = nft_parse(text);
	struct nft_answer a;

	assert_non_null(n);
	nft_walk(n, v4, &packet, &a);
	nft_free(n);
	return a;
}

static struct nft_answer walk(const char *text, bool v4)
{
	return walk_to(text, v4, 0);
}

static const struct {
	const char *text;
	enum nft_fate v4, v6;
} fates[] = {
	{"", NFT_NO_RULE, NFT_NO_RULE},
	{CHAIN("inet", QUEUE), NFT_QUEUED, NFT_QUEUED},
	/* The family. */
	{CHAIN("ip", QUEUE), NFT_QUEUED, NFT_NO_RULE},
	{CHAIN("ip6", QUEUE), NFT_NO_RULE, NFT_QUEUED},
	{CHAIN("netdev", QUEUE), NFT_NO_RULE, NFT_NO_RULE},
	{CHAIN("inet", "\t\tmeta nfproto ipv4 tcp sport 80 queue num 0\n"),
	 NFT_QUEUED, NFT_NO_RULE},
	{CHAIN("inet", "\t\tip protocol tcp tcp sport 80 queue to 0\n"),
	 NFT_QUEUED, NFT_NO_RULE},
	/* The hook. */
	{"table inet t {\n\tchain out {\n\t\ttype filter hook input priority "
	 "0; policy accept;\n" QUEUE "\t}\n}\n",
	 NFT_NO_RULE, NFT_NO_RULE},
	{"table inet t {\n\tchain out {\n" QUEUE "\t}\n}\n", NFT_NO_RULE,
	 NFT_NO_RULE},
	{"table inet t {\n\tflags dormant\n\n\tchain out {\n" HOOK("0") QUEUE
	 "\t}\n}\n",
	 NFT_NO_RULE, NFT_NO_RULE},
	{"table inet t {\n\tchain out {\n\t\ttype nat hook output priority 0; "
	 "policy accept;\n" QUEUE "\t}\n}\n",
	 NFT_SOME_QUEUED, NFT_SOME_QUEUED},
	/* The queue's number, in the words of all versions of nft. */
	{CHAIN("inet", "\t\ttcp sport 80 queue to 1\n"), NFT_OTHER_QUEUE,
	 NFT_OTHER_QUEUE},
	{CHAIN("inet", "\t\ttcp sport 80 counter packets 7 bytes 0 queue num "
		       "1\n"),
	 NFT_OTHER_QUEUE, NFT_OTHER_QUEUE},
	{CHAIN("inet", "\t\ttcp sport 80 queue\n"), NFT_QUEUED, NFT_QUEUED},
	{CHAIN("inet", "\t\ttcp sport 80 queue flags fanout to 0-3\n"),
	 NFT_QUEUED, NFT_QUEUED},
	{CHAIN("inet", "\t\ttcp sport 80 queue num 1-3 bypass,fanout\n"),
	 NFT_OTHER_QUEUE, NFT_OTHER_QUEUE},
	{CHAIN("inet", "\t\ttcp sport 80 queue to symhash mod 2\n"),
	 NFT_UNCLEAR, NFT_UNCLEAR},
	{CHAIN("inet", "\t\ttcp sport 80 queue flags bypass to 0\n"),
	 NFT_BYPASS, NFT_BYPASS},
	{CHAIN("inet", "\t\ttcp sport 80 queue num 0-3 bypass,fanout\n"),
	 NFT_BYPASS, NFT_BYPASS},
	{CHAIN("inet", "\t\ttcp sport 80 queue to 0 comment \"no bypass\"\n"),
	 NFT_QUEUED, NFT_QUEUED},
	/* What stands before it. */
	{CHAIN("inet", "\t\tct state established,related accept\n" QUEUE),
	 NFT_LET_OUT, NFT_LET_OUT},
	{CHAIN("inet", "\t\tip daddr 192.0.2.1 accept\n" QUEUE), NFT_LET_OUT,
	 NFT_QUEUED},
	{CHAIN("inet", "\t\tip daddr 10.0.0.0/8 accept\n" QUEUE), NFT_QUEUED,
	 NFT_QUEUED},
	{CHAIN("inet", "\t\tip daddr { 10.1.0.0/16, 10.0.0.5 } accept\n" QUEUE),
	 NFT_QUEUED, NFT_QUEUED},
	{CHAIN("inet", "\t\tip daddr { 10.1.0.0/16, 11.0.0.5 } accept\n" QUEUE),
	 NFT_LET_OUT, NFT_QUEUED},
	{CHAIN("inet", "\t\toifname \"lo\" accept\n" QUEUE), NFT_QUEUED,
	 NFT_QUEUED},
	{CHAIN("inet", "\t\toifname != \"lo\" accept\n" QUEUE), NFT_NO_RULE,
	 NFT_NO_RULE},
	{CHAIN("inet", "\t\tudp sport 80 accept\n" QUEUE), NFT_QUEUED,
	 NFT_QUEUED},
	{CHAIN("inet", "\t\ttcp sport 90-99 accept\n\t\ttcp dport 22 "
		       "accept\n" QUEUE),
	 NFT_LET_OUT, NFT_LET_OUT},
	{CHAIN("inet", "\t\ttcp sport 90-99 accept\n" QUEUE), NFT_QUEUED,
	 NFT_QUEUED},
	{CHAIN("inet", "\t\ttcp sport != 81 accept\n" QUEUE), NFT_NO_RULE,
	 NFT_NO_RULE},
	{CHAIN("inet", "\t\ttcp sport @s accept\n" QUEUE), NFT_LET_OUT,
	 NFT_LET_OUT},
	{CHAIN("inet", "\t\tlog prefix \"accept \" level info\n" QUEUE),
	 NFT_QUEUED, NFT_QUEUED},
	{CHAIN("inet", "\t\ttcp sport vmap { 80 : accept, 81 : drop }\n" QUEUE),
	 NFT_UNCLEAR, NFT_UNCLEAR},
	{CHAIN("inet", "\t\tct state vmap { established : accept }\n"),
	 NFT_NO_RULE, NFT_NO_RULE},
	{CHAIN("inet", "\t\tmeta l4proto tcp xt target \"NFQUEUE\"\n"),
	 NFT_UNCLEAR, NFT_UNCLEAR},
	{CHAIN("inet", "\t\ttcp sport 80 jump {\n\t\t\taccept\n\t\t}\n" QUEUE),
	 NFT_UNCLEAR, NFT_UNCLEAR},
	{CHAIN("inet", "\t\ttcp sport 80 drop\n" QUEUE), NFT_DROPPED,
	 NFT_DROPPED},
	/* Some of them. */
	{CHAIN("inet", "\t\ttcp sport 80 ct state new queue to 0\n"),
	 NFT_SOME_QUEUED, NFT_SOME_QUEUED},
	{CHAIN("inet", "\t\ttcp sport { 79, 80, 90-99 } queue to 0\n"),
	 NFT_QUEUED, NFT_QUEUED},
	{CHAIN("inet", "\t\ttcp sport 800 queue to 0\n"), NFT_NO_RULE,
	 NFT_NO_RULE},
	/* Chains. */
	{"table inet t {\n\tset s {\n\t\ttype ipv4_addr\n\t\telements = { "
	 "1.1.1.1, 1.1.1.2,\n\t\t\t     1.1.1.3 }\n\t}\n\n\tchain q {\n"
	 "\t\tmeta mark set 0x00000001\n\t\tqueue to 0\n\t}\n\n\tchain out "
	 "{\n" HOOK("-150") "\t\ttcp sport 80 jump q\n\t}\n}\n",
	 NFT_QUEUED, NFT_QUEUED},
	{"table inet t {\n\tchain q {\n\t\treturn\n\t\tqueue to "
	 "0\n\t}\n\tchain "
	 "out {\n" HOOK("0") "\t\tjump q\n" QUEUE "\t}\n}\n",
	 NFT_QUEUED, NFT_QUEUED},
	{"table inet t {\n\tchain q {\n\t\tjump out\n\t}\n\tchain out {\n" HOOK(
		 "0") "\t\tjump q\n" QUEUE "\t}\n}\n",
	 NFT_UNCLEAR, NFT_UNCLEAR},
	{"table inet t {\n\tchain q {\n\t\tudp sport 1 drop\n\t}\n\tchain "
	 "out {\n" HOOK("0") "\t\tgoto q\n" QUEUE "\t}\n}\n",
	 NFT_NO_RULE, NFT_NO_RULE},
	/* An accept ends its own chain, not the next one. */
	{CHAIN("inet", "\t\taccept\n") CHAIN("ip", QUEUE), NFT_QUEUED,
	 NFT_NO_RULE},
	{CHAIN("ip", QUEUE) CHAIN("inet", "\t\ttcp sport 80 drop\n"),
	 NFT_UNCLEAR, NFT_DROPPED},
	{CHAIN("inet", "\t\ttcp sport 80 drop\n") CHAIN("ip", QUEUE),
	 NFT_UNCLEAR, NFT_DROPPED},
	/* iptables-save shows these. */
	{"# Warning\ntable ip filter {\n\tchain OUTPUT {\n" HOOK("filter") QUEUE
	 "\t}\n}\n",
	 NFT_NO_RULE, NFT_NO_RULE},
};

static void fates_come_true(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(fates) / sizeof(fates[0]); i++) {
		struct nft_answer v4 = walk(fates[i].text, true);
		struct nft_answer v6 = walk(fates[i].text, false);

		if (v4.fate != fates[i].v4 || v6.fate != fates[i].v6)
			fail_msg("%s\n%d %d, not %d %d", fates[i].text, v4.fate,
				 v6.fate, fates[i].v4, fates[i].v6);
	}
}

#define PART(queue) "\t\ttcp sport 80 xt match bpf queue to " queue "\n"

/* A guard's rules, by port. */
static void queues_add_up(void **state)
{
	static const char all[] = CHAIN("ip", PART("1") PART("2") QUEUE),
			  most[] = CHAIN("ip", PART("1") PART("2")),
			  early[] = CHAIN("ip",
					  "\t\tct state new accept\n" PART("1")
						  PART("2") QUEUE);
	struct nft_answer a = walk_to(all, true, 2);

	(void)state;
	assert_int_equal(a.fate, NFT_QUEUED);
	assert_int_equal(a.first_queue, 0);
	assert_int_equal(a.last_queue, 2);
	assert_int_equal(walk_to(all, true, 1).fate, NFT_LET_OUT);
	assert_int_equal(walk_to(most, true, 2).fate, NFT_SOME_QUEUED);
	assert_int_equal(walk_to(early, true, 2).fate, NFT_LET_OUT);
}

static void rules_are_quoted(void **state)
{
	struct nft_answer a;

	(void)state;
	a = walk(CHAIN("inet",
		       "\t\tct state { new, established } accept\n" QUEUE),
		 true);
	assert_string_equal(a.rule, "ct state { new, established } accept");
	assert_string_equal(a.table, "inet t");
	a = walk("table ip6 a {\n\tchain b {\n\t\ttype filter hook output "
		 "priority 0; policy drop;\n\t}\n}\n" CHAIN("ip", QUEUE),
		 false);
	assert_int_equal(a.fate, NFT_DROPPED);
	assert_string_equal(a.rule, "policy drop");
	assert_string_equal(a.table, "ip6 a");
	a = walk(CHAIN("inet", "\t\t{ } accept\n" QUEUE), true);
	assert_int_equal(a.fate, NFT_LET_OUT);
	assert_string_equal(a.rule, "accept");
}

static void unfinished_text_does_no_harm(void **state)
{
	static const char text[] =
		CHAIN("inet", "\t\tip daddr { 10.0.0.1, 1 } log prefix \"a\" "
			      "jump q\n" QUEUE) CHAIN("ip", QUEUE);
	char part[sizeof(text)];

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		memcpy(part, text, len);
		part[len] = '\0';
		walk(part, true);
	}
}

static void ports_are_found(void **state)
{
	struct nft *n = nft_parse(
		CHAIN("ip", "\t\ttcp sport { 80, 90-99 } queue to 0\n"
			    "\t\ttcp sport 81 queue to 1\n"
			    "\t\ttcp sport 82 accept\n"
			    "\t\ttcp sport 80 queue to 0\n")
			CHAIN("ip6", "\t\ttcp sport 83 queue to 0\n"));
	uint16_t ports[4];

	(void)state;
	assert_int_equal(nft_ports(n, 0, ports, 4), 3);
	assert_int_equal(ports[0], 80);
	assert_int_equal(ports[1], 90);
	assert_int_equal(ports[2], 83);
	assert_int_equal(nft_ports(n, 0, ports, 2), 2);
	assert_int_equal(nft_ports(n, 1, ports, 4), 1);
	assert_int_equal(ports[0], 81);
	nft_free(n);
	n = nft_parse(CHAIN("inet", "\t\tqueue to 0\n"));
	assert_int_equal(nft_ports(n, 0, ports, 4), 1);
	assert_int_equal(ports[0], 0);
	nft_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fates_come_true),
		cmocka_unit_test(queues_add_up),
		cmocka_unit_test(rules_are_quoted),
		cmocka_unit_test(unfinished_text_does_no_harm),
		cmocka_unit_test(ports_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
