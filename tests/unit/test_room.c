// SPDX-License-Identifier: BSD-2-Clause
/* What tcpcopy says at start of the ports for -n. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tcpcopy/room.h"

static const struct ip_addr v4 = {{[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}};
static const struct ip_addr v6 = {{0x20, 1, 0xd, 0xb8, [15] = 1}};

static void check(const struct room room, uint64_t addrs, uint64_t connections,
		  bool is_small)
{
	assert_int_equal(room.addrs, addrs);
	assert_int_equal(room.connections, connections);
	assert_int_equal(room.is_small, is_small);
}

static void test_each_client(void **state)
{
	const struct replay_target target = {.at = {v4, 11511}};
	struct replay_config cfg = {
		.targets = &target, .target_count = 1, .copies = 3};

	(void)state;
	check(room_towards(&cfg, 0), 0, 64511 / 3, false);
	cfg.copies = 645;
	check(room_towards(&cfg, 0), 0, 100, false);
	cfg.copies = 646;
	check(room_towards(&cfg, 0), 0, 99, true);
}

static void test_addresses_shared_by_all(void **state)
{
	const struct replay_target target = {.at = {v4, 11511}};
	const struct addr_range clients[] = {{v4, 1}, {v4, 254}};
	struct replay_config cfg = {.targets = &target,
				    .target_count = 1,
				    .clients = clients,
				    .client_count = 1,
				    .copies = 64};

	(void)state;
	check(room_towards(&cfg, 0), 1, 64511 / 64, false);
	cfg.copies = 65;
	check(room_towards(&cfg, 0), 1, 992, true);
	cfg.client_count = 2;
	check(room_towards(&cfg, 0), 255, 255 * 64511 / 65, false);
}

/* A target cannot have addresses of the other family. */
static void test_families(void **state)
{
	const struct replay_target targets[] = {{.at = {v4, 80}},
						{.at = {v6, 80}}};
	const struct addr_range clients[] = {{v4, 2}, {v6, 70}, {v4, 3}};
	struct replay_config cfg = {.targets = targets,
				    .target_count = 2,
				    .clients = clients,
				    .client_count = 3,
				    .copies = 2};

	(void)state;
	check(room_towards(&cfg, 0), 5, 5 * 64512 / 2, false);
	check(room_towards(&cfg, 1), 70, 70 * 64512 / 2, false);
	cfg.client_count = 1;
	check(room_towards(&cfg, 1), 0, 64512 / 2, false);
}

/* Of all targets, each once, and only those that a client could have. */
static void test_ports_of_targets(void **state)
{
	const struct replay_target targets[] = {{.at = {v4, 8080}},
						{.at = {v6, 8080}},
						{.at = {v4, 8081}},
						{.at = {v4, 443}}};
	const struct replay_config cfg = {
		.targets = targets, .target_count = 4, .copies = 1};

	(void)state;
	for (size_t i = 0; i < 4; i++)
		check(room_towards(&cfg, i), 0, 64512 - 2, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_client),
		cmocka_unit_test(test_addresses_shared_by_all),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_ports_of_targets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
