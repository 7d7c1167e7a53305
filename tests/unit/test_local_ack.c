// SPDX-License-Identifier: BSD-2-Clause
/* What intercept acknowledges by itself, and when it tells of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/local_ack.h"
#include "../helpers/counted_mem.h"

#define T0  1000000u
#define ISS 5000u
#define MSS 1000u
#define RCV 0xfffffe00u /* the first of the target's bytes; it wraps */

struct fixture {
	struct counted_mem mem;
	struct locals l;
	uint32_t id;
	uint64_t now_us, late_us; /* an answer's last pause */
	struct wire_response told;
	struct segment acked;
	struct local_word before; /* of what was not taken */
};

static struct segment segment(uint32_t at, uint32_t len, uint8_t flags,
			      uint32_t acked)
{
	return (struct segment){.seq = RCV + at,
				.ack = ISS + 1 + acked,
				.payload_len = len,
				.wnd = 50,
				.flags = flags | TCP_ACK};
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct segment first = segment(0, 5 * MSS, TCP_PSH, 100);

	counted_mem_init(&f->mem, 0);
	f->now_us = T0;
	*state = f;
	if (!locals_init(&f->l, &f->mem.mem, 2))
		return -1;
	f->id = locals_begin(&f->l, NULL, MSS, &first);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	size_t live_bytes;

	locals_fini(&f->l, &f->mem.mem);
	live_bytes = f->mem.live_bytes;
	free(f);
	return live_bytes == 0 ? 0 : -1;
}

static bool give(struct fixture *f, uint32_t at, uint32_t len, uint8_t flags,
		 uint32_t acked)
{
	struct segment seg = segment(at, len, flags, acked);

	return locals_take(&f->l, f->id, &seg, f->now_us, &f->before);
}

/* What tcpcopy sends. */
static void pass(struct fixture *f, uint32_t at, uint32_t len, uint32_t acked)
{
	struct segment seg = {.seq = ISS + 1 + at,
			      .ack = RCV + acked,
			      .payload_len = len,
			      .wnd = 999,
			      .flags = TCP_ACK};

	locals_pass(&f->l, f->id, &seg, f->now_us);
}

enum { NOTHING = 0, TELLS = 1, ACKS = 2 };

static int note(struct fixture *f, const struct local_word *word)
{
	f->told = word->resp;
	f->acked = word->seg;
	return (word->tell ? TELLS : 0) | (word->ack ? ACKS : 0);
}

static int settle(struct fixture *f)
{
	struct local_word word;

	assert_int_equal(locals_settle(&f->l, true, &word, f->now_us), f->id);
	return note(f, &word);
}

/* Of the next packet, alone in its batch. */
static int take(struct fixture *f, uint32_t at, uint32_t len, uint32_t acked)
{
	assert_true(give(f, at, len, TCP_PSH, acked));
	return settle(f);
}

static int wait_for_pause(struct fixture *f)
{
	struct local_word word;

	f->now_us = locals_deadline_us(&f->l) - 1;
	assert_int_equal(locals_due(&f->l, true, &word, f->now_us), POOL_NONE);
	f->now_us++;
	assert_int_equal(locals_due(&f->l, true, &word, f->now_us), f->id);
	return note(f, &word);
}

static void assert_told(const struct fixture *f, uint32_t at, uint32_t len)
{
	assert_int_equal(f->told.seq, RCV + at);
	assert_int_equal(f->told.payload_len, len);
	assert_int_equal(f->told.wnd, 50);
	assert_true(f->told.flags & WIRE_LOCAL && f->told.flags & TCP_ACK);
}

static void assert_acked(const struct fixture *f, uint32_t bytes)
{
	assert_int_equal(f->acked.ack, RCV + bytes);
	assert_int_equal(f->acked.flags, TCP_ACK);
	assert_int_equal(f->acked.payload_len, 0);
}

