// SPDX-License-Identifier: BSD-2-Clause
/* What of the target's headers is believed, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../helpers/one_session.h"

#define ISS 0xffffff00u
#define IRS 0xffffff80u

/* One turn of 100 bytes is under way. */
static int setup(void **state)
{
	struct one_session *o;

	one_setup(state, ISS, IRS);
	o = *state;
	one_establish(o);
	one_client(o, 100, 0);
	one_sends(o, "PA 1+100 a1");
	return 0;
}

/* Nothing has come of it. */
static void check_untouched(struct one_session *o)
{
	assert_int_equal(o->s.state, SESSION_ESTABLISHED);
	assert_int_equal(o->s.target.snd_una, ISS + 1);
	assert_int_equal(o->s.target.rcv_nxt, IRS + 1);
	one_sends(o, "");
}

/* They acknowledge numbers below this connection's. */
static void test_leftovers_of_the_connection_before(void **state)
{
	struct one_session *o = *state;

	one_header(o, TCP_RST | TCP_ACK, IRS + 1, ISS, 0);
	one_header(o, TCP_FIN | TCP_ACK, IRS + 1, ISS - 5000, 0);
	one_header(o, TCP_PSH | TCP_ACK, IRS + 1, ISS - 5000, 700);
	assert_int_equal(o->ledger.responses_stale, 3);
	assert_int_equal(o->ledger.response_bytes, 0);
	check_untouched(o);
}

/* Its numbers are nowhere near. */
static void test_of_another_connection(void **state)
{
	struct one_session *o = *state;

	one_header(o, TCP_RST | TCP_ACK, IRS + 0x40000000u, ISS + 1, 0);
	one_header(o, TCP_RST, IRS - 0x40000000u, 0, 0);
	one_header(o, TCP_RST, IRS, 0, 0);
	assert_int_equal(o->ledger.responses_stale, 3);
	check_untouched(o);
}

/* The target answers a late packet of the connection before by an RST with a
 * number of that one; it may be a little ahead of ours. */
static void test_rst_beyond_the_window(void **state)
{
	struct one_session *o = *state;

	one_header(o, TCP_RST, IRS + 2 + (65535u << 7), 0, 0);
	assert_int_equal(o->ledger.responses_stale, 1);
	check_untouched(o);
	one_header(o, TCP_RST, IRS + 1 + (65535u << 7), 0, 0);
	assert_int_not_equal(o->s.state, SESSION_ESTABLISHED);
}

/* After 3 GB of answers the first number is ahead of the next one. */
static void test_rst_after_gigabytes(void **state)
{
	struct one_session *o = *state;

	o->s.target.rcv_nxt += 3000000000u;
	one_header(o, TCP_RST, IRS + 1 + 3000000000u, 0, 0);
	assert_int_not_equal(o->s.state, SESSION_ESTABLISHED);
}

static void test_ack_of_bytes_never_sent(void **state)
{
	struct one_session *o = *state;

	one_header(o, TCP_ACK, IRS + 1, ISS + 102, 0);
	check_untouched(o);
	one_header(o, TCP_ACK, IRS + 1, ISS + 101, 0);
	assert_int_equal(o->s.target.snd_una, ISS + 101);
}

/* Overtaken by a later one: it says nothing about the window any more. */
static void test_old_ack(void **state)
{
	struct one_session *o = *state;

	one_header(o, TCP_ACK, IRS + 1, ISS + 101, 0);
	o->wnd = 0;
	one_header(o, TCP_ACK, IRS + 1, ISS + 50, 0);
	assert_int_equal(o->s.target.snd_una, ISS + 101);
	assert_int_equal(o->s.target.snd_wnd, 60000);
}

static void test_reset_of_this_connection(void **state)
{
	struct one_session *o = *state;

	one_header(o, TCP_RST | TCP_ACK, IRS + 1, ISS + 1, 0);
	assert_int_equal(o->s.state, SESSION_WAITING); /* to be sent again */
	assert_int_equal(o->ledger.turns_resent, 1);
	one_sends(o, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, one_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_leftovers_of_the_connection_before),
		TEST(test_of_another_connection),
		TEST(test_rst_beyond_the_window),
		TEST(test_rst_after_gigabytes),
		TEST(test_ack_of_bytes_never_sent),
		TEST(test_old_ack),
		TEST(test_reset_of_this_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
