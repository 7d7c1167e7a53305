// SPDX-License-Identifier: BSD-2-Clause
/* How a session sends: sizes, windows, retransmission, acknowledgements. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../helpers/one_session.h"

#define ISS 0xfffffe00u /* the numbers wrap within the first segment */
#define IRS 0xfffff000u

static int setup(void **state)
{
	return one_setup(state, ISS, IRS);
}

/* The handshake, with a window scale of the target's choice. */
static void establish(struct one_session *o, uint16_t mss_bytes,
		      bool has_wscale, uint8_t wscale)
{
	struct wire_response resp = {
		.seq = o->irs,
		.ack = o->iss + 1,
		.wnd = o->wnd,
		.flags = TCP_SYN | TCP_ACK,
		.opts = {.mss_bytes = mss_bytes,
			 .has_wscale = has_wscale,
			 .wscale = wscale},
	};

	one_open(o);
	one_sends(o, "S 0");
	session_on_response(&o->s, &o->env, &resp, o->now_us);
	o->sent++;
	one_sends(o, "A 1 a1");
}

static void target_window(struct one_session *o, uint16_t wnd, uint32_t n)
{
	o->wnd = wnd;
	one_target(o, 0, n, 0);
}

static void test_syn(void **state)
{
	struct one_session *o = *state;
	struct session_segment seg;

	one_open(o);
	assert_true(session_next_segment(&o->s, &o->env, &seg, o->now_us));
	assert_int_equal(seg.seg.seq, ISS);
	assert_int_equal(seg.seg.flags, TCP_SYN);
	assert_int_equal(seg.seg.opts.mss_bytes, ONE_MSS);
	assert_true(seg.seg.opts.has_wscale);
	assert_int_equal(seg.seg.opts.wscale, SESSION_RCV_WSCALE);
	assert_int_equal(seg.seg.wnd, SESSION_RCV_WND);
	assert_false(seg.again);
}

static void test_syn_is_repeated_with_backoff(void **state)
{
	struct one_session *o = *state;

	one_open(o);
	one_sends(o, "S 0");
	for (unsigned i = 0; i < 4; i++) {
		uint64_t before_us = o->now_us;

		one_wait(o);
		assert_int_equal(o->now_us - before_us, 1000000u << i);
		one_sends(o, "S 0");
	}
}

/* Another iss than the client's moves all that is sent, and nothing else. */
static void test_delta(void **state)
{
	struct one_session *o = *state;
	struct session_segment seg;

	session_open(&o->s, 77, o->now_us);
	assert_true(session_next_segment(&o->s, &o->env, &seg, o->now_us));
	assert_int_equal(seg.seg.seq, 77);
	one_target(o, TCP_SYN, 1, 0);
	assert_true(session_next_segment(&o->s, &o->env, &seg, o->now_us));
	assert_int_equal(seg.seg.seq, 78);
	assert_int_equal(seg.seg.ack, IRS + 1);
	one_client(o, 100, 0);
	one_sends(o, "PA 1+100 a1");
	one_target(o, 0, 101, 0);
	assert_int_equal(session_wire_snd_nxt(&o->s), 178);
	assert_int_equal(o->s.target.snd_una, ISS + 101);
}

static void test_cut_to_mss_and_pushed_at_the_end(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 2500, 0);
	one_sends(o, "A 1+1000 a1 A 1001+1000 a1 PA 2001+500 a1");
}

static void test_mss_of_the_target(void **state)
{
	struct one_session *o = *state;

	establish(o, 700, false, 0);
	one_client(o, 1000, 0);
	one_sends(o, "A 1+700 a1 PA 701+300 a1");
}

static void test_no_mss_means_536(void **state)
{
	struct one_session *o = *state;

	establish(o, 0, false, 0);
	one_client(o, 600, 0);
	one_sends(o, "A 1+536 a1 PA 537+64 a1");
}

static void test_window_is_scaled(void **state)
{
	struct one_session *o = *state;

	establish(o, ONE_MSS, true, 3);
	target_window(o, 250, 1); /* 2,000 bytes */
	one_client(o, 3000, 0);
	one_sends(o, "A 1+1000 a1 A 1001+1000 a1");
	target_window(o, 125, 2001);
	one_sends(o, "PA 2001+1000 a1");
}

