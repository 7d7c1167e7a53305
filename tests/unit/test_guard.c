// SPDX-License-Identifier: BSD-2-Clause
/* What the guard does about lines that fall, with lines that do what they are
 * told to; the kernel's are in the lab. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "intercept/guard.h"

#define LINES 3

struct fake_line {
	struct guard_line base;
	int stands;   /* what a check says */
	int install;  /* what installing says; 0: then it stands */
	bool in_vain; /* installing says yes, and that is all */
	unsigned installs;
};

static struct fake_line fakes[LINES];
static struct guard_line *lines[LINES];
static struct guard guard;
static char story[256]; /* what was told and done, in order */

static void tell(const char *word)
{
	size_t len = strlen(story);

	snprintf(story + len, sizeof(story) - len, "%s ", word);
}

static void assert_story(const char *expected)
{
	assert_string_equal(story, expected);
	story[0] = '\0';
}

static struct fake_line *of(struct guard_line *line)
{
	return (struct fake_line *)line;
}

static int fake_check(struct guard_line *line)
{
	return of(line)->stands;
}

static int fake_install(struct guard_line *line)
{
	struct fake_line *f = of(line);

	f->installs++;
	tell("install");
	if (f->install == 0 && !f->in_vain)
		f->stands = 1;
	return f->install;
}

static const struct guard_line_ops fake_ops = {.check = fake_check,
					       .install = fake_install};

static void on_armed(void *ctx, bool armed)
{
	assert_ptr_equal(ctx, &guard);
	tell(armed ? "armed" : "disarmed");
}

static void on_fallen(void *ctx, const struct guard_line *line, int error)
{
	(void)ctx;
	(void)line;
	tell(error ? "unknown" : "fallen");
}

static void on_restored(void *ctx, const struct guard_line *line, int error)
{
	(void)ctx;
	(void)line;
	tell(error ? "not-restored" : "restored");
}

static int setup(void **state)
{
	const struct guard_events events = {.armed = on_armed,
					    .fallen = on_fallen,
					    .restored = on_restored,
					    .ctx = &guard};

	(void)state;
	for (unsigned i = 0; i < LINES; i++) {
		fakes[i] = (struct fake_line){.base.ops = &fake_ops};
		lines[i] = &fakes[i].base;
	}
	story[0] = '\0';
	return guard_init(&guard, lines, LINES, &events) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	guard_fini(&guard);
	return 0;
}

static void start(void)
{
	const struct guard_line *bad;

	assert_int_equal(guard_start(&guard, &bad, 1000), 0);
	assert_true(guard.armed);
	story[0] = '\0';
}

static void test_starts_with_all_of_them(void **state)
{
	const struct guard_line *bad;

	(void)state;
	fakes[1].stands = 1; /* of an earlier run: made anew all the same */
	assert_false(guard.armed);
	assert_int_equal(guard_start(&guard, &bad, 1000), 0);
	assert_story("install install install armed ");
	assert_int_equal(guard.counters.fallen, 0);
	assert_int_equal(guard_deadline_us(&guard), 1000 + GUARD_PERIOD_US);
}

static void test_start_that_fails(void **state)
{
	const struct guard_line *bad;

	(void)state;
	fakes[1].install = -EPERM;
	assert_int_equal(guard_start(&guard, &bad, 1000), -EPERM);
	assert_ptr_equal(bad, lines[1]);
	assert_false(guard.armed);
	assert_story("install install ");
}

/* Installed, they say, but it is not there. */
static void test_start_without_effect(void **state)
{
	const struct guard_line *bad;

	(void)state;
	fakes[2].in_vain = true;
	assert_int_equal(guard_start(&guard, &bad, 1000), -EAGAIN);
	assert_ptr_equal(bad, lines[2]);
	assert_false(guard.armed);
}

