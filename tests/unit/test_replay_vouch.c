// SPDX-License-Identifier: BSD-2-Clause
/* tcpcopy sends only while an intercept that has a guard vouches for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../helpers/one_engine.h"

static void say_ports(struct engine *e, unsigned link_id, bool guarded,
		      bool armed, uint16_t port)
{
	struct wire_msg msg = {
		.type = WIRE_STATUS,
		.status = {.queue_bound = true,
			   .guarded = guarded,
			   .armed = armed,
			   .port_count = 2,
			   .ports = {80, port}},
	};

	replay_on_msg(e->r, link_id, &msg, e->now_us);
	engine_pull(e);
}

static void say(struct engine *e, unsigned link_id, bool guarded, bool armed)
{
	say_ports(e, link_id, guarded, armed, e->targets[0].at.port);
}

/* A session that has had its first answer. */
static struct client one_session(struct engine *e)
{
	struct client c = client_at(1, 5000);

	client_syn(e, &c);
	client_send(e, &c, 100, 0);
	engine_wait(e, 20000);
	assert_int_equal(e->conns[0].bytes, 100);
	return c;
}

/* The same, with a guard that intercept has vouched for. */
static struct client one_guarded_session(struct engine *e)
{
	engine_start(e);
	say(e, 0, true, true);
	return one_session(e);
}

static void assert_silent(struct engine *e, struct client *c)
{
	e->packets = 0;
	client_send(e, c, 100, 100);
	engine_wait(e, 5000000);
	assert_int_equal(e->packets, 0);
}

static void test_without_a_guard_no_lease_is_needed(void **state)
{
	struct engine *e = *state;
	struct client c;

	engine_start(e);
	c = one_session(e);
	say(e, 0, false, false);
	engine_wait(e, 5000000);
	client_send(e, &c, 100, 100);
	engine_wait(e, 20000);
	assert_int_equal(e->conns[0].bytes, 200);
	assert_int_equal(ledger(e)->guard_pauses, 0);
}

static void test_the_lease_ends(void **state)
{
	struct engine *e = *state;
	struct client c = one_guarded_session(e), other = client_at(2, 5000);

	for (unsigned i = 0; i < 20; i++) {
		engine_wait(e, 250000);
		say(e, i % 3, true, true);
	}
	client_send(e, &c, 100, 100);
	engine_wait(e, 999000);
	assert_int_equal(e->conns[0].bytes, 200);
	assert_int_equal(e->notices[NOTICE_UNGUARDED], 0);
	engine_wait(e, 1000);
	assert_int_equal(e->notices[NOTICE_UNGUARDED], 1);
	assert_silent(e, &c);
	client_syn(e, &other);
	client_send(e, &other, 100, 0);
	assert_int_equal(e->packets, 0);
	assert_int_equal(e->notices[NOTICE_NO_RESPONSE], 0);
	assert_int_equal(ledger(e)->guard_pauses, 1);
	say(e, 1, true, true);
	engine_wait(e, 20000);
	assert_int_equal(e->notices[NOTICE_GUARDED], 1);
	assert_int_equal(e->conns[0].bytes, 300);
	assert_int_equal(e->conns[1].bytes, 100);
}

/* The engine was kept from its timer, and what was captured meanwhile is
 * there first. */
static void test_no_packet_after_the_lease_before_the_timer(void **state)
{
	struct engine *e = *state;
	struct client c = one_guarded_session(e);

	e->now_us += 2000000;
	e->packets = 0;
	client_send(e, &c, 100, 100);
	assert_int_equal(e->packets, 0);
	say(e, 0, true, true);
	engine_wait(e, 20000);
	assert_int_equal(e->conns[0].bytes, 200);
}