/* The window of a SYN-ACK is never scaled. */
static void test_first_window_is_not_scaled(void **state)
{
	struct one_session *o = *state;

	o->wnd = 1500;
	establish(o, ONE_MSS, true, 7);
	one_client(o, 3000, 0);
	one_sends(o, "A 1+1000 a1");
}

static void test_no_scale_unless_said(void **state)
{
	struct one_session *o = *state;

	o->wnd = 1200;
	establish(o, ONE_MSS, false, 7);
	one_client(o, 3000, 0);
	one_sends(o, "A 1+1000 a1");
}

/* A window smaller than a segment is used only when nothing else is out. */
static void test_silly_window(void **state)
{
	struct one_session *o = *state;

	o->wnd = 400;
	establish(o, ONE_MSS, false, 0);
	one_client(o, 1000, 0);
	one_sends(o, "A 1+400 a1");
	one_target(o, 0, 401, 0);
	one_sends(o, "A 401+400 a1");
	one_target(o, 0, 401, 0);
	one_sends(o, "");
}

static void test_zero_window_is_probed(void **state)
{
	struct one_session *o = *state;
	uint64_t before_us;

	one_establish(o);
	target_window(o, 0, 1);
	one_client(o, 2500, 0);
	one_sends(o, "");
	before_us = o->now_us;
	one_wait(o);
	assert_true(o->now_us > before_us);
	one_sends(o, "A 1+1 a1");
	one_target(o, 0, 1, 0);
	one_sends(o, "");
	one_wait(o);
	one_sends(o, "A 1+1 a1");
	/* it took nothing while the window was shut: from its byte on */
	target_window(o, 60000, 1);
	one_sends(o, "A 1+1000 a1 A 1001+1000 a1 PA 2001+500 a1");
}

/* A target that answers the probes is not silent, however long its window is
 * shut. */
static void test_a_window_shut_for_long(void **state)
{
	struct one_session *o = *state;
	uint64_t until_us;

	one_establish(o);
	target_window(o, 0, 1);
	one_client(o, 2500, 0);
	one_sends(o, "");
	until_us = o->now_us + 100ull * ONE_TIMEOUT;
	while (o->now_us < until_us) {
		assert_int_equal(o->s.state, SESSION_ESTABLISHED);
		one_wait(o);
		if (one_out(o, false)[0])
			one_target(o, 0, 1, 0);
	}
	target_window(o, 60000, 1);
	one_sends(o, "A 1+1000 a1 A 1001+1000 a1 PA 2001+500 a1");
}

/* The window is shut, and what says that it is open again is lost. */
static void test_a_fin_is_repeated_at_a_shut_window(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 500, 0);
	one_out(o, true);
	target_window(o, 0, 501);
	one_client_ends(o, HOLD_FIN, 0);
	one_sends(o, "FA 501 a1");
	for (unsigned i = 0; i < 3; i++) {
		target_window(o, 0, 501);
		one_sends(o, "");
		one_wait(o);
		one_sends(o, "FA 501 a1");
	}
	target_window(o, 60000, 502);
	assert_int_equal(o->s.state, SESSION_FIN_WAIT_2);
}

static void test_probe_that_was_taken(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	target_window(o, 0, 1);
	one_client(o, 500, 0);
	one_sends(o, "");
	one_wait(o);
	one_sends(o, "A 1+1 a1");
	target_window(o, 60000, 2);
	one_sends(o, "PA 2+499 a1");
}

static void test_ten_segments_at_first_and_then_more(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 40000, 0);
	one_out(o, true);
	assert_int_equal(o->s.snd_max, ISS + 10001);
	one_target(o, 0, 2001, 0);
	one_sends(o, "A 10001+1000 a1 A 11001+1000 a1 A 12001+1000 a1 "
		     "A 13001+1000 a1");
}

/* What is lost is what was not acknowledged, not what comes next. */
static void test_timeout_sends_from_snd_una(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 3500, 0);
	one_out(o, true);
	one_target(o, 0, 1001, 0);
	one_sends(o, "");
	one_wait(o);
	one_sends(o, "A 1001+1000 a1");
	one_target(o, 0, 2001, 0);
	one_sends(o, "A 2001+1000 a1 PA 3001+500 a1");
	assert_int_equal(o->s.snd_max, ISS + 3501);
}

