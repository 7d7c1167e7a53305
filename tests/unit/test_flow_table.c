// SPDX-License-Identifier: BSD-2-Clause
/* The table of connections, against an array that does the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/flow_table.h"
#include "../helpers/counted_mem.h"
#include "../helpers/dice.h"

#define FLOWS  50u
#define TUPLES 80u

static const struct hash_key key = {{9}};

static struct four_tuple tuple_at(uint32_t i)
{
	struct four_tuple t = {.src.port = (uint16_t)(1024 + i / 2),
			       .dst.port = 80};

	t.src.addr =
		addr_from_v4((const uint8_t[4]){10, 0, 0, (uint8_t)(i % 2)});
	t.dst.addr = addr_from_v4((const uint8_t[4]){192, 0, 2, 1});
	return t;
}

static struct flow *find(const struct flow_table *t,
			 const struct four_tuple *tuple)
{
	return flow_table_find(t, tuple, flow_table_bucket(t, tuple));
}

static struct flow *add(struct flow_table *t, const struct four_tuple *tuple)
{
	return flow_table_add(t, tuple, flow_table_bucket(t, tuple));
}

static unsigned count_all(const struct flow_table *t)
{
	unsigned n = 0;

	for (const struct flow *f = NULL; (f = flow_table_next(t, f));)
		n++;
	return n;
}

static void test_full(void **state)
{
	struct counted_mem m;
	struct flow_table t;
	struct four_tuple tuple;

	(void)state;
	counted_mem_init(&m, 0);
	assert_true(flow_table_init(&t, &m.mem, FLOWS, key));
	for (uint32_t i = 0; i < FLOWS; i++) {
		tuple = tuple_at(i);
		assert_non_null(add(&t, &tuple));
	}
	tuple = tuple_at(FLOWS);
	assert_null(add(&t, &tuple));
	assert_null(find(&t, &tuple));
	flow_table_remove(&t, flow_table_next(&t, NULL));
	assert_non_null(add(&t, &tuple));
	assert_non_null(find(&t, &tuple));
	flow_table_fini(&t, &m.mem);
	assert_int_equal(m.live_bytes, 0);
}

/* The client has used its port again while the old flow lives on. */
static void test_an_unlisted_one_lives_on(void **state)
{
	struct counted_mem m;
	struct flow_table t;
	struct four_tuple tuple = tuple_at(0);
	struct flow *old, *new;

	(void)state;
	counted_mem_init(&m, 0);
	assert_true(flow_table_init(&t, &m.mem, FLOWS, key));
	old = add(&t, &tuple);
	flow_table_unlist(&t, old);
	flow_table_unlist(&t, old);
	assert_null(find(&t, &tuple));
	new = add(&t, &tuple);
	assert_ptr_equal(find(&t, &tuple), new);
	assert_int_equal(count_all(&t), 2);
	flow_table_remove(&t, old);
	assert_ptr_equal(find(&t, &tuple), new);
	assert_int_equal(count_all(&t), 1);
	flow_table_remove(&t, new);
	assert_null(flow_table_next(&t, NULL));
	flow_table_fini(&t, &m.mem);
	assert_int_equal(m.live_bytes, 0);
}

static void random_use(struct flow_table *t, uint64_t seed)
{
	struct dice d = {.state = seed};
	struct flow *there[TUPLES] = {0};
	unsigned count = 0;

	for (int step = 0; step < 2000; step++) {
		uint32_t i = dice_below(&d, TUPLES);
		struct four_tuple tuple = tuple_at(i);

		assert_ptr_equal(find(t, &tuple), there[i]);
		if (there[i]) {
			flow_table_remove(t, there[i]);
			there[i] = NULL;
			count--;
		} else if ((there[i] = add(t, &tuple))) {
			assert_true(there[i]->listed);
			assert_null(there[i]->copies);
			count++;
		} else {
			assert_int_equal(count, FLOWS);
		}
		assert_int_equal(count_all(t), count);
	}
	for (struct flow *f = NULL; (f = flow_table_next(t, f));)
		flow_table_remove(t, f);
	assert_int_equal(t->flows.used, 0);
}

static void test_like_an_array(void **state)
{
	struct counted_mem m;
	struct flow_table t;

	(void)state;
	counted_mem_init(&m, 0);
	assert_true(flow_table_init(&t, &m.mem, FLOWS, key));
	for (uint64_t seed = 1; seed <= 20; seed++)
		random_use(&t, seed);
	flow_table_fini(&t, &m.mem);
	assert_int_equal(m.live_bytes, 0);
}

static void test_without_memory(void **state)
{
	(void)state;
	for (unsigned fail_at = 1; fail_at < 5; fail_at++) {
		struct counted_mem m;
		struct flow_table t;
		bool ok;

		counted_mem_init(&m, fail_at);
		ok = flow_table_init(&t, &m.mem, FLOWS, key);
		assert_int_equal(ok, m.calls < fail_at);
		if (ok)
			flow_table_fini(&t, &m.mem);
		assert_int_equal(m.live_bytes, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_an_unlisted_one_lives_on),
		cmocka_unit_test(test_like_an_array),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
