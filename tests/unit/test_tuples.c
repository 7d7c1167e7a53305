// SPDX-License-Identifier: BSD-2-Clause
/* Tuples: claims, linger, slices, and that no live one is given twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/tuples.h"
#include "../helpers/counted_mem.h"
#include "../helpers/dice.h"

#define PORTS	    (65536u - TUPLES_PORT_MIN)
#define SLICE_PORTS (PORTS / TUPLES_SLICES)
#define T0	    1000000u /* us; any time will do */

/* Two targets have one port, one has none that a client is given. */
static const uint16_t barred[] = {1024, 8080, 1024, 80};
static struct counted_mem mem;

static struct tuples *make(uint32_t count, unsigned slice)
{
	struct tuples_config cfg = {
		.count = count,
		.port_slice = slice,
		.barred_ports = barred,
		.barred_port_count = 4,
		.hash_key = {{7}},
	};
	struct tuples *t;

	counted_mem_init(&mem, 0);
	t = tuples_new(&cfg, &mem.mem);
	assert_non_null(t);
	return t;
}

/* One of several workers, whose slice is the first. */
static struct tuples *make_part(uint32_t count, struct split split)
{
	struct tuples_config cfg = {
		.count = count,
		.barred_ports = barred,
		.barred_port_count = 4,
		.split = split,
		.hash_key = {{7}},
	};
	struct tuples *t;

	counted_mem_init(&mem, 0);
	t = tuples_new(&cfg, &mem.mem);
	assert_non_null(t);
	return t;
}

static void end(struct tuples *t)
{
	tuples_free(t, &mem.mem);
	assert_int_equal(mem.live_bytes, 0);
}

static struct addr_range client_range(uint8_t last, uint32_t count)
{
	return (struct addr_range){
		.first = addr_from_v4((const uint8_t[4]){10, 0, 0, last}),
		.count = count,
	};
}

static struct endpoint client(uint8_t last, uint16_t port)
{
	return (struct endpoint){client_range(last, 1).first, port};
}

static struct tuple_claim find(struct tuples *t, uint8_t last, uint64_t now_us)
{
	struct addr_range range = client_range(last, 1);

	return tuples_find(t, 0, &range, 1, 0, now_us);
}

static struct tuple_claim claim(struct tuples *t, uint16_t port,
				uint64_t now_us)
{
	struct endpoint c = client(1, port);

	return tuples_claim(t, 0, &c, now_us);
}

static void test_a_live_one_is_not_given_twice(void **state)
{
	struct tuples *t = make(10, 0);
	struct tuple_claim c = claim(t, 5000, T0);
	struct endpoint at, other = client(1, 5000);

	(void)state;
	assert_int_not_equal(c.id, POOL_NONE);
	assert_false(c.used_before);
	at = tuples_client(t, c.id);
	assert_true(endpoint_equal(&at, &other));
	assert_int_equal(claim(t, 5000, T0).id, POOL_NONE);
	assert_int_equal(claim(t, 5000, T0 + 1000000000ull).id, POOL_NONE);
	/* towards another target it is another tuple */
	assert_int_not_equal(tuples_claim(t, 1, &other, T0).id, POOL_NONE);
	other.addr = client(2, 0).addr;
	assert_int_not_equal(tuples_claim(t, 0, &other, T0).id, POOL_NONE);
	end(t);
}

static void test_what_it_was_used_for_is_remembered(void **state)
{
	struct tuples *t = make(10, 0);
	struct tuple_claim c = claim(t, 5000, T0);

	(void)state;
	tuples_release(t, c.id, 4242, T0 + 5000);
	c = claim(t, 5000, T0 + TUPLES_LINGER_US);
	assert_true(c.used_before);
	assert_int_equal(c.snd_nxt, 4242);
	tuples_release(t, c.id, 4343, T0 + TUPLES_LINGER_US);
	c = claim(t, 5000, T0 + 2 * TUPLES_LINGER_US);
	assert_int_not_equal(c.id, POOL_NONE);
	assert_false(c.used_before);
	end(t);
}

/* Ports of one address that a worker finds, each in found[]. */
static uint32_t find_all(struct split split, uint8_t found[65536])
{
	struct tuples *t = make_part(PORTS + 10, split);
	struct tuple_claim c;
	uint32_t n = 0;

	while ((c = find(t, 1, T0)).id != POOL_NONE) {
		uint16_t port = tuples_client(t, c.id).port;

		assert_true(split_is_ours(&split, port));
		found[port]++;
		n++;
	}
	end(t);
	return n;
}

