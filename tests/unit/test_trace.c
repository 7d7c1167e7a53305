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

/* Every word there is, and each reason. */
static const struct {
	struct trace_event event;
	const char *text;
} words[] = {
	{{.what = TRACE_CAPTURED, .seq = 7, .flags = TCP_SYN},
	 ": captured [S] seq 7 length 0"},
	{{.what = TRACE_NOT_COPIED, .seq = 7, .flags = TCP_RST},
	 ": captured, but left out by -r [R] seq 7 length 0"},
	{{.what = TRACE_LEFT_OUT, .seq = 7, .flags = TCP_SYN},
	 ": captured, but left out: over a limit, or a copy itself [S] seq 7 "
	 "length 0"},
	{{.what = TRACE_NO_MEMORY, .seq = 7, .flags = TCP_SYN},
	 ": captured, but there is no memory to follow it [S] seq 7 length 0"},
	{{.what = TRACE_NEVER_SENT,
	  .why = LOSS_CAPTURE_GAP,
	  .len = 1,
	  .need = 1},
	 ": 1 turn in 1 copy lost: packets missing in the capture"},
	{{.what = TRACE_NEVER_SENT, .why = LOSS_MEMORY, .len = 2, .need = 3},
	 ": 2 turns in 3 copies lost: over the memory limit"},
	{{.what = TRACE_NOT_OPENED, .why = TRACE_HOLD_LINK},
	 " target 1 copy 1: not opened yet: no link to intercept"},
	{{.what = TRACE_NOT_OPENED, .why = TRACE_HOLD_FIRST, .copy = 4},
	 " target 1 copy 5: not opened yet: no answer of the target has come "
	 "back so far"},
	{{.what = TRACE_OPENED, .at = {.addr = {{0}}, .port = 9}},
	 " target 1 copy 1: opened as [::]:9"},
	{{.what = TRACE_REFUSED, .at = {.addr = {{0}}, .port = 9}},
	 " target 1 copy 1: [::]:9 belongs to another tcpcopy"},
	{{.what = TRACE_HELD, .why = TRACE_HOLD_ACK, .seq = 7, .target = 1},
	 " target 2 copy 1: turn at 7 held: what was sent before is not "
	 "acknowledged"},
	{{.what = TRACE_HELD,
	  .why = TRACE_HOLD_ANSWER,
	  .seq = 7,
	  .len = 5,
	  .need = 6},
	 " target 1 copy 1: turn at 7 held: the target has answered 5 of the 6 "
	 "bytes"},
	{{.what = TRACE_HELD, .why = TRACE_HOLD_SPREAD, .seq = 7},
	 " target 1 copy 1: turn at 7 held: copies of a connection follow each "
	 "other"},
	{{.what = TRACE_NOT_SENT, .why = TRACE_HOLD_GUARD},
	 " target 1 copy 1: sends nothing: intercept does not vouch for its "
	 "guard"},
	{{.what = TRACE_NOT_SENT, .why = TRACE_HOLD_PORT},
	 " target 1 copy 1: sends nothing: intercept's guard is not for the "
	 "target's port"},
	{{.what = TRACE_NOT_SENT, .why = TRACE_HOLD_FULL},
	 " target 1 copy 1: sends nothing: the link to intercept is full"},
	{{.what = TRACE_RELEASED, .why = TRACE_RELEASE_ANSWERED, .seq = 7},
	 " target 1 copy 1: turn at 7 released: what the client had seen is "
	 "answered"},
	{{.what = TRACE_RELEASED, .why = TRACE_RELEASE_CLOSED, .seq = 7},
	 " target 1 copy 1: turn at 7 released: the target has closed"},
	{{.what = TRACE_RELEASED, .why = TRACE_RELEASE_QUIET, .seq = 7},
	 " target 1 copy 1: turn at 7 released: early, the target answered "
	 "less and is quiet"},
	{{.what = TRACE_RELEASED, .why = TRACE_RELEASE_HOLD, .seq = 7},
	 " target 1 copy 1: turn at 7 released: early, --max-hold is over"},
	{{.what = TRACE_SENT,
	  .seq = 7,
	  .ack = 8,
	  .len = 9,
	  .flags = TCP_ACK | TCP_PSH | TCP_FIN},
	 " target 1 copy 1: sent [FP.] seq 7 ack 8 length 9"},
	{{.what = TRACE_RESENT, .seq = 7, .len = 9, .flags = TCP_ACK},
	 " target 1 copy 1: sent again [.] seq 7 ack 0 length 9"},
	{{.what = TRACE_RESPONSE, .seq = 7, .len = 9, .need = 6},
	 " target 1 copy 1: response [] seq 7 length 9 window 6"},
	{{.what = TRACE_ANSWERED, .seq = 7},
	 " target 1 copy 1: turn at 7 answered"},
	{{.what = TRACE_UNANSWERED, .seq = 7},
	 " target 1 copy 1: turn at 7 delivered, not answered"},
	{{.what = TRACE_LOST, .why = LOSS_TIMEOUT, .seq = 7},
	 " target 1 copy 1: turn at 7 lost: nothing from the target within the "
	 "timeout"},
	{{.what = TRACE_REOPENED, .seq = 7},
	 " target 1 copy 1: the target has closed: opened again for the turn "
	 "at 7"},
	{{.what = TRACE_ENDED, .why = LOSS_NONE},
	 " target 1 copy 1: ended: nothing is lost"},
	{{.what = TRACE_ENDED, .why = LOSS_REFUSED},
	 " target 1 copy 1: ended: target refused the connection"},
};