static void test_nothing_to_do(void **state)
{
	(void)state;
	start();
	guard_look(&guard, 2000);
	assert_story("");
	assert_true(guard.armed);
	assert_int_equal(guard_deadline_us(&guard), 2000 + GUARD_PERIOD_US);
}

/* The news that it does not stand is out before it is put back. */
static void test_put_back(void **state)
{
	(void)state;
	start();
	fakes[1].stands = 0;
	guard_look(&guard, 2000);
	assert_story("disarmed fallen install restored armed ");
	assert_int_equal(fakes[1].installs, 2);
	assert_int_equal(fakes[0].installs, 1);
	assert_int_equal(guard.counters.fallen, 1);
	assert_int_equal(guard.counters.restored, 1);
}

static void test_several_at_once(void **state)
{
	(void)state;
	start();
	fakes[0].stands = fakes[2].stands = 0;
	guard_look(&guard, 2000);
	assert_story("disarmed fallen install restored "
		     "fallen install restored armed ");
	assert_int_equal(guard.counters.fallen, 2);
}

/* What cannot be looked at does not stand. */
static void test_not_known(void **state)
{
	(void)state;
	start();
	fakes[0].stands = -EINTR;
	guard_look(&guard, 2000);
	assert_story("disarmed unknown install restored armed ");
}

static void test_cannot_be_put_back(void **state)
{
	(void)state;
	start();
	fakes[0].stands = 0;
	fakes[0].install = -EBUSY;
	guard_look(&guard, 2000);
	assert_story("disarmed fallen install not-restored ");
	assert_false(guard.armed);
	/* tried again soon, told once */
	assert_int_equal(guard_deadline_us(&guard), 2000 + GUARD_RETRY_US);
	guard_look(&guard, 102000);
	assert_story("install ");
	assert_int_equal(guard.counters.fallen, 1);
	assert_int_equal(guard.counters.restored, 0);
	/* another one falls meanwhile and is put back: still not armed */
	fakes[1].stands = 0;
	guard_look(&guard, 202000);
	assert_story("install fallen install restored ");
	assert_false(guard.armed);
	fakes[0].install = 0;
	guard_look(&guard, 302000);
	assert_story("install restored armed ");
	assert_int_equal(guard.counters.restored, 2);
}

/* Whatever was in the way has gone by itself. */
static void test_stands_again_by_itself(void **state)
{
	(void)state;
	start();
	fakes[0].stands = 0;
	fakes[0].install = -EBUSY;
	guard_look(&guard, 2000);
	fakes[0].stands = 1;
	story[0] = '\0';
	guard_look(&guard, 102000);
	assert_story("armed ");
	/* the next time is told again */
	fakes[0].stands = 0;
	guard_look(&guard, 202000);
	assert_story("disarmed fallen install not-restored ");
}

static void test_news_bring_the_next_look_forward(void **state)
{
	(void)state;
	start();
	guard_look(&guard, 1000000);
	/* at once, unless the last look was a moment ago */
	guard_on_news(&guard, 1000000 + 2 * GUARD_PAUSE_US);
	assert_int_equal(guard_deadline_us(&guard),
			 1000000 + 2 * GUARD_PAUSE_US);
	guard_look(&guard, 2000000);
	guard_on_news(&guard, 2000001);
	assert_int_equal(guard_deadline_us(&guard), 2000000 + GUARD_PAUSE_US);
	/* and never later than it would have been */
	guard_look(&guard, 3000000);
	guard_on_news(&guard, 3000000 + 2 * GUARD_PERIOD_US);
	assert_int_equal(guard_deadline_us(&guard), 3000000 + GUARD_PERIOD_US);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_starts_with_all_of_them),
		TEST(test_start_that_fails),
		TEST(test_start_without_effect),
		TEST(test_nothing_to_do),
		TEST(test_put_back),
		TEST(test_several_at_once),
		TEST(test_not_known),
		TEST(test_cannot_be_put_back),
		TEST(test_stands_again_by_itself),
		TEST(test_news_bring_the_next_look_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
