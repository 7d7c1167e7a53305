// SPDX-License-Identifier: BSD-2-Clause
/* How -m is divided: nothing that the process uses is left out; and for what a
 * capability is needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "io/capture_live.h"
#include "io/link_client.h"
#include "tcpcopy/plan.h"

#define MIB (1u << 20)

static struct tcpcopy_options o;
static struct plan plan;
static struct opts_fault fault;

static int reset(void **state)
{
	(void)state;
	o = (struct tcpcopy_options){.memory_mb = 512, .links = 3};
	memset(&plan, 0, sizeof(plan));
	plan.replay.group_count = 1;
	plan.replay.mtu_bytes = 1500;
	return 0;
}

static void assert_fits(size_t buffer_bytes)
{
	size_t links = o.dry_run ? 0 : plan.replay.group_count * o.links;
	size_t known;

	assert_int_equal(plan_memory(&plan, &o, &fault), 0);
	assert_int_equal(plan.buffer_bytes, buffer_bytes);
	known = buffer_bytes + links * LINK_CLIENT_TX_BYTES +
		plan.dry_target_bytes + plan.replay.memory_bytes;
	/* and some is left for the program itself */
	assert_true(known + 6 * MIB <= (size_t)o.memory_mb * MIB);
	assert_true(plan.replay.memory_bytes >= MIB);
}

static void test_the_buffer_follows_the_memory(void **state)
{
	(void)state;
	assert_fits(32 * MIB);
	o.memory_mb = 64;
	assert_fits(8 * MIB);
	o.memory_mb = 16;
	assert_fits(2 * MIB);
	o.memory_mb = 1048576;
	assert_fits(32 * MIB);
	o.file = "in.pcap";
	assert_fits(0);
}

static void test_a_buffer_as_asked_for(void **state)
{
	(void)state;
	o.buffer_mb = 100;
	assert_fits(100 * MIB);
	o.buffer_mb = 1;
	assert_fits(1 * MIB);
	/* each device has a buffer of its own, and needs a little */
	o.device_count = 16;
	assert_fits(16 * CAPTURE_BUFFER_MIN_BYTES);
}

static void test_a_dry_run(void **state)
{
	(void)state;
	o.dry_run = "out.pcap";
	assert_fits(32 * MIB);
	assert_true(plan.dry_target_bytes > plan.replay.memory_bytes / 20);
}

/* All workers and their head fit into -m. */
static void test_workers(void **state)
{
	(void)state;
	for (unsigned n = 2; n <= 8; n++) {
		size_t each;

		o.split.count = n;
		assert_int_equal(plan_memory(&plan, &o, &fault), 0);
		assert_int_equal(plan.buffer_bytes, 32 * MIB / n);
		each = plan.buffer_bytes + plan.replay.memory_bytes +
		       plan.replay.group_count * o.links * LINK_CLIENT_TX_BYTES;
		assert_true((each + 6 * MIB) * n <= (size_t)o.memory_mb * MIB);
		assert_true(plan.replay.memory_bytes > 20 * MIB);
	}
	/* no ring is too small */
	o.buffer_mb = 1;
	assert_int_equal(plan_memory(&plan, &o, &fault), 0);
	assert_int_equal(plan.buffer_bytes, CAPTURE_BUFFER_MIN_BYTES);
}

/* What the line says is enough, and one less is not. */
static void assert_least(void)
{
	const char *number;

	assert_int_equal(plan_memory(&plan, &o, &fault), OPTS_EXIT_BAD_INPUT);
	number = strstr(fault.text, "at least ");
	assert_non_null(number);
	o.memory_mb = (unsigned)strtoul(number + 9, NULL, 10);
	assert_int_equal(plan_memory(&plan, &o, &fault), 0);
	o.memory_mb--;
	assert_int_equal(plan_memory(&plan, &o, &fault), OPTS_EXIT_BAD_INPUT);
}

static void test_too_little(void **state)
{
	(void)state;
	o.buffer_mb = 512;
	assert_least();
	reset(state);
	o.memory_mb = 16;
	o.links = 16;
	assert_least();
	plan.replay.group_count = 32;
	assert_least();
	o.file = "in.pcap";
	o.memory_mb = 16;
	assert_least();
	reset(state);
	o.memory_mb = 16;
	plan.replay.mtu_bytes = 65535;
	assert_least();
	reset(state);
	o.memory_mb = 30;
	o.split.count = 4;
	assert_least();
}

/* A capture does, and sending from here. */
static void test_what_needs_raw_sockets(void **state)
{
	(void)state;
	assert_true(plan_needs_raw(&plan, &o));
	plan.replay.relay = true;
	assert_true(plan_needs_raw(&plan, &o));
	o.file = "in.pcap";
	assert_false(plan_needs_raw(&plan, &o));
	plan.replay.relay = false;
	assert_true(plan_needs_raw(&plan, &o));
	o.dry_run = "out.pcap";
	assert_false(plan_needs_raw(&plan, &o));
	o.file = NULL;
	assert_true(plan_needs_raw(&plan, &o));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, reset)
	const struct CMUnitTest tests[] = {
		TEST(test_the_buffer_follows_the_memory),
		TEST(test_a_buffer_as_asked_for),
		TEST(test_a_dry_run),
		TEST(test_workers),
		TEST(test_too_little),
		TEST(test_what_needs_raw_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