static void test_every_word(void **state)
{
	const char client[] = "trace 1.500000 10.0.0.1:5000";
	unsigned events = 0, holds = 0, releases = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct trace_event event = words[i].event;
		char line[TRACE_LINE_MAX];

		event.at_us = 1500000;
		event.client = client_at(1, 5000).at;
		trace_line(&event, line);
		assert_memory_equal(line, client, sizeof(client) - 1);
		assert_string_equal(line + sizeof(client) - 1, words[i].text);
		events |= 1u << event.what;
		if (event.what == TRACE_HELD || event.what == TRACE_NOT_SENT ||
		    event.what == TRACE_NOT_OPENED)
			holds |= 1u << event.why;
		if (event.what == TRACE_RELEASED)
			releases |= 1u << event.why;
	}
	assert_int_equal(events, (2u << TRACE_ENDED) - 1);
	assert_int_equal(holds, (2u << TRACE_HOLD_SPREAD) - 1);
	assert_int_equal(releases, (2u << TRACE_RELEASE_HOLD) - 1);
}

/* ---- when they are said: these lines come, in this order ---- */

static void expect_lines(struct engine *e, const char *const *lines, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *line;

		do {
			line = next_line(e);
			if (!*line)
				fail_msg("no more comes, but for '%s'",
					 lines[i]);
		} while (strcmp(line, lines[i]) != 0);
	}
}

#define EXPECT(e, ...)                                                         \
	expect_lines(e, (const char *const[]){__VA_ARGS__},                    \
		     sizeof((const char *const[]){__VA_ARGS__}) /              \
			     sizeof(char *))

static void expect_never(struct engine *e, const char *part)
{
	const char *line;

	while (*(line = next_line(e)))
		assert_null(strstr(line, part));
}

/* With a first sequence number that is easily read. */
static struct client traced_client(void)
{
	struct client c = client_at(1, 5000);

	c.seq = 1000;
	c.ack = 2000;
	return c;
}

/* One request that is answered. */
static struct client traced_session(struct engine *e)
{
	struct client c = traced_client();

	client_syn(e, &c);
	client_send(e, &c, 100, 0);
	engine_wait(e, 20000);
	while (*next_line(e))
		;
	return c;
}

static void test_before_the_first_answer(void **state)
{
	struct engine *e = *state;
	struct client first = client_at(2, 5000), c = traced_client();

	e->mode = TARGET_SILENT;
	engine_start(e);
	client_syn(e, &first);
	client_syn(e, &c);
	client_send(e, &c, 100, 0);
	CHECK_LINES(e, "captured [S] seq 1000 length 0",
		    "not opened yet: no answer of the target has come back so "
		    "far",
		    "captured [P.] seq 1001 ack 2000 length 100", "");
	engine_wait(e, 1000000);
	CHECK_LINES(e, "opened as 10.0.0.1:5000");
}

static void test_without_a_link(void **state)
{
	struct engine *e = *state;
	struct client c;

	engine_start(e);
	c = traced_session(e);
	engine_links(e, false);
	client_send(e, &c, 100, 100);
	CHECK_LINES(e, "captured [P.] seq 1101 ack 2100 length 100",
		    "turn at 1101 released: what the client had seen is "
		    "answered",
		    "sends nothing: no link to intercept", "");
	client_send(e, &c, 100, 100);
	CHECK_LINES(e, "captured [P.] seq 1201 ack 2200 length 100",
		    "turn at 1201 held: no link to intercept", "");
	engine_links(e, true);
	engine_wait(e, 20000);
	EXPECT(e, "turn at 1201 answered");
	engine_links(e, false);
	client_send(e, &c, 100, 100); /* it is said again */
	EXPECT(e, "sends nothing: no link to intercept");
}

