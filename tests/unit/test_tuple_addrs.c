// SPDX-License-Identifier: BSD-2-Clause
/* The records of addresses: found by both keys, gone when they are removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/tuple_addrs.h"
#include "../helpers/counted_mem.h"

#define COUNT 64u

static struct counted_mem mem;

static void make(struct tuple_addrs *a, uint32_t count)
{
	static const struct hash_key key = {{7}};

	counted_mem_init(&mem, 0);
	assert_true(tuple_addrs_init(a, &mem.mem, count, &key));
}

static void end(struct tuple_addrs *a)
{
	tuple_addrs_fini(a, &mem.mem);
	assert_int_equal(mem.live_bytes, 0);
}

static struct ip_addr addr(uint32_t n)
{
	const uint8_t b[4] = {10, 0, (uint8_t)(n >> 8), (uint8_t)n};

	return addr_from_v4(b);
}

static uint32_t find(const struct tuple_addrs *a, uint32_t target, uint32_t n)
{
	struct ip_addr at = addr(n);

	return tuple_addrs_find(a, target, &at);
}

static uint32_t add(struct tuple_addrs *a, uint32_t target, uint32_t n)
{
	struct ip_addr at = addr(n);

	return tuple_addrs_add(a, target, &at);
}

static void test_a_new_record_is_empty(void **state)
{
	struct tuple_addrs a;
	const struct tuple_addr *r;
	struct ip_addr at = addr(1);
	uint32_t id;

	(void)state;
	make(&a, COUNT);
	assert_int_equal(find(&a, 0, 1), POOL_NONE);
	id = add(&a, 3, 1);
	assert_int_not_equal(id, POOL_NONE);
	r = tuple_addrs_at(&a, id);
	assert_true(addr_equal(&r->addr, &at));
	assert_int_equal(r->target, 3);
	assert_int_equal(r->tuples, 0);
	assert_int_equal(r->rested.oldest, POOL_NONE);
	assert_int_equal(r->rested.newest, POOL_NONE);
	for (unsigned i = 0; i < SPANS; i++)
		assert_int_equal(r->used[i], 0);
	end(&a);
}

static void test_both_keys_count(void **state)
{
	struct tuple_addrs a;
	uint32_t id;

	(void)state;
	make(&a, COUNT);
	id = add(&a, 3, 1);
	assert_int_equal(find(&a, 3, 1), id);
	assert_int_equal(find(&a, 2, 1), POOL_NONE);
	assert_int_equal(find(&a, 3, 2), POOL_NONE);
	end(&a);
}

/* Room for COUNT records, and so some in each bucket's chain. */
static void test_full(void **state)
{
	struct tuple_addrs a;
	uint32_t ids[COUNT];

	(void)state;
	make(&a, COUNT);
	for (uint32_t n = 0; n < COUNT; n++)
		ids[n] = add(&a, n % 3, n / 3);
	assert_int_equal(add(&a, 9, 9), POOL_NONE);
	assert_int_equal(find(&a, 9, 9), POOL_NONE);
	for (uint32_t n = 0; n < COUNT; n++)
		assert_int_equal(find(&a, n % 3, n / 3), ids[n]);
	end(&a);
}

/* From the head, the middle and the end of chains: the others stay. */
static void test_removed_in_any_order(void **state)
{
	struct tuple_addrs a;
	uint32_t ids[COUNT];

	(void)state;
	make(&a, COUNT);
	for (uint32_t stride = 1; stride < COUNT; stride += 2) {
		for (uint32_t n = 0; n < COUNT; n++)
			ids[n] = add(&a, 0, n);
		for (uint32_t k = 0; k < COUNT; k++) {
			uint32_t gone = k * stride % COUNT;

			tuple_addrs_remove(&a, ids[gone]);
			assert_int_equal(find(&a, 0, gone), POOL_NONE);
			ids[gone] = POOL_NONE;
			for (uint32_t n = 0; n < COUNT; n++)
				assert_int_equal(find(&a, 0, n), ids[n]);
		}
	}
	end(&a);
}

/* What was counted of an address is not that of the next one. */
static void test_a_record_is_used_again(void **state)
{
	struct tuple_addrs a;
	uint32_t id;

	(void)state;
	make(&a, 1);
	id = add(&a, 0, 1);
	tuple_addrs_at(&a, id)->tuples = 5;
	tuple_addrs_at(&a, id)->used[0] = 5;
	assert_int_equal(add(&a, 0, 2), POOL_NONE);
	tuple_addrs_remove(&a, id);
	id = add(&a, 0, 2);
	assert_int_not_equal(id, POOL_NONE);
	assert_int_equal(tuple_addrs_at(&a, id)->tuples, 0);
	assert_int_equal(tuple_addrs_at(&a, id)->used[0], 0);
	assert_int_equal(find(&a, 0, 1), POOL_NONE);
	end(&a);
}

static void test_no_memory(void **state)
{
	static const struct hash_key key = {{7}};
	struct tuple_addrs a;
	unsigned n = 1;

	(void)state;
	for (;; n++) {
		counted_mem_init(&mem, n);
		if (tuple_addrs_init(&a, &mem.mem, COUNT, &key))
			break;
		assert_int_equal(mem.live_bytes, 0);
	}
	assert_true(n > 1);
	end(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_new_record_is_empty),
		cmocka_unit_test(test_both_keys_count),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_removed_in_any_order),
		cmocka_unit_test(test_a_record_is_used_again),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
