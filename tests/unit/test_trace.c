// SPDX-License-Identifier: BSD-2-Clause
/* What --trace is told of a connection, and in which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../helpers/one_engine.h"
#include "tcpcopy/trace_lines.h"

static int setup(void **state)
{
	struct engine *e;

	engine_setup(state);
	e = *state;
	e->cfg.trace = client_at(1, 5000).at;
	return 0;
}

/* Next line, without time and connection. */
static const char *next_line(struct engine *e)
{
	static char line[TRACE_LINE_MAX];
	struct trace_event event;
	uint64_t missed;

	if (!replay_next_trace(e->r, &event, &missed))
		return "";
	assert_int_equal(missed, 0);
	trace_line(&event, line);
	assert_non_null(strstr(line, " 10.0.0.1:5000"));
	return strstr(strstr(line, "5000"), ": ") + 2;
}

static void check_lines(struct engine *e, const char *const *lines, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_string_equal(next_line(e), lines[i]);
}

#define CHECK_LINES(e, ...)                                                    \
	check_lines(e, (const char *const[]){__VA_ARGS__},                     \
		    sizeof((const char *const[]){__VA_ARGS__}) /               \
			    sizeof(char *))

static void test_a_turn_from_capture_to_answer(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	engine_start(e);
	c.seq = 1000;
	c.ack = 2000;
	client_syn(e, &c);
	CHECK_LINES(e, "captured [S] seq 1000 length 0",
		    "opened as 10.0.0.1:5000", "sent [S] seq 1000 length 0",
		    "response [S.] seq 4294966272 ack 1001 length 0 "
		    "window 60000",
		    "sent [.] seq 1001 ack 4294966273 length 0", "");
	client_send(e, &c, 100, 0);
	CHECK_LINES(e, "captured [P.] seq 1001 ack 2000 length 100",
		    "turn at 1001 released: what the client had seen is "
		    "answered",
		    "sent [P.] seq 1001 ack 4294966273 length 100",
		    "response [P.] seq 4294966273 ack 1101 length 100 "
		    "window 60000",
		    "turn at 1001 answered", "");
}

static void test_held_and_why(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	engine_start(e);
	c.seq = 1000;
	client_syn(e, &c);
	e->mode = TARGET_HOLDS;
	client_send(e, &c, 100, 0);
	while (*next_line(e))
		;
	client_send(e, &c, 100, 300);
	assert_non_null(strstr(next_line(e), "captured"));
	CHECK_LINES(e,
		    "turn at 1101 held: the target has answered 0 of the "
		    "300 bytes",
		    "");
	engine_wait(e, 31000000);
	CHECK_LINES(e, "turn at 1101 released: early, --max-hold is over",
		    "turn at 1001 delivered, not answered");
}

static void test_lost_and_why(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);

	e->mode = TARGET_SILENT;
	engine_start(e);
	c.seq = 1000;
	client_syn(e, &c);
	client_send(e, &c, 100, 0);
	while (*next_line(e))
		;
	replay_shutdown(e->r, e->now_us);
	CHECK_LINES(e, "turn at 1001 lost: tcpcopy ended first",
		    "ended: tcpcopy ended first");
}

static void test_others_are_not_traced(void **state)
{
	struct engine *e = *state;
	struct client host = client_at(2, 5000), port = client_at(1, 5001);

	engine_start(e);
	client_talk(e, &host, 2);
	client_talk(e, &port, 2);
	assert_string_equal(next_line(e), "");
}

static void test_every_port_of_a_client(void **state)
{
	struct engine *e = *state;
	struct trace_event event;
	struct client a = client_at(1, 5000), b = client_at(1, 5001);
	uint64_t missed;
	unsigned ports = 0;

	e->cfg.trace.port = 0;
	engine_start(e);
	client_talk(e, &a, 1);
	client_talk(e, &b, 1);
	while (replay_next_trace(e->r, &event, &missed))
		ports |= 1u << (event.client.port - 5000);
	assert_int_equal(ports, 3);
}

/* Nobody takes them: the ring is full, and how many are missing is said. */
static void test_too_many(void **state)
{
	struct engine *e = *state;
	struct client c = client_at(1, 5000);
	struct trace_event event;
	uint64_t missed;

	engine_start(e);
	client_syn(e, &c);
	for (int i = 0; i < 3000; i++)
		client_send(e, &c, 10, 10);
	assert_true(replay_next_trace(e->r, &event, &missed));
	assert_true(missed > 1000);
	while (replay_next_trace(e->r, &event, &missed))
		assert_int_equal(missed, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, engine_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_turn_from_capture_to_answer),
		TEST(test_held_and_why),
		TEST(test_lost_and_why),
		TEST(test_others_are_not_traced),
		TEST(test_every_port_of_a_client),
		TEST(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
