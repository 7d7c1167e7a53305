// SPDX-License-Identifier: BSD-2-Clause
/* Every state of a session times everything that can happen to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../helpers/one_session.h"

#define STATES 11

static const char *const state_names[STATES] = {
	"IDLE", "WAIT", "SYN",	"EST", "CLW",  "FW1",
	"FW2",	"CLO",	"LACK", "TW",  "DONE",
};

/* Brings a session there, the usual way: a turn of 100 bytes was sent, and is
 * not acknowledged up to CLOSE_WAIT, FIN_WAIT_1, CLOSING and LAST_ACK. */
static void reach(struct one_session *o, enum session_state state)
{
	if (state == SESSION_WAITING)
		return;
	one_open(o);
	one_out(o, true);
	if (state == SESSION_SYN_SENT)
		return;
	one_target(o, TCP_SYN, 1, 0);
	if (state == SESSION_IDLE) {
		one_target(o, TCP_RST, 1, 0);
		return;
	}
	one_client(o, 100, 0);
	one_out(o, true);
	if (state == SESSION_CLOSE_WAIT || state == SESSION_LAST_ACK)
		one_target(o, TCP_FIN, 1, 50);
	if (state != SESSION_ESTABLISHED && state != SESSION_CLOSE_WAIT)
		one_client_ends(o, HOLD_FIN, 0);
	one_out(o, true);
	if (state == SESSION_FIN_WAIT_2 || state == SESSION_TIME_WAIT ||
	    state == SESSION_DONE)
		one_target(o, 0, 102, 0);
	if (state == SESSION_CLOSING || state == SESSION_TIME_WAIT ||
	    state == SESSION_DONE)
		one_target(o, TCP_FIN, state == SESSION_CLOSING ? 1 : 102, 0);
	one_out(o, true);
	if (state == SESSION_DONE)
		one_wait(o);
}

static uint32_t una(const struct one_session *o)
{
	return o->s.target.snd_una - o->iss;
}

static uint32_t max(const struct one_session *o)
{
	return o->s.snd_max - o->iss;
}

static void turn(struct one_session *o)
{
	one_client(o, 10, 5);
}

static void more(struct one_session *o)
{
	one_client(o, 10, 0);
}

static void client_fin(struct one_session *o)
{
	one_client_ends(o, HOLD_FIN, 0);
}

static void client_rst(struct one_session *o)
{
	one_client_ends(o, HOLD_RST, 0);
}

static void syn_ack(struct one_session *o)
{
	one_header(o, TCP_SYN | TCP_ACK, o->irs, o->iss + 1, 0);
}

static void syn_ack_of_another(struct one_session *o)
{
	one_header(o, TCP_SYN | TCP_ACK, o->irs, o->iss + 2, 0);
}

static void ack_all(struct one_session *o)
{
	one_target(o, 0, max(o), 0);
}

static void ack_some(struct one_session *o)
{
	one_target(o, 0, una(o) + 40, 0);
}

static void ack_nothing(struct one_session *o)
{
	one_target(o, 0, una(o), 0);
}

static void ack_beyond(struct one_session *o)
{
	one_target(o, 0, max(o) + 1, 0);
}

static void data(struct one_session *o)
{
	one_target(o, 0, una(o), 50);
}

static void data_psh_ack(struct one_session *o)
{
	one_target(o, TCP_PSH, max(o), 50);
}

static void fin(struct one_session *o)
{
	one_target(o, TCP_FIN, una(o), 0);
}

static void fin_ack_all(struct one_session *o)
{
	one_target(o, TCP_FIN, max(o), 0);
}

static void data_fin_ack_all(struct one_session *o)
{
	one_target(o, TCP_FIN, max(o), 50);
}

static void rst(struct one_session *o)
{
	one_target(o, TCP_RST, max(o), 0);
}

static void rst_elsewhere(struct one_session *o)
{
	one_header(o, TCP_RST | TCP_ACK, o->sent + (1u << 29),
		   o->iss + max(o) + 5, 0);
}

static void ack_elsewhere(struct one_session *o)
{
	one_header(o, TCP_ACK, o->sent + (1u << 29), o->iss + max(o) + 5, 0);
}

static void rto(struct one_session *o)
{
	one_after(o, o->s.rto_at_us == UINT64_MAX ? 0
						  : o->s.rto_at_us - o->now_us);
}