static void test_not_opened_without_a_link(void **state)
{
	struct engine *e = *state;
	struct client c = traced_client();

	engine_start(e);
	engine_links(e, false);
	client_syn(e, &c);
	CHECK_LINES(e, "captured [S] seq 1000 length 0",
		    "not opened yet: no link to intercept", "");
}

static void say_armed(struct engine *e, bool armed, uint16_t port)
{
	const struct wire_msg msg = {
		.type = WIRE_STATUS,
		.status = {.queue_bound = true,
			   .guarded = true,
			   .armed = armed,
			   .port_count = 1,
			   .ports = {port}},
	};

	replay_on_msg(e->r, 0, &msg, e->now_us);
	engine_pull(e);
}

/* A link is up, and its intercept has not told of its guard. */
static void test_before_a_word_of_the_guard(void **state)
{
	struct engine *e = *state;
	struct client c = traced_client();

	engine_start(e);
	engine_links(e, false);
	replay_on_link(e->r, 0, true, e->now_us);
	client_syn(e, &c);
	CHECK_LINES(e, "captured [S] seq 1000 length 0",
		    "not opened yet: intercept does not vouch for its guard",
		    "");
}

static void test_a_fallen_guard(void **state)
{
	struct engine *e = *state;
	struct client c;

	engine_start(e);
	say_armed(e, true, e->targets[0].at.port);
	c = traced_session(e);
	e->mode = TARGET_HOLDS;
	client_send(e, &c, 100, 100);
	client_send(e, &c, 100, 100);
	EXPECT(e, "turn at 1201 held: the target has answered 0 of the 100 "
		  "bytes");
	say_armed(e, false, e->targets[0].at.port);
	EXPECT(e, "sends nothing: intercept does not vouch for its guard");
	engine_wait(e, 300000);
	client_send(e, &c, 100, 0);
	EXPECT(e, "turn at 1201 held: intercept does not vouch for its guard");
	c = client_at(1, 5000);
	client_syn(e, &c);
	EXPECT(e, "not opened yet: intercept does not vouch for its guard");
	say_armed(e, true, 1);
	c.seq += 1000000;
	client_syn(e, &c);
	EXPECT(e, "not opened yet: intercept's guard is not for the target's "
		  "port");
}

static void test_a_full_link(void **state)
{
	struct engine *e = *state;
	struct client c;

	e->cfg.relay = true;
	engine_start(e);
	c = traced_session(e);
	for (unsigned i = 0; i < 3; i++)
		replay_on_link_room(e->r, i, false);
	client_send(e, &c, 100, 100);
	CHECK_LINES(e, "captured [P.] seq 1101 ack 2100 length 100",
		    "turn at 1101 released: what the client had seen is "
		    "answered",
		    "sends nothing: the link to intercept is full", "");
	engine_links(e, false);
	client_send(e, &c, 100, 0);
	EXPECT(e, "sends nothing: no link to intercept");
}

static void test_copies_that_follow_each_other(void **state)
{
	struct engine *e = *state;
	struct client c = traced_client();

	e->cfg.copies = 2;
	engine_start(e);
	client_syn(e, &c);
	EXPECT(e, "not opened yet: copies of a connection follow each other",
	       "opened as 10.0.0.1:5000");
	engine_wait(e, 20000);
	while (*next_line(e))
		;
	client_send(e, &c, 100, 0);
	EXPECT(e, "turn at 1001 held: copies of a connection follow each other",
	       "turn at 1001 answered");
	engine_wait(e, 20000);
	EXPECT(e, "turn at 1001 answered");
}

static void test_sent_again(void **state)
{
	struct engine *e = *state;
	struct client c;

	engine_start(e);
	c = traced_session(e);
	e->mode = TARGET_SILENT;
	client_send(e, &c, 50, 100);
	engine_wait(e, 3000000);
	EXPECT(e, "sent [P.] seq 1101 ack 4294966373 length 50",
	       "sent again [P.] seq 1101 ack 4294966373 length 50");
}

static void test_reopened(void **state)
{
	struct engine *e = *state;
	struct client c;

	engine_start(e);
	c = traced_session(e);
	e->mode = TARGET_RESETS;
	client_send(e, &c, 50, 100);
	e->mode = TARGET_ANSWERS;
	engine_wait(e, 1000000);
	EXPECT(e, "the target has closed: opened again for the turn at 1101",
	       "turn at 1101 answered");
}