static void test_workers_never_share_a_port(void **state)
{
	static uint8_t found[65536];
	uint32_t all = 0;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		all += find_all((struct split){3, i}, found);
	/* together they find what one would: all but 1024 and 8080 */
	assert_int_equal(all, PORTS - 2);
	for (unsigned port = TUPLES_PORT_MIN; port < 65536; port++)
		assert_int_equal(found[port], port != 1024 && port != 8080);
}

static void test_the_clients_own_port_only_if_it_is_ours(void **state)
{
	const struct split split = {2, 0};
	struct tuples *t = make_part(1000, split);

	(void)state;
	for (uint16_t port = 5000; port < 5100; port++)
		assert_int_equal(claim(t, port, T0).id != POOL_NONE,
				 split_is_ours(&split, port));
	end(t);
}

static void test_a_barred_tuple_rests(void **state)
{
	struct tuples *t = make(10, 0);
	struct tuple_claim c = claim(t, 5000, T0);

	(void)state;
	tuples_bar(t, c.id, T0);
	assert_int_equal(claim(t, 5000, T0 + TUPLES_LINGER_US - 1000).id,
			 POOL_NONE);
	c = claim(t, 5000, T0 + TUPLES_LINGER_US);
	assert_int_not_equal(c.id, POOL_NONE);
	assert_false(c.used_before);
	end(t);
}

static void test_a_found_one_is_new_and_of_the_slice(void **state)
{
	const unsigned slice = 700;
	struct tuples *t = make(200, slice);
	uint16_t seen[SLICE_PORTS];

	(void)state;
	for (unsigned i = 0; i < SLICE_PORTS; i++) {
		struct tuple_claim c = find(t, 1, T0);
		uint16_t port = tuples_client(t, c.id).port;

		assert_false(c.used_before);
		assert_in_range(port, TUPLES_PORT_MIN + slice * SLICE_PORTS,
				TUPLES_PORT_MIN + (slice + 1) * SLICE_PORTS -
					1);
		for (unsigned j = 0; j < i; j++)
			assert_int_not_equal(seen[j], port);
		seen[i] = port;
	}
	/* used up: on into the next ones */
	assert_int_equal(tuples_client(t, find(t, 1, T0).id).port,
			 TUPLES_PORT_MIN + (slice + 1) * SLICE_PORTS);
	end(t);
}

/* A port just released is the last to be taken again. */
static void test_ports_rest(void **state)
{
	struct tuples *t = make(200, 3);
	struct tuple_claim c = find(t, 1, T0);
	uint16_t first = tuples_client(t, c.id).port;

	(void)state;
	tuples_release(t, c.id, 1, T0);
	c = find(t, 1, T0 + 2 * TUPLES_LINGER_US);
	assert_int_not_equal(tuples_client(t, c.id).port, first);
	end(t);
}

static void test_served_ports_are_not_found(void **state)
{
	struct tuples *t = make(PORTS, 0);

	(void)state;
	for (uint32_t i = 0; i < PORTS - 2; i++) {
		uint16_t port = tuples_client(t, find(t, 1, T0).id).port;

		assert_int_not_equal(port, 1024);
		assert_int_not_equal(port, 8080);
	}
	assert_int_equal(find(t, 1, T0).id, POOL_NONE);
	assert_int_not_equal(find(t, 2, T0).id, POOL_NONE);
	end(t);
}

/* All ports taken: the one that has lingered longest, with its number. */
static void test_the_oldest_is_used_again(void **state)
{
	struct tuples *t = make(PORTS, 0);
	struct tuple_claim c;
	uint32_t ids[3] = {0};

	(void)state;
	for (uint32_t i = 0; i < PORTS - 2; i++)
		ids[i % 3] = find(t, 1, T0).id;
	tuples_release(t, ids[1], 11, T0 + 1000);
	tuples_release(t, ids[0], 10, T0 + 2000);
	tuples_bar(t, ids[2], T0 + 500);
	c = find(t, 1, T0 + 5000);
	assert_int_equal(c.id, ids[1]);
	assert_true(c.used_before);
	assert_int_equal(c.snd_nxt, 11);
	assert_int_equal(find(t, 1, T0 + 5000).id, ids[0]);
	assert_int_equal(find(t, 1, T0 + 5000).id, POOL_NONE);
	end(t);
}