static void ten_ms(struct one_session *o)
{
	one_after(o, SESSION_DELAYED_US);
}

static void data_ten_ms_ago(struct one_session *o)
{
	data(o);
	assert_null(strstr(one_out(o, false), "PA"));
	ten_ms(o);
}

static void silence(struct one_session *o)
{
	one_after(o, ONE_TIMEOUT);
}

static void links_down_and_up(struct one_session *o)
{
	session_set_paused(&o->s, true, o->now_us);
	assert_string_equal(one_out(o, false), "");
	session_set_paused(&o->s, false, o->now_us);
	one_after(o, 0);
}

static void gap(struct one_session *o)
{
	session_on_gap(&o->s, &o->env, LOSS_CAPTURE_GAP);
}

static void tls(struct one_session *o)
{
	session_bar(&o->s, &o->env, LOSS_TLS, o->now_us);
}

static void route_refused(struct one_session *o)
{
	session_give_up(&o->s, &o->env, LOSS_NO_TUPLE, o->now_us);
}

static void end(struct one_session *o)
{
	session_end(&o->s, &o->env, LOSS_SHUTDOWN, o->now_us);
}

/* Cells: the state after it, and what is sent; NULL: the client has ended, no
 * byte of its can come. Columns are the states in their order. */
struct row {
	const char *event;
	void (*happen)(struct one_session *o);
	const char *cells[STATES];
};

#define ROW(event, ...)                                                        \
	{                                                                      \
#event, event,                                                 \
		{                                                              \
			__VA_ARGS__                                            \
		}                                                              \
	}