static void test_timeouts_back_off_until_an_ack(void **state)
{
	struct one_session *o = *state;
	uint64_t rto_us, before_us;

	one_establish(o);
	one_client(o, 10, 0);
	one_out(o, true);
	rto_us = o->s.rto_at_us - o->now_us;
	for (unsigned i = 0; i < 3; i++) {
		before_us = o->now_us;
		one_wait(o);
		assert_int_equal(o->now_us - before_us, rto_us << i);
		one_sends(o, "PA 1+10 a1");
	}
	one_target(o, 0, 11, 0);
	assert_int_equal(o->s.rtt.backoff, 0);
	assert_int_equal(o->s.rto_at_us, UINT64_MAX);
}

/* Karn: what was sent twice says nothing about the time. */
static void test_only_what_was_sent_once_is_timed(void **state)
{
	struct one_session *o = *state;
	uint32_t srtt_us;

	one_establish(o);
	srtt_us = o->s.rtt.srtt_us;
	one_client(o, 10, 0);
	one_out(o, true);
	one_wait(o);
	one_out(o, true);
	o->now_us += 300000;
	one_target(o, 0, 11, 0);
	assert_int_equal(o->s.rtt.srtt_us, srtt_us);
	one_client(o, 10, 0);
	one_out(o, true);
	o->now_us += 300000;
	one_target(o, 0, 21, 0);
	assert_true(o->s.rtt.srtt_us > srtt_us);
}

static void test_fast_retransmit(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 6000, 0);
	one_out(o, true);
	one_target(o, 0, 1001, 0);
	one_sends(o, "");
	one_target(o, 0, 1001, 0);
	one_target(o, 0, 1001, 0);
	one_sends(o, "");
	one_target(o, 0, 1001, 0);
	one_sends(o, "A 1001+1000 a1");
	one_target(o, 0, 1001, 0);
	one_sends(o, "");
	/* the next hole at once, then done */
	one_target(o, 0, 4001, 0);
	one_sends(o, "A 4001+1000 a1");
	one_target(o, 0, 6001, 0);
	one_sends(o, "");
}

/* Answers and window changes are no duplicates. */
static void test_what_is_no_duplicate_ack(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 6000, 0);
	one_out(o, true);
	for (uint16_t i = 0; i < 5; i++) {
		target_window(o, (uint16_t)(50000 + i), 1);
		one_target(o, 0, 1, 10);
	}
	assert_null(strstr(one_out(o, true), "+"));
}

static void test_duplicates_with_nothing_out(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	for (int i = 0; i < 5; i++)
		one_target(o, 0, 1, 0);
	one_client(o, 10, 0);
	one_sends(o, "PA 1+10 a1");
	one_target(o, 0, 11, 0);
	one_sends(o, "");
}

static void test_fin_rides_with_the_last_bytes(void **state)
{
	struct one_session *o = *state;

	one_open(o);
	one_out(o, true);
	one_client(o, 1500, 0);
	one_client_ends(o, HOLD_FIN, 0);
	one_target(o, TCP_SYN, 1, 0);
	one_sends(o, "A 1+1000 a1 FPA 1001+500 a1");
	one_target(o, 0, 1001, 0);
	one_wait(o);
	one_sends(o, "FPA 1001+500 a1");
}

/* The window lets not all of it go: no FIN yet. */
static void test_no_fin_before_held_bytes(void **state)
{
	struct one_session *o = *state;

	o->wnd = 1000;
	establish(o, ONE_MSS, false, 0);
	one_client(o, 2500, 0);
	one_client_ends(o, HOLD_FIN, 0);
	one_sends(o, "A 1+1000 a1");
	assert_int_equal(o->s.state, SESSION_ESTABLISHED);
	one_target(o, 0, 1001, 0);
	one_sends(o, "A 1001+1000 a1");
	assert_int_equal(o->s.state, SESSION_ESTABLISHED);
	one_target(o, 0, 2001, 0);
	one_sends(o, "FPA 2001+500 a1");
	assert_int_equal(o->s.state, SESSION_FIN_WAIT_1);
}

/* The client had seen an answer before its FIN: so must the target send one. */
static void test_fin_waits_for_the_answer(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_sends(o, "PA 1+100 a1");
	one_client_ends(o, HOLD_FIN, 201); /* 200 bytes and the FIN */
	one_target(o, 0, 101, 199);
	one_sends(o, "");
	one_target(o, 0, 101, 1);
	one_sends(o, "FA 101 a201");
}