/* The end waits as a turn does, and for nothing once the target has closed. */
static void test_released_by_the_targets_end(void **state)
{
	struct engine *e = *state;
	struct client c;

	engine_start(e);
	c = traced_session(e);
	engine_respond(e, &e->conns[0], TCP_ACK | TCP_FIN, 0);
	c.ack += 300;
	client_end(e, &c, TCP_FIN);
	EXPECT(e, "turn at 1101 released: the target has closed");
}

static void test_released_by_quiet(void **state)
{
	struct engine *e = *state;
	struct client c;

	engine_start(e);
	c = traced_session(e);
	client_send(e, &c, 100, 300); /* the target has said 100 */
	engine_wait(e, 1000000);
	EXPECT(e,
	       "turn at 1101 held: the target has answered 100 of the 300 "
	       "bytes",
	       "turn at 1101 released: early, the target answered less and is "
	       "quiet");
}

static void test_a_refused_tuple(void **state)
{
	struct engine *e = *state;
	struct client c = traced_client();
	struct wire_msg msg = {.type = WIRE_ROUTE_REFUSED};

	e->mode = TARGET_SILENT;
	engine_start(e);
	client_syn(e, &c);
	msg.route = e->conns[0].route;
	replay_on_msg(e->r, 0, &msg, e->now_us);
	engine_wait(e, 20000);
	EXPECT(e, "10.0.0.1:5000 belongs to another tcpcopy",
	       "opened as 10.0.0.1:1024");
}

static void test_lost_before_a_boundary(void **state)
{
	struct engine *e = *state;
	struct client c = traced_client();

	e->cfg.copies = 2;
	engine_start(e);
	client_send(e, &c, 100, 0);
	CHECK_LINES(e, "captured [P.] seq 1000 ack 2000 length 100",
		    "1 turn in 2 copies lost: before the first turn boundary "
		    "seen",
		    "");
	client_send(e, &c, 100, 100);
	engine_wait(e, 20000);
	EXPECT(e, "turn at 1100 answered");
}

static void test_lost_in_a_gap(void **state)
{
	struct engine *e = *state;
	struct client c;

	engine_start(e);
	c = traced_session(e);
	c.seq += 55;
	client_send(e, &c, 100, 100);
	engine_wait(e, 4000000);
	EXPECT(e, "1 turn in 1 copy lost: packets missing in the capture");
	client_send(e, &c, 100, 200);
	expect_never(e, " lost: "); /* it begins anew with this one */
}

/* There are flows left, but no copies; and then no flows. */
static void test_lost_for_memory(void **state)
{
	struct engine *e = *state;
	struct trace_event event;
	unsigned copies = 0, flows = 0;
	uint64_t missed;

	e->cfg.memory_bytes = 400000;
	e->cfg.copies = 20;
	e->cfg.trace.port = 0;
	engine_start(e);
	for (uint16_t port = 5000; port < 7000; port++) {
		struct client c = client_at(1, port);

		client_syn(e, &c);
		client_send(e, &c, 10, 0);
		while (replay_next_trace(e->r, &event, &missed)) {
			copies += event.what == TRACE_NEVER_SENT &&
				  event.why == LOSS_MEMORY && event.len == 1;
			flows += event.what == TRACE_NO_MEMORY;
		}
	}
	assert_true(copies > 0);
	assert_true(flows > 0);
}

static void test_left_out_by_a_limit(void **state)
{
	struct engine *e = *state;
	struct client other = client_at(2, 5000), c = traced_client();

	e->cfg.max_sessions = 1;
	engine_start(e);
	client_syn(e, &other);
	client_syn(e, &c);
	client_send(e, &c, 100, 0);
	CHECK_LINES(e,
		    "captured, but left out: over a limit, or a copy itself "
		    "[S] seq 1000 length 0",
		    "captured, but left out: over a limit, or a copy itself "
		    "[P.] seq 1001 ack 2000 length 100",
		    "1 turn in 1 copy lost: over --max-sessions, --max-rate or "
		    "--max-cpu",
		    "");
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
		cmocka_unit_test(test_every_word),
		TEST(test_before_the_first_answer),
		TEST(test_without_a_link),
		TEST(test_not_opened_without_a_link),
		TEST(test_before_a_word_of_the_guard),
		TEST(test_a_fallen_guard),
		TEST(test_a_full_link),
		TEST(test_copies_that_follow_each_other),
		TEST(test_sent_again),
		TEST(test_reopened),
		TEST(test_released_by_the_targets_end),
		TEST(test_released_by_quiet),
		TEST(test_a_refused_tuple),
		TEST(test_lost_before_a_boundary),
		TEST(test_lost_in_a_gap),
		TEST(test_lost_for_memory),
		TEST(test_left_out_by_a_limit),
		TEST(test_others_are_not_traced),
		TEST(test_every_port_of_a_client),
		TEST(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