/* clang-format off */
static const struct row rows[] = {
	ROW(turn,
	    "WAIT", "WAIT", "SYN", "EST", "WAIT: RA RA",
	    NULL, NULL, NULL, NULL, NULL, NULL),
	ROW(more,
	    "WAIT", "WAIT", "SYN", "EST: PA", "CLW: PA",
	    NULL, NULL, NULL, NULL, NULL, NULL),
	ROW(client_fin,
	    "DONE", "WAIT", "SYN", "FW1: FA", "LACK: FA",
	    "FW1", "FW2", "CLO", "LACK", "TW", "DONE"),
	ROW(client_rst,
	    "DONE", "WAIT", "SYN", "EST", "CLW",
	    "FW1", "FW2", "CLO", "LACK", "TW", "DONE"),
	ROW(syn_ack,
	    "IDLE", "WAIT", "EST: A", "EST: A", "CLW: A",
	    "FW1: A", "FW2: A", "CLO: A", "LACK: A", "TW: A", "DONE"),
	ROW(syn_ack_of_another,
	    "IDLE", "WAIT", "SYN", "EST: A", "CLW: A",
	    "FW1: A", "FW2: A", "CLO: A", "LACK: A", "TW: A", "DONE"),
	ROW(ack_all,
	    "IDLE", "WAIT", "SYN", "EST", "CLW",
	    "FW2", "FW2", "TW", "DONE", "TW", "DONE"),
	ROW(ack_some,
	    "IDLE", "WAIT", "SYN: RA S", "EST", "CLW",
	    "FW1", "FW2", "CLO", "LACK", "TW", "DONE"),
	ROW(ack_nothing,
	    "IDLE", "WAIT", "SYN: RA S", "EST", "CLW",
	    "FW1", "FW2", "CLO", "LACK", "TW", "DONE"),
	ROW(ack_beyond,
	    "IDLE", "WAIT", "SYN: RA S", "EST", "CLW",
	    "FW1", "FW2", "CLO", "LACK", "TW", "DONE"),
	ROW(ack_elsewhere,
	    "IDLE", "WAIT", "SYN: RA S", "EST", "CLW",
	    "FW1", "FW2", "CLO", "LACK", "TW", "DONE"),
	ROW(data,
	    "IDLE", "WAIT", "SYN: RA S", "EST", "CLW: A",
	    "FW1", "FW2", "CLO: A", "LACK: A", "TW: A", "DONE"),
	ROW(data_psh_ack,
	    "IDLE", "WAIT", "SYN", "EST", "CLW: A",
	    "FW2", "FW2", "TW: A", "DONE", "TW: A", "DONE"),
	ROW(fin,
	    "IDLE", "WAIT", "SYN: RA S", "WAIT: RA RA", "CLW: A",
	    "CLO: A", "TW: A", "CLO: A", "LACK: A", "TW: A", "DONE"),
	ROW(fin_ack_all,
	    "IDLE", "WAIT", "SYN", "WAIT: RA", "CLW: A",
	    "TW: A", "TW: A", "TW: A", "DONE", "TW: A", "DONE"),
	ROW(data_fin_ack_all,
	    "IDLE", "WAIT", "SYN", "CLW: A", "CLW: A",
	    "TW: A", "TW: A", "TW: A", "DONE", "TW: A", "DONE"),
	ROW(rst,
	    "IDLE", "WAIT", "WAIT", "WAIT", "IDLE",
	    "WAIT", "DONE", "WAIT", "DONE", "DONE", "DONE"),
	ROW(rst_elsewhere,
	    "IDLE", "WAIT", "SYN", "EST", "CLW",
	    "FW1", "FW2", "CLO", "LACK", "TW", "DONE"),
	ROW(rto,
	    "IDLE", "WAIT", "SYN: S", "EST: PA", "CLW: PA",
	    "FW1: FPA", "FW2", "CLO: FPA", "LACK: FPA", "TW", "DONE"),
	ROW(ten_ms,
	    "IDLE", "WAIT", "SYN", "EST", "CLW",
	    "FW1", "FW2", "CLO", "LACK", "TW", "DONE"),
	ROW(data_ten_ms_ago,
	    "IDLE", "WAIT", "SYN", "EST: A", "CLW",
	    "FW1: A", "FW2: A", "CLO", "LACK", "TW", "DONE"),
	ROW(silence,
	    "IDLE", "IDLE", "IDLE: R", "IDLE: RA RA", "IDLE: RA RA",
	    "DONE: RA RA", "DONE: RA", "DONE: RA RA", "DONE: RA RA", "DONE", "DONE"),
	ROW(links_down_and_up,
	    "IDLE", "WAIT", "SYN: S", "EST: PA", "CLW: PA",
	    "FW1: FPA", "FW2", "CLO: FPA", "LACK: FPA", "TW", "DONE"),
	ROW(gap,
	    "IDLE", "IDLE", "IDLE: R", "IDLE: RA RA", "IDLE: RA RA",
	    "IDLE: RA RA", "IDLE: RA", "IDLE: RA RA", "IDLE: RA RA", "TW", "DONE"),
	ROW(tls,
	    "IDLE", "IDLE", "IDLE: R", "IDLE: RA RA", "IDLE: RA RA",
	    "DONE: RA RA", "DONE: RA", "DONE: RA RA", "DONE: RA RA", "TW", "DONE"),
	ROW(route_refused,
	    "IDLE", "IDLE", "IDLE: R", "IDLE: RA RA", "IDLE: RA RA",
	    "DONE: RA RA", "DONE: RA", "DONE: RA RA", "DONE: RA RA", "TW", "DONE"),
	ROW(end,
	    "DONE", "DONE", "DONE: R", "DONE: RA RA", "DONE: RA RA",
	    "DONE: RA RA", "DONE: RA", "DONE: RA RA", "DONE: RA RA", "DONE", "DONE"),
};
/* clang-format on */

static void check_cell(const struct row *row, int state, uint32_t iss,
		       uint32_t irs)
{
	struct one_session o;
	const char *out;
	char got[64];

	if (!row->cells[state])
		return;
	one_begin(&o, iss, irs);
	reach(&o, (enum session_state)state);
	assert_int_equal(o.s.state, state);
	row->happen(&o);
	one_check_ledger(&o);
	out = one_out(&o, false);
	snprintf(got, sizeof(got), "%s%s%.40s", state_names[o.s.state],
		 *out ? ": " : "", out);
	if (strcmp(got, row->cells[state]))
		print_error("%s in %s: %s\n", row->event, state_names[state],
			    got);
	assert_string_equal(got, row->cells[state]);
	one_end(&o);
}

static void check_table(uint32_t iss, uint32_t irs)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int state = 0; state < STATES; state++)
			check_cell(&rows[i], state, iss, irs);
}

static void test_table(void **state)
{
	(void)state;
	check_table(1000, 5000);
}

/* The same where the numbers wrap within the handshake, turn and FIN. */
static void test_table_with_wraps(void **state)
{
	(void)state;
	for (uint32_t back = 0; back < 104; back++)
		check_table(0u - back, 0u - 20 - back / 4);
	check_table(0x7fffffff, 0x7fffffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_table_with_wraps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