static void test_rst_has_the_exact_number(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_client_ends(o, HOLD_RST, 50);
	one_sends(o, "PA 1+100 a1");
	one_target(o, 0, 101, 20);
	one_sends(o, "");
	one_target(o, 0, 101, 29);
	one_sends(o, "RA 101 a50");
	assert_int_equal(o->s.state, SESSION_DONE);
	assert_int_equal(o->ledger.conns.answered, 1);
}

/* Some bytes are on the way: the target expects either of two numbers. */
static void test_rst_with_bytes_under_way(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 1500, 0);
	one_out(o, true);
	one_target(o, 0, 1001, 0);
	session_end(&o->s, &o->env, LOSS_SHUTDOWN, o->now_us);
	one_sends(o, "RA 1001 a1 RA 1501 a1");
}

static void test_rst_to_a_target_that_may_have_our_syn(void **state)
{
	struct one_session *o = *state;

	one_open(o);
	one_out(o, true);
	session_end(&o->s, &o->env, LOSS_SHUTDOWN, o->now_us);
	one_sends(o, "R 1");
}

/* The acknowledgement of an earlier connection is none of this one's. */
static void test_rst_after_a_reopening_has_no_ack(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_out(o, true);
	one_target(o, TCP_FIN, 101, 0);
	one_out(o, true);
	one_open(o);
	assert_string_equal(one_out(o, false), "S");
	session_end(&o->s, &o->env, LOSS_SHUTDOWN, o->now_us);
	assert_string_equal(one_out(o, false), "R");
}

static void test_ack_is_delayed(void **state)
{
	struct one_session *o = *state;
	uint64_t before_us;

	one_establish(o);
	before_us = o->now_us;
	one_target(o, 0, 1, 100);
	one_sends(o, "");
	one_wait(o);
	assert_int_equal(o->now_us - before_us, SESSION_DELAYED_US);
	one_sends(o, "A 1 a101");
	assert_int_equal(session_deadline_us(&o->s, &o->params), UINT64_MAX);
}

static void test_ack_at_once_for_two_segments(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_target(o, 0, 1, ONE_MSS);
	one_sends(o, "");
	one_target(o, 0, 1, ONE_MSS);
	one_sends(o, "A 1 a2001");
}

/* Segments one by one until one is acknowledged; how many. */
static unsigned until_ack(struct one_session *o)
{
	for (unsigned n = 1; n <= 300; n++) {
		one_target(o, 0, 1, ONE_MSS);
		if (one_out(o, false)[0])
			return n;
	}
	return 0;
}

/* A sender in slow start may send twice what was acknowledged last. */
static void test_acks_of_a_long_answer_get_rarer(void **state)
{
	const unsigned most = SESSION_UNACKED_MAX / ONE_MSS;
	struct one_session *o = *state;

	one_establish(o);
	for (unsigned n = 2; n < most; n *= 2)
		assert_int_equal(until_ack(o), n);
	assert_int_equal(until_ack(o), most);
	assert_int_equal(until_ack(o), most);
}

static void test_a_burst_has_one_ack(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_target(o, 0, 1, 10 * ONE_MSS);
	one_target(o, 0, 1, 5 * ONE_MSS);
	one_sends(o, "A 1 a15001");
	assert_int_equal(until_ack(o), 30);
}

/* It may wait for our ACK: it gets it soon, and from then on in time. */
static void test_a_target_that_pauses_waits_once(void **state)
{
	struct one_session *o = *state;
	uint64_t before_us;

	one_establish(o);
	for (unsigned n = 2; n <= 8; n *= 2)
		assert_int_equal(until_ack(o), n);
	one_target(o, 0, 1, 10 * ONE_MSS);
	one_sends(o, "");
	before_us = o->now_us;
	one_wait(o);
	assert_int_equal(o->now_us - before_us, SESSION_PAUSE_US);
	one_sends(o, "A 1 a24001");
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(until_ack(o), 10);
	/* Now it does send more. */
	one_target(o, 0, 1, 25 * ONE_MSS);
	one_sends(o, "A 1 a79001");
	assert_int_equal(until_ack(o), 25);
}

/* It had answered: that was no want of an ACK. */
static void test_a_pause_between_turns_teaches_nothing(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	for (unsigned n = 2; n <= 8; n *= 2)
		assert_int_equal(until_ack(o), n);
	one_target(o, 0, 1, 3 * ONE_MSS);
	one_wait(o);
	one_sends(o, "A 1 a17001");
	one_client(o, 10, 0);
	one_sends(o, "PA 1+10 a17001");
	for (unsigned n = 1; n < 16; n++) {
		one_target(o, 0, 11, ONE_MSS);
		one_sends(o, "");
	}
	one_target(o, 0, 11, ONE_MSS);
	one_sends(o, "A 11 a33001");
}