static void test_begins_with_a_long_answer(void **state)
{
	struct segment seg = segment(0, MSS + 1, TCP_PSH, 100);

	(void)state;
	assert_true(locals_begins(&seg, MSS));
	assert_false(locals_begins(&seg, 0)); /* its SYN did not pass */
	seg.payload_len--;
	assert_false(locals_begins(&seg, MSS));
	seg.flags = TCP_ACK; /* more is to come */
	assert_true(locals_begins(&seg, MSS));
	seg.flags = TCP_ACK | TCP_FIN;
	assert_false(locals_begins(&seg, MSS));
}

/* Who loses the word of an answer's end gets that end again. */
static void test_last_segment_is_never_acknowledged(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(take(f, 0, 5 * MSS, 100), TELLS | ACKS);
	assert_told(f, 0, 5 * MSS);
	assert_acked(f, 4 * MSS);
	assert_int_equal(f->acked.seq, ISS + 1 + 100);
	assert_int_equal(f->acked.wnd, WIRE_LOCAL_WND);
	assert_int_equal(take(f, 5 * MSS, 8 * MSS + 1, 100), ACKS);
	assert_acked(f, 13 * MSS);
}

/* After n segments the sender may send twice as many. */
static void test_more_each_time(void **state)
{
	struct fixture *f = *state;
	uint32_t at = 5 * MSS;

	assert_int_equal(take(f, 0, at, 100) & ACKS, ACKS); /* 4: 8 at once */
	for (unsigned i = 0; i < 6; i++, at += MSS)
		assert_int_equal(take(f, at, MSS, 100) & ACKS, 0);
	assert_int_equal(take(f, at, MSS, 100) & ACKS, ACKS);
	assert_acked(f, at);
	assert_int_equal(locals_at(&f->l, f->id)->at_once_bytes, 14 * MSS);
}

static void test_bounds_of_what_waits(void **state)
{
	struct fixture *f = *state;

	take(f, 0, 600 * MSS, 100);
	assert_int_equal(locals_at(&f->l, f->id)->at_once_bytes,
			 LOCAL_ACK_MOST_BYTES);
	f->now_us += LOCAL_ACK_RESTART_US;
	assert_int_equal(take(f, 600 * MSS, MSS, 100) & ACKS, ACKS);
	assert_acked(f, 600 * MSS);
}

/* The next turn acknowledges the end of an answer, if there is room. */
static void test_end_with_room_waits(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(take(f, 0, 200 * MSS, 100), TELLS | ACKS);
	pass(f, 100, 50, 200 * MSS);
	assert_int_equal(take(f, 200 * MSS, 400 * MSS, 150), TELLS);
	assert_int_equal(take(f, 600 * MSS, 390 * MSS, 150), TELLS | ACKS);
	pass(f, 150, 50, 990 * MSS);
	assert_int_equal(take(f, 990 * MSS, 395 * MSS, 200), TELLS);
	assert_int_equal(wait_for_pause(f), ACKS);
	assert_acked(f, 1384 * MSS);
}

/* A long answer, and the turn that comes some time after it and acknowledges
 * it. How many ACKs did not wait for that. */
static unsigned answer(struct fixture *f, unsigned number, uint64_t turn_us)
{
	uint32_t at = (number + 4) * 50 * MSS;
	uint64_t turn_at_us = f->now_us + turn_us;
	struct local_word word;
	unsigned acks = 0;

	assert_int_equal(take(f, at, 50 * MSS, 100 + number), TELLS);
	while (locals_deadline_us(&f->l) < turn_at_us) {
		f->now_us = locals_deadline_us(&f->l);
		assert_int_equal(locals_due(&f->l, true, &word, f->now_us),
				 f->id);
		acks += note(f, &word) == ACKS;
		f->late_us = f->now_us - (turn_at_us - turn_us);
	}
	f->now_us = turn_at_us;
	pass(f, 100 + number, 1, at + 50 * MSS);
	return acks;
}

