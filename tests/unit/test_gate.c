// SPDX-License-Identifier: BSD-2-Clause
/* The gate: one row a rule, and its borders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/gate.h"

#define NOW   1000000u
#define NEVER UINT64_MAX
#define HOLD  5000000u
#define QUIET GATE_QUIET_MIN_US

struct row {
	const char *what;
	struct gate_view view;
	enum gate_verdict verdict;
	uint64_t again_us;
};

/* Delivered; 100 bytes needed; nothing heard since `at`; held for at most
 * `hold_us` from there. */
#define SINCE(at, hold_us, ...)                                                \
	{                                                                      \
		.acked = true, .need_bytes = 100, .quiet_since_us = (at),      \
		.hold_until_us =                                               \
			(hold_us) == NEVER ? NEVER : (at) + (hold_us),         \
		__VA_ARGS__                                                    \
	}
#define SHORTER .got_bytes = 99, .pushed = true
#define NOTHING .pushed = true, .had_all = true
#define SILENT	GATE_SILENT_MIN_US

static const struct row rows[] = {
	{"nothing delivered", {.got_bytes = 1}, GATE_SHUT, NEVER},
	{"not delivered, whatever else",
	 {.finished = true, .got_bytes = 9, .need_bytes = 1, .pushed = true},
	 GATE_SHUT,
	 NEVER},
	{"nothing was seen", {.acked = true}, GATE_OPEN, NEVER},
	{"nothing was seen, no link",
	 {.acked = true, .paused = true},
	 GATE_OPEN,
	 NEVER},
	{"all of it came", SINCE(NOW, HOLD, .got_bytes = 100), GATE_OPEN,
	 NEVER},
	{"more came", SINCE(NOW, HOLD, .got_bytes = 101), GATE_OPEN, NEVER},
	{"a byte is missing", SINCE(NOW, HOLD, .got_bytes = 99), GATE_SHUT,
	 NOW + HOLD},
	{"the target has closed", SINCE(NOW, HOLD, .finished = true), GATE_OPEN,
	 NEVER},
	{"no answer yet", SINCE(0, HOLD, .pushed = true), GATE_SHUT, HOLD},
	{"shorter", SINCE(NOW, HOLD, SHORTER), GATE_SHUT, NOW + QUIET},
	{"shorter, almost quiet", SINCE(NOW - QUIET + 1, HOLD, SHORTER),
	 GATE_SHUT, NOW + 1},
	{"shorter, quiet", SINCE(NOW - QUIET, HOLD, SHORTER), GATE_EARLY_QUIET,
	 NEVER},
	{"shorter, quiet, but not pushed",
	 SINCE(NOW - QUIET, HOLD, .got_bytes = 99), GATE_SHUT,
	 NOW - QUIET + HOLD},
	{"a long way: two round trips",
	 SINCE(NOW, HOLD, SHORTER, .srtt_us = 50000), GATE_SHUT, NOW + 100000},
	{"the client had waited longer",
	 SINCE(NOW, HOLD, SHORTER, .srtt_us = 50000, .gap_us = 150000),
	 GATE_SHUT, NOW + 150000},
	{"the client had slept", SINCE(NOW, HOLD, SHORTER, .gap_us = 60000000),
	 GATE_SHUT, NOW + GATE_QUIET_GAP_US},
	{"nothing owed", SINCE(NOW, HOLD, NOTHING), GATE_SHUT, NOW + SILENT},
	{"nothing owed, almost silent", SINCE(NOW - SILENT + 1, HOLD, NOTHING),
	 GATE_SHUT, NOW + 1},
	{"nothing owed, silent", SINCE(NOW - SILENT, HOLD, NOTHING),
	 GATE_EARLY_QUIET, NEVER},
	{"nothing owed, the client had waited",
	 SINCE(NOW, HOLD, NOTHING, .gap_us = 9000), GATE_SHUT, NOW + 90000},
	{"nothing owed, a slow target",
	 SINCE(NOW, HOLD, NOTHING, .gap_us = 9000, .slowest_us = 30000),
	 GATE_SHUT, NOW + 120000},
	{"nothing owed, but not pushed", SINCE(NOW, HOLD, .had_all = true),
	 GATE_SHUT, NOW + HOLD},
	{"nothing owed, no link", SINCE(0, 1, NOTHING, .paused = true),
	 GATE_SHUT, NEVER},
	{"no link: silence says nothing", SINCE(0, 1, SHORTER, .paused = true),
	 GATE_SHUT, NEVER},
	{"no link, but the answer is there",
	 SINCE(0, 1, .got_bytes = 100, .paused = true), GATE_OPEN, NEVER},
	{"held, almost as long as allowed", SINCE(1, NOW, .got_bytes = 0),
	 GATE_SHUT, NOW + 1},
	{"held as long as allowed", SINCE(0, NOW, .got_bytes = 0),
	 GATE_EARLY_HOLD, NEVER},
	{"held for ever", SINCE(NOW, NEVER, .got_bytes = 0), GATE_SHUT, NEVER},
	{"quiet and held: quiet", SINCE(0, 1, SHORTER), GATE_EARLY_QUIET,
	 NEVER},
	{"hold ends before quiet", SINCE(NOW, 7, SHORTER), GATE_SHUT, NOW + 7},
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		uint64_t again_us = 1;
		enum gate_verdict verdict =
			gate_ask(&row->view, NOW, &again_us);

		if (verdict != row->verdict || again_us != row->again_us)
			print_error("%s: %d, again at %llu\n", row->what,
				    (int)verdict, (unsigned long long)again_us);
		assert_int_equal(verdict, row->verdict);
		assert_int_equal(again_us, row->again_us);
	}
}

/* It opens exactly when it said that it would. */
static void test_asking_again_opens(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t at_us = rows[i].again_us, again_us;

		if (at_us == NEVER)
			continue;
		assert_int_equal(gate_ask(&rows[i].view, at_us - 1, &again_us),
				 GATE_SHUT);
		assert_int_equal(again_us, at_us);
		assert_int_not_equal(gate_ask(&rows[i].view, at_us, &again_us),
				     GATE_SHUT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_asking_again_opens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