static void test_a_fallen_guard_ends_it_at_once(void **state)
{
	struct engine *e = *state;
	struct client c = one_guarded_session(e);

	say(e, 1, true, false);
	/* older words of another link */
	say(e, 0, true, true);
	say(e, 2, true, true);
	assert_silent(e, &c);
	say(e, 0, true, true);
	assert_silent(e, &c);
	say(e, 1, true, true);
	engine_wait(e, 20000);
	assert_int_equal(e->conns[0].bytes, 300);
	assert_int_equal(ledger(e)->guard_pauses, 1);
}

/* The link that brought the bad news is gone: the others' word counts. */
static void test_the_bearer_is_gone(void **state)
{
	struct engine *e = *state;
	struct client c = one_guarded_session(e);

	say(e, 1, true, false);
	replay_on_link(e->r, 1, false, e->now_us);
	/* what was said before it is void */
	e->packets = 0;
	client_send(e, &c, 100, 100);
	engine_wait(e, 20000);
	assert_int_equal(e->packets, 0);
	say(e, 0, true, true);
	engine_wait(e, 20000);
	assert_int_equal(e->conns[0].bytes, 200);
}

static void test_held_to_it_after_a_reconnection(void **state)
{
	struct engine *e = *state;
	struct client c = one_guarded_session(e);

	engine_links(e, false);
	engine_wait(e, 2000000);
	replay_on_link(e->r, 1, true, e->now_us);
	assert_silent(e, &c);
	/* one without a guard has taken its place */
	say(e, 0, false, false);
	engine_wait(e, 20000);
	assert_int_equal(e->conns[0].bytes, 200);
}

/* Whether this one has a guard is not known yet, on whichever link. */
static void test_nothing_before_the_first_word(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	engine_start(e);
	engine_links(e, false);
	replay_on_link(e->r, 0, true, e->now_us);
	replay_on_link(e->r, 1, true, e->now_us);
	client_syn(e, &c);
	client_send(e, &c, 100, 0);
	engine_wait(e, 5000000);
	assert_int_equal(e->packets, 0);
	/* nor is it known that one has fallen */
	assert_int_equal(e->notices[NOTICE_UNGUARDED], 0);
	assert_int_equal(e->notices[NOTICE_NO_RESPONSE], 0);
	say(e, 1, false, false);
	engine_wait(e, 20000);
	assert_int_equal(e->conns[0].bytes, 100);
	/* a link more of the same one changes nothing */
	replay_on_link(e->r, 2, true, e->now_us);
	client_send(e, &c, 100, 100);
	assert_int_equal(e->conns[0].bytes, 200);
	assert_int_equal(ledger(e)->guard_pauses, 0);
}

/* One that guards nothing has given way to one whose guard has fallen. */
static void test_the_word_of_one_before_is_void(void **state)
{
	struct engine *e = *state;
	struct client c;

	engine_start(e);
	c = one_session(e);
	engine_links(e, false);
	replay_on_link(e->r, 0, true, e->now_us);
	assert_silent(e, &c);
	assert_int_equal(e->notices[NOTICE_UNGUARDED], 0);
	say(e, 0, true, false);
	assert_int_equal(e->notices[NOTICE_UNGUARDED], 1);
	assert_silent(e, &c);
}

/* One of two that is away, and had no guard, keeps nobody waiting. */
static void test_who_is_away_has_no_word_to_say(void **state)
{
	struct engine *e = *state;
	struct client c;

	e->cfg.group_count = 2;
	e->targets[0].groups = 3;
	engine_start(e);
	c = one_session(e);
	for (unsigned i = 3; i < 6; i++)
		replay_on_link(e->r, i, false, e->now_us);
	client_send(e, &c, 100, 100);
	engine_wait(e, 20000);
	assert_int_equal(e->conns[0].bytes, 200);
	replay_on_link(e->r, 3, true, e->now_us);
	assert_silent(e, &c);
	say(e, 3, false, false);
	engine_wait(e, 20000);
	assert_int_equal(e->conns[0].bytes, 300);
}

