// SPDX-License-Identifier: BSD-2-Clause
/* The key's file, and the memory for handshakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "../helpers/temp_file.h"
#include "core/bytes.h"
#include "io/link_key.h"
#include "io/link_seen.h"

#define SEEN_MIN 1000u

static char folder[TEMP_ROOM], path[TEMP_ROOM + 16];
static struct opts_fault fault;

static int set_up(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(temp_template(folder, "link-key")));
	snprintf(path, sizeof(path), "%s/key", folder);
	fault.text[0] = '\0';
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static void put(const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static void refused(const char *says)
{
	fault.text[0] = '\0';
	assert_null(link_key_load(path, &fault));
	assert_non_null(strstr(fault.text, says));
}

static void test_made_and_loaded(void **state)
{
	struct link_key *a, *b, *other;
	struct stat st;

	(void)state;
	umask(0);
	assert_true(link_key_make(path, &fault));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	a = link_key_load(path, &fault);
	b = link_key_load(path, &fault);
	assert_memory_equal(a, b, sizeof(*a));
	unlink(path);
	assert_true(link_key_make(path, &fault));
	other = link_key_load(path, &fault);
	assert_memory_not_equal(a, other, sizeof(*a));
	link_key_free(a);
	link_key_free(b);
	link_key_free(other);
	link_key_free(NULL);
}

static void test_not_overwritten(void **state)
{
	struct link_key *a, *b;

	(void)state;
	assert_true(link_key_make(path, &fault));
	a = link_key_load(path, &fault);
	assert_false(link_key_make(path, &fault));
	assert_non_null(strstr(fault.text, "not overwritten"));
	b = link_key_load(path, &fault);
	assert_memory_equal(a, b, sizeof(*a));
	link_key_free(a);
	link_key_free(b);
}

static void test_others_may_not_read_it(void **state)
{
	(void)state;
	assert_true(link_key_make(path, &fault));
	for (unsigned bit = 0; bit < 6; bit++) {
		assert_int_equal(chmod(path, 0600 | 1u << bit), 0);
		refused("chmod 600");
	}
	assert_int_equal(chmod(path, 0400), 0);
	link_key_free(link_key_load(path, &fault));
	assert_int_equal(chmod(path, 0600), 0);
}

#define DIGITS_60 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab"

static void test_other_contents(void **state)
{
	static const char *const texts[] = {
		"",
		"\n",
		"secret\n",
		DIGITS_60 "cd",
		DIGITS_60 "cdef0",
		DIGITS_60 "cdef00",
		DIGITS_60 "cdex\n",
		DIGITS_60 "cdef\n\n",
		" " DIGITS_60 "cdef\n",
	};
	struct link_key *key;

	(void)state;
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		put(texts[i], 0600);
		refused("not a key");
	}
	put(DIGITS_60 "CDEF", 0600);
	key = link_key_load(path, &fault);
	assert_non_null(key);
	assert_int_equal(key->b[1], 0x23);
	assert_int_equal(key->b[31], 0xef);
	link_key_free(key);
}

static void test_no_file(void **state)
{
	(void)state;
	refused("No such file");
	assert_null(link_key_load(folder, &fault));
	snprintf(path, sizeof(path), "%s/no/key", folder);
	assert_false(link_key_make(path, &fault));
	assert_non_null(strstr(fault.text, "No such file"));
}

/* ---- handshakes that have been seen ---- */

static bool add(struct link_seen *seen, uint32_t n)
{
	uint8_t id[LINK_SEEN_ID_BYTES] = {0};

	/* Spread, and with runs of neighbours. */
	store_be32(id, n / 4 * 2654435761u);
	store_be32(id + 4, n + 1);
	return link_seen_add(seen, id);
}

static void test_seen(void **state)
{
	struct link_seen *seen = link_seen_new(SEEN_MIN);

	(void)state;
	for (uint32_t n = 0; n < 5 * SEEN_MIN; n++) {
		assert_true(add(seen, n));
		assert_false(add(seen, n));
		if (n >= SEEN_MIN)
			assert_false(add(seen, n - SEEN_MIN + 1));
	}
	/* Memory has an end. */
	assert_true(add(seen, 0));
	link_seen_free(seen);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_made_and_loaded),
		TEST(test_not_overwritten),
		TEST(test_others_may_not_read_it),
		TEST(test_other_contents),
		TEST(test_no_file),
		cmocka_unit_test(test_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