/* Another address's or target's released ones are not given out for it. */
static void test_the_oldest_is_of_these_addresses(void **state)
{
	struct tuples *t = make(PORTS + 2, 0);
	struct endpoint elsewhere = client(2, 5000), there = client(1, 5000);
	struct tuple_claim a = tuples_claim(t, 0, &elsewhere, T0);
	struct tuple_claim b = tuples_claim(t, 1, &there, T0);

	(void)state;
	for (uint32_t i = 0; i < PORTS - 2; i++)
		find(t, 1, T0);
	tuples_release(t, a.id, 1, T0);
	tuples_release(t, b.id, 1, T0);
	assert_int_equal(find(t, 1, T0).id, POOL_NONE);
	end(t);
}

static void test_a_full_table_forgets_the_oldest(void **state)
{
	struct tuples *t = make(2, 0);
	struct tuple_claim a = claim(t, 5000, T0), b = claim(t, 5001, T0);

	(void)state;
	assert_int_equal(claim(t, 5002, T0).id, POOL_NONE);
	tuples_release(t, b.id, 1, T0 + 1000);
	tuples_release(t, a.id, 2, T0 + 2000);
	assert_int_not_equal(claim(t, 5002, T0 + 3000).id, POOL_NONE);
	/* 5001 is forgotten, 5000 is not */
	assert_true(claim(t, 5000, T0 + 3000).used_before);
	end(t);
}

/* What is forgotten may have been the last of the address that needs room. */
static void test_a_full_table_forgets_an_addresss_last(void **state)
{
	struct tuples *t = make(2, 0);
	struct endpoint other = client(2, 5000), at, want = client(1, 5001);
	struct tuple_claim c = claim(t, 5000, T0);

	(void)state;
	tuples_release(t, c.id, 1, T0);
	assert_int_not_equal(tuples_claim(t, 0, &other, T0).id, POOL_NONE);
	c = claim(t, 5001, T0);
	assert_int_not_equal(c.id, POOL_NONE);
	at = tuples_client(t, c.id);
	assert_true(endpoint_equal(&at, &want));
	assert_int_equal(claim(t, 5001, T0).id, POOL_NONE);
	end(t);
}

static void test_several_addresses_one_after_the_other(void **state)
{
	struct tuples *t = make(400, 0);
	struct addr_range range[2] = {client_range(1, 2), client_range(9, 1)};
	unsigned per_addr[16] = {0};

	(void)state;
	for (unsigned i = 0; i < 3 * SLICE_PORTS - 3; i++) {
		struct tuple_claim c = tuples_find(t, 0, range, 2, 0, T0);

		per_addr[tuples_client(t, c.id).addr.b[15]]++;
	}
	/* port 1024 of each is barred */
	assert_int_equal(per_addr[1], SLICE_PORTS - 1);
	assert_int_equal(per_addr[2], SLICE_PORTS - 1);
	assert_int_equal(per_addr[9], SLICE_PORTS - 1);
	end(t);
}

/* Every port taken for good: nobody looks at them one by one (which would be
 * 6,000 million looks here). */
static void test_used_up_is_known(void **state)
{
	struct tuples *t = make(PORTS + 2, 0);
	struct endpoint elsewhere = client(2, 5000);
	struct tuple_claim c = tuples_claim(t, 0, &elsewhere, T0);
	uint32_t last = POOL_NONE;

	(void)state;
	for (uint32_t i = 0; i < PORTS - 2; i++)
		last = find(t, 1, T0).id;
	for (uint32_t i = 0; i < 100000; i++)
		assert_int_equal(find(t, 1, T0).id, POOL_NONE);
	/* one after the other ends, while the other address's rest longer */
	tuples_release(t, c.id, 1, T0);
	c = (struct tuple_claim){.id = last};
	for (uint32_t i = 0; i < 100000; i++) {
		tuples_release(t, c.id, i, T0 + 1000);
		c = find(t, 1, T0 + 1000);
		assert_int_equal(c.id, last);
		assert_int_equal(c.snd_nxt, i);
	}
	end(t);
}