/* The target has learnt that ACKs come late, and sends nothing twice. */
static void test_end_waits_for_the_usual_time(void **state)
{
	struct fixture *f = *state;
	unsigned number = 0;

	assert_int_equal(take(f, 0, 200 * MSS, 100), TELLS | ACKS);
	pass(f, 100, 0, 200 * MSS);
	assert_int_equal(answer(f, number++, 4000), 1);
	assert_int_equal(f->late_us, LOCAL_ACK_PAUSE_US);
	while (number < 40)
		answer(f, number++, 4000);
	assert_int_equal(answer(f, number++, 4000), 0);
	assert_int_equal(answer(f, number++, 150000), 1);
	assert_int_equal(f->late_us, 4 * LOCAL_ACK_PAUSE_US);
	while (number < 80)
		assert_int_equal(answer(f, number++, 150000), 1);
	assert_int_equal(f->late_us, LOCAL_ACK_LEAVE_MOST_US);
	while (number < 120)
		answer(f, number++, 100);
	assert_int_equal(answer(f, number++, 4000), 1);
	assert_int_equal(f->late_us, LOCAL_ACK_PAUSE_US);
}

/* No word of its end comes to tcpcopy that would not be followed by another
 * one; so tcpcopy, who waits for that, never acknowledges. */
static void test_trickle_is_acknowledged_in_time(void **state)
{
	struct fixture *f = *state;
	uint32_t at = 5 * MSS;
	uint64_t acked_us = f->now_us;

	take(f, 0, at, 100);
	for (; f->now_us < T0 + 2000000; at += 20) {
		f->now_us += 5000;
		if (take(f, at, 20, 100) & ACKS) {
			assert_acked(f, at);
			acked_us = f->now_us;
		}
		assert_true(f->now_us - acked_us <= LOCAL_ACK_LATE_US + 5000);
	}
}

/* tcpcopy has sent a probe beyond it, which the target has not taken. */
static void test_closed_window(void **state)
{
	struct fixture *f = *state;
	struct segment seg = segment(5 * MSS, 9 * MSS, TCP_PSH, 100);

	take(f, 0, 5 * MSS, 100);
	pass(f, 100, 1, 0);
	seg.wnd = 0;
	assert_true(locals_take(&f->l, f->id, &seg, f->now_us, &f->before));
	assert_true(settle(f) & ACKS);
	assert_int_equal(f->acked.seq, ISS + 1 + 100);
}

static void test_batch_is_one(void **state)
{
	struct fixture *f = *state;
	struct local_word word;

	for (unsigned i = 0; i < 9; i++)
		assert_true(give(f, i * MSS, MSS, TCP_PSH, 100));
	assert_int_equal(settle(f) & ACKS, ACKS);
	assert_acked(f, 8 * MSS);
	assert_int_equal(locals_settle(&f->l, true, &word, f->now_us),
			 POOL_NONE);
}

/* A packet as large as one behind which others came is no end. */
static void test_full_packets_wait(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(take(f, 0, 5 * MSS, 100), TELLS | ACKS);
	assert_int_equal(take(f, 5 * MSS, 5 * MSS, 100) & TELLS, 0);
	assert_int_equal(take(f, 10 * MSS, 5 * MSS, 100) & TELLS, 0);
	assert_int_equal(take(f, 15 * MSS, 4 * MSS, 100) & TELLS, TELLS);
	assert_told(f, 5 * MSS, 14 * MSS);
	assert_true(f->told.flags & TCP_PSH);
	/* the next one */
	pass(f, 100, 50, 19 * MSS);
	assert_int_equal(take(f, 19 * MSS, 5 * MSS, 150) & TELLS, 0);
	assert_int_equal(take(f, 24 * MSS, 10, 150) & TELLS, TELLS);
	assert_told(f, 19 * MSS, 5 * MSS + 10);
}