/* What comes before the ACK has left did not wait for it. */
static void test_bytes_that_cross_our_ack_teach_nothing(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	for (unsigned n = 2; n <= 8; n *= 2)
		assert_int_equal(until_ack(o), n);
	one_target(o, 0, 1, 3 * ONE_MSS);
	one_wait(o);
	one_target(o, 0, 1, ONE_MSS);
	one_sends(o, "A 1 a18001");
	assert_int_equal(until_ack(o), 16);
}

static void test_a_trickle_is_acknowledged_in_time(void **state)
{
	struct one_session *o = *state;
	uint64_t since_us;

	one_establish(o);
	for (unsigned n = 2; n <= 8; n *= 2)
		assert_int_equal(until_ack(o), n);
	since_us = o->now_us;
	do {
		one_target(o, 0, 1, ONE_MSS);
		one_after(o, SESSION_PAUSE_US / 2);
		assert_true(o->now_us <= since_us + SESSION_DELAYED_US);
	} while (!one_out(o, false)[0]);
	assert_int_equal(o->now_us, since_us + SESSION_DELAYED_US);
	/* It was no pause. */
	assert_int_equal(until_ack(o), 16);
}

/* intercept acknowledges all but the last segment. */
static void test_last_segment_waits(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	for (unsigned i = 0; i < 8; i++) {
		one_target(o, WIRE_LOCAL, 1, 10 * ONE_MSS);
		one_after(o, SESSION_DELAYED_US - 1);
		assert_string_equal(one_out(o, false), "");
	}
	one_after(o, 1);
	one_sends(o, "A 1 a80001");
	assert_int_equal(session_deadline_us(&o->s, &o->params), UINT64_MAX);
	/* And what it does not acknowledge is not counted with that. */
	one_target(o, 0, 1, 2 * ONE_MSS);
	one_sends(o, "A 1 a82001");
}

static void test_who_repeats_bytes_has_a_small_window(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	for (unsigned n = 2; n <= 8; n *= 2)
		assert_int_equal(until_ack(o), n);
	one_header(o, TCP_ACK, o->irs + 1001, o->iss + 1, ONE_MSS);
	one_sends(o, "A 1 a14001");
	assert_int_equal(until_ack(o), 2);
	assert_int_equal(until_ack(o), 2);
}

static void test_who_was_silent_has_a_small_window(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	for (unsigned n = 2; n <= 8; n *= 2)
		assert_int_equal(until_ack(o), n);
	one_after(o, SESSION_RESTART_US - 1);
	assert_int_equal(until_ack(o), 16);
	one_after(o, SESSION_RESTART_US);
	assert_int_equal(until_ack(o), 2);
	/* That is why it paused. */
	one_target(o, 0, 1, 2 * ONE_MSS);
	one_wait(o);
	one_sends(o, "A 1 a34001");
	one_after(o, SESSION_RESTART_US);
	assert_int_equal(until_ack(o), 2);
	assert_int_equal(until_ack(o), 4);
}

static void test_ack_goes_with_the_next_turn(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 10, 0);
	one_out(o, true);
	one_target(o, 0, 11, 100);
	one_client(o, 10, 100);
	one_sends(o, "PA 11+10 a101");
	one_target(o, 0, 21, 0);
	assert_int_equal(o->s.ack_at_us, UINT64_MAX);
}

static void test_repeated_data_is_acknowledged_at_once(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_target(o, 0, 1, 100);
	one_wait(o);
	one_out(o, true);
	one_header(o, TCP_ACK, IRS + 1, ISS + 1, 100);
	one_sends(o, "A 1 a101");
	assert_int_equal(o->ledger.response_bytes, 200);
}

/* Headers may be lost on the link: later ones say as much. */
static void test_a_hole_in_the_headers_is_no_hole(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_header(o, TCP_ACK, IRS + 5001, ISS + 1, 100);
	one_sends(o, "A 1 a5101");
}

/* The number before the next one, and nothing else. */
static void test_keep_alive_is_answered(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 100, 0);
	one_out(o, true);
	one_target(o, TCP_PSH, 101, 50);
	one_after(o, SESSION_DELAYED_US);
	one_sends(o, "A 101 a51");
	one_header(o, TCP_ACK, o->sent - 1, ISS + 101, 0);
	one_sends(o, "A 101 a51");
	one_header(o, TCP_ACK, o->sent, ISS + 101, 0);
	one_sends(o, "");
}

