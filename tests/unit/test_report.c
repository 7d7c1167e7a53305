// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/report.h"
#include "tcpcopy/account.h"
#include "tcpcopy/ledger.h"
#include "../helpers/temp_file.h"

static void read_path(char *out, size_t cap)
{
	FILE *f = fopen(temp_path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(out, 1, cap - 1, f);
	out[n] = '\0';
	fclose(f);
}

/* ---- JSON ---- */

static void test_json(void **state)
{
	char *text = NULL;
	size_t len;
	struct json j = {.out = open_memstream(&text, &len)};

	(void)state;
	json_object(&j, NULL);
	json_uint(&j, "a", UINT64_MAX);
	json_decimal(&j, "b", 1.25, 3);
	json_decimal(&j, "nan", NAN, 3);
	json_bool(&j, "c", true);
	json_array(&j, "d");
	json_uint(&j, NULL, 1);
	json_object(&j, NULL);
	json_object_end(&j);
	json_string(&j, NULL, "\"\\\n\x7f\xc3z");
	json_array_end(&j);
	json_object(&j, "e");
	json_bool(&j, "f", false);
	json_object_end(&j);
	json_object_end(&j);
	json_line_end(&j);
	json_object(&j, NULL);
	json_object_end(&j);
	json_line_end(&j);
	fclose(j.out);
	assert_string_equal(
		text,
		"{\"a\":18446744073709551615,\"b\":1.250,\"nan\":null,"
		"\"c\":true,\"d\":[1,{},\"\\\"\\\\\\u000a\\u007f\\u00c3z\"],"
		"\"e\":{\"f\":false}}\n{}\n");
	free(text);
}

static void test_report_lines(void **state)
{
	struct report r;
	char text[256];

	(void)state;
	assert_int_equal(truncate(temp_path, 0), 0);
	assert_int_equal(report_open(&r, temp_path, "prog"), 0);
	json_uint(report_begin(&r, "ledger"), "n", 1);
	report_end(&r);
	/* Moved away and opened again: what follows is in a new file. */
	assert_int_equal(unlink(temp_path), 0);
	report_reopen(&r);
	assert_non_null(report_begin(&r, "start"));
	report_end(&r);
	read_path(text, sizeof(text));
	assert_memory_equal(
		text, "{\"type\":\"start\",\"program\":\"prog\",\"time\":1",
		41);
	assert_int_equal(text[strlen(text) - 1], '\n');
	report_close(&r);
}

static void test_no_report(void **state)
{
	struct report r;

	(void)state;
	assert_int_equal(report_open(&r, NULL, "prog"), 0);
	assert_null(report_begin(&r, "ledger"));
	report_reopen(&r);
	report_close(&r);
	assert_int_equal(report_open(&r, "/nonexistent/x", "prog"), -ENOENT);
}

static void test_usage(void **state)
{
	struct report_usage before, after;
	volatile unsigned spin = 0;

	(void)state;
	report_usage(&before);
	assert_true(before.memory_peak_kb > 0);
	do {
		spin++;
		report_usage(&after);
	} while (after.cpu_seconds <= before.cpu_seconds);
}

/* ---- log ---- */

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

static void test_log_levels(void **state)
{
	enum log_level level = LOG_LEVEL_INFO;
	char text[1024];

	(void)state;
	assert_true(log_level_parse("warn", &level));
	assert_int_equal(level, LOG_LEVEL_WARN);
	assert_false(log_level_parse("warning", &level));
	assert_int_equal(truncate(temp_path, 0), 0);
	assert_int_equal(log_open("prog", temp_path, LOG_LEVEL_WARN), 0);
	log_error("first %d", 1);
	log_warn("second");
	log_info("third");
	log_text(LOG_LEVEL_INFO, "fourth\n");
	log_text(LOG_LEVEL_WARN, "fifth\nsixth");
	read_path(text, sizeof(text));
	assert_non_null(strstr(text, " prog error: first 1\n"));
	assert_non_null(strstr(text, " prog warn: second\nfifth\nsixth\n"));
	assert_null(strstr(text, "third"));
	assert_null(strstr(text, "fourth"));
}

static void test_log_repeats(void **state)
{
	char text[4096];

	(void)state;
	assert_int_equal(truncate(temp_path, 0), 0);
	assert_int_equal(log_open("prog", temp_path, LOG_LEVEL_INFO), 0);
	for (int i = 0; i < 50; i++) {
		log_warn("link is lost");
		log_warn("other line %d", i % 2);
	}
	read_path(text, sizeof(text));
	assert_int_equal(count(text, "link is lost"), 1);
	assert_int_equal(count(text, "other line 0"), 1);
	assert_int_equal(count(text, "other line 1"), 1);
	log_flush();
	read_path(text, sizeof(text));
	assert_int_equal(count(text, "link is lost (49 more like this)\n"), 1);
	assert_int_equal(count(text, "other line 1 (24 more like this)\n"), 1);
	/* Told: the next one is new. */
	log_warn("link is lost");
	log_flush();
	read_path(text, sizeof(text));
	assert_int_equal(count(text, "link is lost"), 3);
}

static void test_log_reopen(void **state)
{
	char text[1024];

	(void)state;
	assert_int_equal(log_open("prog", temp_path, LOG_LEVEL_INFO), 0);
	log_info("to the old file");
	assert_int_equal(unlink(temp_path), 0);
	log_reopen();
	log_info("to the new file");
	read_path(text, sizeof(text));
	assert_null(strstr(text, "old"));
	assert_non_null(strstr(text, "to the new file"));
	assert_int_equal(log_open("prog", "/nonexistent/x", LOG_LEVEL_INFO),
			 -ENOENT);
	log_info("still to the file");
	read_path(text, sizeof(text));
	assert_non_null(strstr(text, "still to the file"));
}

/* ---- the ledger ---- */

static const struct ledger example = {
	.conns = {.captured = 3, .expected = 6, .answered = 6},
	.turns = {.captured = 100,
		  .expected = 200,
		  .not_sampled = 20,
		  .answered = 150,
		  .unanswered = 5,
		  .in_flight = 10,
		  .lost = {[LOSS_REFUSED] = 7, [LOSS_TIMEOUT] = 8}},
	.packets_captured = 777,
	.routes_refused = 3,
};

static struct ledger_view example_view(const struct sender_stats *send)
{
	return (struct ledger_view){
		.ledger = &example,
		.kernel = {.received = 800, .dropped_kernel = 9},
		.send = *send,
		.usage = {.cpu_seconds = 1.5, .memory_peak_kb = 2048},
		.final = true,
	};
}

static void test_ratio(void **state)
{
	const struct ledger nothing = {.conns = {.captured = 0}};

	(void)state;
	/* 200 - 20 - 10 were to be copied and are decided; 155 were. */
	assert_true(fabs(ledger_loss_percent(&example) - 100 * 15.0 / 170) <
		    1e-9);
	assert_true(ledger_loss_percent(&nothing) == 0);
	assert_true(fabs(ledger_factor(&example) - 1.55) < 1e-9);
	assert_true(ledger_factor(&nothing) == 0);
}

static void test_ledger_text(void **state)
{
	const struct sender_stats send = {.sent = 55, .refused = 2};
	const struct ledger_view v = example_view(&send);
	char *text = ledger_text(&v);

	(void)state;
	assert_non_null(strstr(text, "ledger at the end:\n"));
	assert_non_null(strstr(text, "777 packets taken from the capture\n"));
	assert_non_null(strstr(text, "3 tuples that intercept refused\n"));
	assert_non_null(strstr(text, "9 dropped for want of buffer"));
	assert_non_null(strstr(text, "55 packets sent, 2 refused\n"));
	assert_non_null(strstr(text, "loss ratio of turns: (170 - 155) / 170 = "
				     "8.8235%\n"));
	assert_non_null(strstr(text, "effective factor: 1.5500 turns delivered "
				     "for each captured\n"));
	assert_non_null(strstr(text, "CPU 1.50 s, peak memory 2.0 MB\n"));
	assert_non_null(strstr(text, "lost: target refused the connection"));
	/* Only what has happened. */
	assert_null(strstr(text, "TLS"));
	assert_null(strstr(text, "not a TCP packet"));
	free(text);
}

static void test_ledger_json(void **state)
{
	const struct sender_stats send = {.sent = 55, .refused = 2};
	const struct ledger_view v = example_view(&send);
	char *text = NULL;
	size_t len;
	struct json j = {.out = open_memstream(&text, &len)};

	(void)state;
	json_object(&j, NULL);
	ledger_json(&j, &v);
	json_object_end(&j);
	json_line_end(&j);
	fclose(j.out);
	assert_ptr_equal(strstr(text, "{\"final\":true,\"connections\":{"),
			 text);
	assert_non_null(strstr(text, "\"turns\":{\"captured\":100,\"expected\":"
				     "200,\"not_sampled\":20,\"answered\":150,"
				     "\"unanswered\":5,\"in_flight\":10,"
				     "\"lost\":{\"capture_gap\":0,"));
	assert_non_null(strstr(text, "\"refused\":7,"));
	assert_non_null(strstr(text, "\"packets_captured\":777,"));
	assert_non_null(strstr(text, "\"kernel\":{\"received\":800,\"dropped\":"
				     "9,\"dropped_device\":0,\"unusual\":0}"));
	assert_non_null(strstr(text, "\"send\":{\"sent\":55,\"refused\":2}"));
	assert_non_null(strstr(text, "\"links\":[]"));
	assert_non_null(strstr(text, "\"loss_percent\":8.8235,"
				     "\"factor\":1.5500,"));
	assert_non_null(strstr(text, "\"memory_peak_kb\":2048}\n"));
	free(text);
}

/* What two workers and their head have to say. */
static void test_accounts_together(void **state)
{
	static struct account one, other;
	const struct account *all[] = {&one, &other};
	const struct report_usage head = {.cpu_seconds = 0.25,
					  .memory_peak_kb = 100};
	char *text = NULL;
	size_t len;
	struct report r = {.program = "tcpcopy",
			   .json = {.out = open_memstream(&text, &len)}};

	(void)state;
	one.ledger = other.ledger = example;
	one.kernel.received = 5;
	other.kernel.received = 6;
	one.send.sent = 1;
	other.send.sent = 2;
	one.usage.cpu_seconds = 1;
	other.usage.memory_peak_kb = 2000;
	one.flows = 1;
	other.sessions = 4;
	one.link_count = other.link_count = 1;
	other.links[0].stats.records_in = 77;
	account_report(&r, all, 2, &head, false);
	fclose(r.json.out);
	assert_non_null(strstr(text, "\"final\":false,"));
	assert_non_null(strstr(text, "\"turns\":{\"captured\":200,"
				     "\"expected\":400,"));
	assert_non_null(strstr(text, "\"packets_captured\":1554,"));
	assert_non_null(strstr(text, "\"kernel\":{\"received\":11,"));
	assert_non_null(strstr(text, "\"send\":{\"sent\":3,"));
	assert_non_null(strstr(text, "\"links\":[{\"worker\":0,"));
	assert_non_null(strstr(text, "{\"worker\":1,"));
	assert_non_null(strstr(text, "\"records_in\":77,"));
	assert_non_null(strstr(text, "\"flows\":1,\"sessions\":4,"));
	assert_non_null(strstr(text, "\"cpu_seconds\":1.250,"
				     "\"memory_peak_kb\":2100}\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_report_lines),
		cmocka_unit_test(test_no_report),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_log_levels),
		cmocka_unit_test(test_log_repeats),
		cmocka_unit_test(test_log_reopen),
		cmocka_unit_test(test_ratio),
		cmocka_unit_test(test_ledger_text),
		cmocka_unit_test(test_ledger_json),
		cmocka_unit_test(test_accounts_together),
	};

	return cmocka_run_group_tests(tests, temp_make, temp_remove);
}