/* Two intercepts see the answers: each that has a guard must vouch. */
static void test_each_intercept_must_vouch(void **state)
{
	struct engine *e = *state;
	struct client c;

	e->cfg.group_count = 2;
	e->targets[0].groups = 3;
	engine_start(e);
	say(e, 0, true, true);
	say(e, 3, true, true);
	c = one_session(e);
	say(e, 4, true, false);
	say(e, 0, true, true);
	assert_silent(e, &c);
	say(e, 4, true, true);
	say(e, 0, true, true);
	engine_wait(e, 20000);
	assert_int_equal(e->conns[0].bytes, 200);
}

/* Its answers would get out: not one SYN goes there. */
static void test_a_guard_of_another_port(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	engine_start(e);
	for (unsigned i = 0; i < 20; i++) {
		say_ports(e, i % 3, true, true, 8443);
		if (i == 0)
			client_syn(e, &c);
		engine_wait(e, 250000);
	}
	client_send(e, &c, 100, 0);
	engine_wait(e, 5000000);
	assert_int_equal(e->packets, 0);
	assert_int_equal(e->notices[NOTICE_PORT_UNGUARDED], 1);
	assert_int_equal(e->notices[NOTICE_UNGUARDED], 0);
	assert_int_equal(e->notices[NOTICE_NO_RESPONSE], 0);
	assert_int_equal(ledger(e)->guard_pauses, 1);
	/* it has been started again with that port, too */
	say(e, 0, true, true);
	engine_wait(e, 20000);
	assert_int_equal(e->notices[NOTICE_GUARDED], 1);
	assert_int_equal(e->conns[0].bytes, 100);
}

/* And without it, while there are sessions. */
static void test_the_port_is_guarded_no_more(void **state)
{
	struct engine *e = *state;
	struct client c = one_guarded_session(e);

	engine_links(e, false);
	engine_wait(e, 2000000);
	engine_links(e, true);
	say_ports(e, 0, true, true, 8443);
	assert_silent(e, &c);
	assert_int_equal(e->notices[NOTICE_PORT_UNGUARDED], 1);
	assert_int_equal(e->notices[NOTICE_GUARDED], 0);
}

/* Of two intercepts one guards the port, the other one another. */
static void check_two(struct engine *e, uint32_t own_groups, bool sends)
{
	struct client c = client_at(1, 5000);

	e->cfg.group_count = 2;
	e->targets[0].groups = 3;
	e->targets[0].own_groups = own_groups;
	engine_start(e);
	say(e, 0, true, true);
	say_ports(e, 3, true, true, 8443);
	client_syn(e, &c);
	client_send(e, &c, 100, 0);
	engine_wait(e, 20000);
	assert_int_equal(e->packets > 0, sends);
	assert_int_equal(e->notices[NOTICE_PORT_UNGUARDED], !sends);
}

static void test_the_port_of_another_host(void **state)
{
	check_two(*state, 1, true);
}

static void test_another_port_of_its_host(void **state)
{
	check_two(*state, 2, false);
}

static void test_two_intercepts_on_its_host(void **state)
{
	check_two(*state, 3, true);
}

static void test_its_host_is_not_known(void **state)
{
	check_two(*state, 0, false);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, engine_setup, engine_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_without_a_guard_no_lease_is_needed),
		TEST(test_the_lease_ends),
		TEST(test_no_packet_after_the_lease_before_the_timer),
		TEST(test_a_fallen_guard_ends_it_at_once),
		TEST(test_the_bearer_is_gone),
		TEST(test_nothing_before_the_first_word),
		TEST(test_the_word_of_one_before_is_void),
		TEST(test_who_is_away_has_no_word_to_say),
		TEST(test_held_to_it_after_a_reconnection),
		TEST(test_each_intercept_must_vouch),
		TEST(test_a_guard_of_another_port),
		TEST(test_the_port_is_guarded_no_more),
		TEST(test_the_port_of_another_host),
		TEST(test_another_port_of_its_host),
		TEST(test_two_intercepts_on_its_host),
		TEST(test_its_host_is_not_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