static void test_old_acks_change_nothing(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 2000, 0);
	one_out(o, true);
	one_target(o, 0, 1001, 0);
	target_window(o, 0, 501);
	assert_int_equal(o->s.target.snd_una, ISS + 1001);
	assert_int_equal(o->s.target.snd_wnd, 60000);
}

/* A challenge comes from a connection that somebody remembers. */
static void test_challenged_syn(void **state)
{
	struct one_session *o = *state;

	one_open(o);
	one_sends(o, "S 0");
	one_header(o, TCP_ACK, 5, ISS + 9000, 0);
	one_out(o, true);
	assert_string_equal(o->text + strlen(o->text) - 3, "S 0");
	assert_memory_equal(o->text, "RA 9000 a", 9);
	one_header(o, TCP_ACK, 5, ISS + 9000, 0);
	one_out(o, true); /* the RST again, it may be lost; the SYN once */
	assert_memory_equal(o->text, "RA 9000 a", 9);
	assert_null(strstr(o->text, "S 0"));
	one_target(o, TCP_SYN, 1, 0);
	one_sends(o, "A 1 a1");
}

/* What an earlier connection has left behind looks like a challenge, too. */
static void test_established_before_the_challenge_is_answered(void **state)
{
	struct one_session *o = *state;

	one_open(o);
	one_sends(o, "S 0");
	one_header(o, TCP_ACK, 5, ISS - 1, 0);
	one_target(o, TCP_SYN, 1, 0);
	one_sends(o, "A 1 a1");
}

static void test_nothing_goes_while_paused(void **state)
{
	struct one_session *o = *state;

	one_establish(o);
	one_client(o, 10, 0);
	session_set_paused(&o->s, true, o->now_us);
	one_sends(o, "");
	session_set_paused(&o->s, false, o->now_us);
	one_sends(o, "PA 1+10 a1");
	session_set_paused(&o->s, true, o->now_us);
	one_after(o, 5000000);
	one_sends(o, "");
	assert_int_equal(o->s.rtt.backoff, 0);
	session_set_paused(&o->s, false, o->now_us);
	one_wait(o);
	one_sends(o, "PA 1+10 a1");
}

/* ---- several segments in a packet ---- */

static void test_whole_segments_in_a_packet(void **state)
{
	struct one_session *o = *state;

	o->params.most_bytes = 3500;
	one_establish(o);
	one_client(o, 5400, 0);
	one_sends(o, "A 1+3000 a1 PA 3001+2400 a1");
	one_target(o, TCP_PSH, 5401, 100);
	one_client(o, 3500, 100);
	one_sends(o, "PA 5401+3500 a101");
}

/* The next turn waits for its answer, however much room there is. */
static void test_a_packet_is_of_one_turn(void **state)
{
	struct one_session *o = *state;

	o->params.most_bytes = 30000;
	one_establish(o);
	one_client(o, 2500, 0);
	one_client(o, 2500, 100);
	one_sends(o, "PA 1+2500 a1");
	one_target(o, TCP_PSH, 2501, 100);
	one_sends(o, "PA 2501+2500 a101");
}

static void test_segments_of_the_target_in_a_packet(void **state)
{
	struct one_session *o = *state;

	o->params.most_bytes = 3000;
	establish(o, 700, false, 0);
	one_client(o, 5000, 0);
	one_sends(o, "A 1+2800 a1 PA 2801+2200 a1");
}

/* As many as would go one by one. */
static void test_a_packet_fits_the_windows(void **state)
{
	struct one_session *o = *state;

	o->params.most_bytes = 30000;
	one_establish(o);
	target_window(o, 2900, 1);
	one_client(o, 20000, 0);
	one_sends(o, "A 1+2000 a1");
	target_window(o, 900, 2001);
	one_sends(o, "A 2001+900 a1");
	target_window(o, 60000, 2901);
	/* ten segments, and what has been acknowledged */
	one_sends(o, "A 2901+12000 a1");
}