/* A port outside the pool does not count as one of it. */
static void test_only_ports_of_the_pool_are_counted(void **state)
{
	static const uint16_t outside[] = {80, 1023, 1024, 8080};
	struct tuples *t = make(PORTS + 2, 0);
	uint32_t ids[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		ids[i] = claim(t, outside[i], T0).id;
	for (uint32_t i = 0; i < PORTS - 2; i++)
		assert_int_not_equal(find(t, 1, T0).id, POOL_NONE);
	assert_int_equal(find(t, 1, T0).id, POOL_NONE);
	for (unsigned i = 0; i < 4; i++)
		tuples_bar(t, ids[i], T0);
	assert_int_equal(find(t, 1, T0 + 2 * TUPLES_LINGER_US).id, POOL_NONE);
	end(t);
}

/* A /16 of addresses whose first hundreds are busy: the search goes on where
 * it has found something, not at the first address. */
static void test_many_addresses(void **state)
{
	struct tuples *t = make(PORTS, 0);
	struct addr_range range = {client_range(0, 1).first, 65536};

	(void)state;
	for (uint32_t i = 0; i < PORTS; i++)
		assert_int_not_equal(tuples_find(t, 0, &range, 1, 0, T0).id,
				     POOL_NONE);
	for (uint32_t i = 0; i < 100000; i++)
		assert_int_equal(tuples_find(t, 0, &range, 1, 0, T0).id,
				 POOL_NONE);
	end(t);
}

/* Somebody else has any run of ports: a session gets past it. */
static void test_refusals_jump(void **state)
{
	struct addr_range range = client_range(1, 1);

	(void)state;
	for (uint32_t run = 1; run <= 32768; run *= 2) {
		struct tuples *t = make(PORTS, 0);
		unsigned refusals = 0;

		for (;; refusals++) {
			struct tuple_claim c =
				tuples_find(t, 0, &range, 1, refusals, T0);

			if (tuples_client(t, c.id).port >=
			    TUPLES_PORT_MIN + run)
				break;
			tuples_bar(t, c.id, T0);
		}
		assert_in_range(refusals, 0, 16);
		end(t);
	}
}

#define LIVE 300u

/* Claims, searches and releases at random: two live ones never share a tuple,
 * and a remembered number comes back with its tuple. */
static void random_use(uint64_t seed)
{
	struct dice d = {.state = seed};
	struct tuples *t = make(LIVE, (unsigned)seed % TUPLES_SLICES);
	uint32_t live[LIVE], count = 0;
	uint64_t now_us = T0;

	for (int step = 0; step < 4000; step++) {
		struct tuple_claim c;
		struct endpoint got;

		now_us += dice_below(&d, 400000);
		if (count == LIVE || (count > 0 && dice_below(&d, 2))) {
			uint32_t i = dice_below(&d, count);

			if (dice_below(&d, 9) == 0)
				tuples_bar(t, live[i], now_us);
			else
				tuples_release(t, live[i],
					       tuples_client(t, live[i]).port,
					       now_us);
			live[i] = live[--count];
			continue;
		}
		if (dice_below(&d, 2))
			c = claim(t, (uint16_t)(2000 + dice_below(&d, 40)),
				  now_us);
		else
			c = find(t, 1, now_us);
		if (c.id == POOL_NONE)
			continue;
		got = tuples_client(t, c.id);
		assert_true(!c.used_before || c.snd_nxt == got.port);
		for (uint32_t i = 0; i < count; i++) {
			struct endpoint e = tuples_client(t, live[i]);

			assert_int_not_equal(live[i], c.id);
			assert_false(endpoint_equal(&e, &got));
		}
		live[count++] = c.id;
	}
	end(t);
}

static void test_no_live_one_twice(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++)
		random_use(seed);
}

static void test_without_memory(void **state)
{
	struct tuples_config cfg = {.count = 10};

	(void)state;
	for (unsigned fail_at = 1; fail_at < 6; fail_at++) {
		struct tuples *t;

		counted_mem_init(&mem, fail_at);
		t = tuples_new(&cfg, &mem.mem);
		assert_int_equal(t == NULL, mem.calls >= fail_at);
		if (t)
			tuples_free(t, &mem.mem);
		assert_int_equal(mem.live_bytes, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_live_one_is_not_given_twice),
		cmocka_unit_test(test_what_it_was_used_for_is_remembered),
		cmocka_unit_test(test_workers_never_share_a_port),
		cmocka_unit_test(test_the_clients_own_port_only_if_it_is_ours),
		cmocka_unit_test(test_a_barred_tuple_rests),
		cmocka_unit_test(test_a_found_one_is_new_and_of_the_slice),
		cmocka_unit_test(test_ports_rest),
		cmocka_unit_test(test_served_ports_are_not_found),
		cmocka_unit_test(test_the_oldest_is_used_again),
		cmocka_unit_test(test_the_oldest_is_of_these_addresses),
		cmocka_unit_test(test_a_full_table_forgets_the_oldest),
		cmocka_unit_test(test_a_full_table_forgets_an_addresss_last),
		cmocka_unit_test(test_several_addresses_one_after_the_other),
		cmocka_unit_test(test_used_up_is_known),
		cmocka_unit_test(test_only_ports_of_the_pool_are_counted),
		cmocka_unit_test(test_many_addresses),
		cmocka_unit_test(test_refusals_jump),
		cmocka_unit_test(test_no_live_one_twice),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