static void test_without_psh_waits(void **state)
{
	struct fixture *f = *state;

	assert_true(give(f, 0, 5 * MSS, 0, 100));
	assert_int_equal(settle(f), ACKS);
	f->now_us += LOCAL_ACK_PAUSE_US; /* but not for long */
	assert_true(give(f, 5 * MSS, MSS, 0, 100));
	assert_int_equal(settle(f), TELLS);
	assert_told(f, 0, 6 * MSS);
	assert_false(f->told.flags & TCP_PSH);
}

static void test_waited_in_vain(void **state)
{
	struct fixture *f = *state;

	take(f, 0, 5 * MSS, 100);
	assert_int_equal(take(f, 5 * MSS, 5 * MSS, 100) & TELLS, 0);
	assert_int_equal(wait_for_pause(f), TELLS | ACKS);
	assert_told(f, 5 * MSS, 5 * MSS);
	assert_acked(f, 9 * MSS);
	/* so that was an end; another one as large may be, too */
	assert_int_equal(take(f, 10 * MSS, 5 * MSS, 150) & TELLS, TELLS);
	/* a larger one may have more behind it */
	take(f, 15 * MSS, 6 * MSS, 150);
	take(f, 21 * MSS, MSS, 150);
	assert_int_equal(take(f, 22 * MSS, 6 * MSS, 200) & TELLS, 0);
}

/* It went on when it had our ACK: more than that it does not send at once. */
static void test_stalls_once(void **state)
{
	struct fixture *f = *state;

	take(f, 0, 5 * MSS, 100);
	assert_int_equal(take(f, 5 * MSS, 3 * MSS, 100) & ACKS, 0);
	assert_int_equal(wait_for_pause(f) & ACKS, ACKS);
	assert_acked(f, 7 * MSS);
	assert_int_equal(take(f, 8 * MSS, 3 * MSS, 100) & ACKS, ACKS);
	assert_acked(f, 10 * MSS);
	assert_int_equal(locals_at(&f->l, f->id)->at_once_bytes, 3 * MSS);
}

/* What set it going was not our ACK. */
static void test_goes_on_later(void **state)
{
	struct fixture *f = *state;

	take(f, 0, 5 * MSS, 100);
	take(f, 5 * MSS, 3 * MSS, 100);
	assert_int_equal(wait_for_pause(f) & ACKS, ACKS);
	f->now_us += LOCAL_ACK_GOES_US;
	assert_int_equal(take(f, 8 * MSS, 3 * MSS, 100) & ACKS, 0);
	assert_int_equal(locals_at(&f->l, f->id)->at_once_bytes, 8 * MSS);
}

static void test_ends_without_stall(void **state)
{
	struct fixture *f = *state;

	take(f, 0, 5 * MSS, 100);
	take(f, 5 * MSS, 3 * MSS, 100);
	wait_for_pause(f);
	take(f, 8 * MSS, 3 * MSS, 150);
	assert_int_equal(locals_at(&f->l, f->id)->at_once_bytes, 8 * MSS);
}

/* tcpcopy's own ACK came this way. */
static void test_passing_ack(void **state)
{
	struct fixture *f = *state;

	take(f, 0, 5 * MSS, 100);
	take(f, 5 * MSS, 4 * MSS, 100);
	assert_int_not_equal(locals_deadline_us(&f->l), UINT64_MAX);
	pass(f, 100, 50, 9 * MSS);
	assert_int_equal(locals_deadline_us(&f->l), UINT64_MAX);
	pass(f, 100, 50, 99 * MSS); /* of what never came */
	pass(f, 20, 10, 3 * MSS);   /* old */
	assert_int_equal(take(f, 9 * MSS, 9 * MSS, 100) & ACKS, ACKS);
	assert_acked(f, 17 * MSS);
	assert_int_equal(f->acked.seq, ISS + 1 + 150);
	assert_int_equal(f->acked.wnd, 999);
}