/* The rest of a turn is less than a segment: with the others or not at all. */
static void test_the_rest_of_a_turn_in_a_packet(void **state)
{
	struct one_session *o = *state;

	o->params.most_bytes = 30000;
	one_establish(o);
	target_window(o, 2500, 1);
	one_client(o, 2500, 0);
	one_sends(o, "PA 1+2500 a1");
	one_target(o, TCP_PSH, 2501, 100);
	target_window(o, 2400, 2501);
	one_client(o, 2500, 100);
	one_sends(o, "A 2501+2000 a101");
}

/* What refuses large packets may take small ones. */
static void test_what_goes_again_is_cut(void **state)
{
	struct one_session *o = *state;

	o->params.most_bytes = 30000;
	one_establish(o);
	one_client(o, 3500, 0);
	one_sends(o, "PA 1+3500 a1");
	one_wait(o);
	one_sends(o, "A 1+1000 a1");
	one_target(o, 0, 1001, 0);
	one_sends(o, "A 1001+1000 a1 A 2001+1000 a1");
	one_target(o, 0, 3001, 0);
	one_sends(o, "PA 3001+500 a1");
}

static void test_large_packets_open_the_window(void **state)
{
	struct one_session *o = *state;

	o->params.most_bytes = 8000;
	one_establish(o);
	one_client(o, 60000, 0);
	one_sends(o, "A 1+8000 a1 A 8001+2000 a1");
	one_target(o, 0, 8001, 0); /* 18 segments: 2 are out */
	one_sends(o, "A 10001+8000 a1 A 18001+8000 a1");
	one_target(o, 0, 26001, 0); /* no more than for one packet: 26 */
	one_sends(o, "A 26001+8000 a1 A 34001+8000 a1 A 42001+8000 a1 "
		     "A 50001+2000 a1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, one_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_syn),
		TEST(test_syn_is_repeated_with_backoff),
		TEST(test_delta),
		TEST(test_cut_to_mss_and_pushed_at_the_end),
		TEST(test_mss_of_the_target),
		TEST(test_no_mss_means_536),
		TEST(test_window_is_scaled),
		TEST(test_first_window_is_not_scaled),
		TEST(test_no_scale_unless_said),
		TEST(test_silly_window),
		TEST(test_zero_window_is_probed),
		TEST(test_a_window_shut_for_long),
		TEST(test_a_fin_is_repeated_at_a_shut_window),
		TEST(test_probe_that_was_taken),
		TEST(test_ten_segments_at_first_and_then_more),
		TEST(test_timeout_sends_from_snd_una),
		TEST(test_timeouts_back_off_until_an_ack),
		TEST(test_only_what_was_sent_once_is_timed),
		TEST(test_fast_retransmit),
		TEST(test_what_is_no_duplicate_ack),
		TEST(test_duplicates_with_nothing_out),
		TEST(test_fin_rides_with_the_last_bytes),
		TEST(test_no_fin_before_held_bytes),
		TEST(test_fin_waits_for_the_answer),
		TEST(test_rst_has_the_exact_number),
		TEST(test_rst_with_bytes_under_way),
		TEST(test_rst_to_a_target_that_may_have_our_syn),
		TEST(test_rst_after_a_reopening_has_no_ack),
		TEST(test_ack_is_delayed),
		TEST(test_last_segment_waits),
		TEST(test_ack_at_once_for_two_segments),
		TEST(test_acks_of_a_long_answer_get_rarer),
		TEST(test_a_burst_has_one_ack),
		TEST(test_a_target_that_pauses_waits_once),
		TEST(test_a_pause_between_turns_teaches_nothing),
		TEST(test_bytes_that_cross_our_ack_teach_nothing),
		TEST(test_a_trickle_is_acknowledged_in_time),
		TEST(test_who_repeats_bytes_has_a_small_window),
		TEST(test_who_was_silent_has_a_small_window),
		TEST(test_ack_goes_with_the_next_turn),
		TEST(test_repeated_data_is_acknowledged_at_once),
		TEST(test_a_hole_in_the_headers_is_no_hole),
		TEST(test_keep_alive_is_answered),
		TEST(test_old_acks_change_nothing),
		TEST(test_challenged_syn),
		TEST(test_established_before_the_challenge_is_answered),
		TEST(test_nothing_goes_while_paused),
		TEST(test_whole_segments_in_a_packet),
		TEST(test_a_packet_is_of_one_turn),
		TEST(test_segments_of_the_target_in_a_packet),
		TEST(test_a_packet_fits_the_windows),
		TEST(test_the_rest_of_a_turn_in_a_packet),
		TEST(test_what_goes_again_is_cut),
		TEST(test_large_packets_open_the_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