static void test_fin_passes(void **state)
{
	struct fixture *f = *state;
	struct segment fin = {.seq = ISS + 101,
			      .ack = RCV,
			      .wnd = 999,
			      .flags = TCP_FIN | TCP_ACK};

	locals_pass(&f->l, f->id, &fin, f->now_us);
	assert_int_equal(take(f, 0, 5 * MSS, 100) & ACKS, ACKS);
	assert_int_equal(f->acked.seq, ISS + 102);
}

/* Nothing that is unusual is taken, and what is untold comes before it. */
static void test_unusual(void **state)
{
	struct fixture *f = *state;

	take(f, 0, 5 * MSS, 100);
	take(f, 5 * MSS, 5 * MSS, 100);
	assert_false(give(f, 8 * MSS, 2 * MSS, TCP_PSH, 100)); /* again */
	assert_int_equal(note(f, &f->before), TELLS);
	assert_told(f, 5 * MSS, 5 * MSS);
	assert_int_equal(locals_at(&f->l, f->id)->at_once_bytes, 2 * MSS);
	assert_false(give(f, 10 * MSS, 0, 0, 100)); /* no bytes */
	assert_int_equal(note(f, &f->before), NOTHING);
	assert_false(give(f, 10 * MSS, MSS, TCP_PSH, 99)); /* old */
	assert_false(give(f, 11 * MSS, MSS, TCP_FIN, 100));
	assert_false(give(f, 20 * MSS, MSS, TCP_PSH, 100)); /* a gap */
	assert_int_equal(locals_deadline_us(&f->l), UINT64_MAX);
	assert_int_equal(take(f, 21 * MSS, 2 * MSS, 100), TELLS | ACKS);
	assert_told(f, 21 * MSS, 2 * MSS);
	assert_acked(f, 22 * MSS);
}

static void test_no_room_for_an_ack(void **state)
{
	struct fixture *f = *state;
	struct local_word word;

	assert_true(give(f, 0, 5 * MSS, TCP_PSH, 100));
	assert_int_equal(locals_settle(&f->l, false, &word, T0), f->id);
	assert_int_equal(note(f, &word), TELLS);
	f->now_us = locals_deadline_us(&f->l);
	assert_int_equal(locals_due(&f->l, false, &word, f->now_us), f->id);
	assert_int_equal(note(f, &word), NOTHING);
	assert_int_equal(take(f, 5 * MSS, MSS, 100) & ACKS, ACKS);
}

static void test_end_forgets(void **state)
{
	struct fixture *f = *state;
	struct segment first = segment(0, 5 * MSS, 0, 100);
	struct local_word word;

	take(f, 0, 5 * MSS, 100);
	assert_true(give(f, 5 * MSS, 5 * MSS, TCP_PSH, 100));
	assert_int_not_equal(locals_begin(&f->l, NULL, MSS, &first), POOL_NONE);
	assert_int_equal(locals_begin(&f->l, NULL, MSS, &first), POOL_NONE);
	locals_end(&f->l, f->id);
	assert_int_equal(locals_settle(&f->l, true, &word, T0), POOL_NONE);
	assert_int_equal(locals_deadline_us(&f->l), UINT64_MAX);
	assert_int_not_equal(locals_begin(&f->l, NULL, MSS, &first), POOL_NONE);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_begins_with_a_long_answer),
		T(test_last_segment_is_never_acknowledged),
		T(test_more_each_time),
		T(test_bounds_of_what_waits),
		T(test_end_with_room_waits),
		T(test_end_waits_for_the_usual_time),
		T(test_trickle_is_acknowledged_in_time),
		T(test_closed_window),
		T(test_batch_is_one),
		T(test_full_packets_wait),
		T(test_without_psh_waits),
		T(test_waited_in_vain),
		T(test_stalls_once),
		T(test_goes_on_later),
		T(test_ends_without_stall),
		T(test_passing_ack),
		T(test_fin_passes),
		T(test_unusual),
		T(test_no_room_for_an_ack),
		T(test_end_forgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
