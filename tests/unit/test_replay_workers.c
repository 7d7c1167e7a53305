// SPDX-License-Identifier: BSD-2-Clause
/* tcpcopy's engine with two workers of intercept, of which each gets the
 * answers to its part of the clients' ports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../helpers/one_engine.h"

#define WORKERS	  2u
#define PORTS	  40u
#define LINK_OF_0 0u
#define LINK_OF_1 1u

static void say_by_port(struct engine *e, unsigned link_id)
{
	const struct split ports = {.count = WORKERS, .index = link_id};

	replay_set_ports(e->r, link_id, &ports);
}

/* One link to each; none of them is up. */
static void start(struct engine *e)
{
	e->targets[0].groups = e->targets[0].relay_groups = 3;
	e->cfg.group_count = WORKERS;
	e->cfg.links_per_group = 1;
	engine_start(e);
	engine_links(e, false);
	say_by_port(e, LINK_OF_0);
	say_by_port(e, LINK_OF_1);
}

static unsigned worker_of(uint16_t port)
{
	return split_hash(port) % WORKERS;
}

/* Clients of so many ports connect and ask; those of each worker. */
static void ask(struct engine *e, unsigned per_worker[WORKERS])
{
	for (uint16_t i = 0; i < PORTS; i++) {
		struct client c = client_at(1, (uint16_t)(5000 + i));

		client_syn(e, &c);
		client_send(e, &c, 100, 0);
		per_worker[worker_of(c.at.port)]++;
	}
	engine_wait(e, 100000);
}

/* How often each route was told, since this was last asked. */
static void assert_told(struct engine *e, unsigned of_0, unsigned of_1)
{
	const unsigned want[WORKERS] = {of_0, of_1};

	engine_wait(e, 10000);
	assert_int_equal(e->conn_count, PORTS);
	for (unsigned i = 0; i < PORTS; i++) {
		struct target_conn *c = &e->conns[i];

		assert_int_equal(c->routes,
				 want[worker_of(c->route.client.port)]);
		c->routes = 0;
	}
}

static void test_only_the_ports_worker_is_told(void **state)
{
	struct engine *e = *state;
	unsigned has[WORKERS] = {0};

	start(e);
	engine_links(e, true);
	engine_wait(e, 10000);
	ask(e, has);
	assert_true(has[0] > PORTS / 4 && has[1] > PORTS / 4);
	assert_told(e, 1, 1);
	replay_on_link(e->r, LINK_OF_1, false, e->now_us);
	assert_told(e, 1, 0);
	replay_on_link(e->r, LINK_OF_1, true, e->now_us);
	assert_told(e, 1, 1);
}

/* With relay packets go where the route is. */
static void test_packets_follow_the_route(void **state)
{
	struct engine *e = *state;

	e->cfg.relay = true;
	start(e);
	engine_links(e, true);
	for (uint16_t port = 5000; port < 5000 + PORTS; port++) {
		struct client c = client_at(1, port);

		client_syn(e, &c);
		client_send(e, &c, 100, 0);
		assert_int_equal(replay_packet_link(e->r), worker_of(port));
	}
}

/* While one of them is not there nobody would have the sessions of its ports:
 * nothing is sent. */
static void test_all_workers_are_needed(void **state)
{
	struct engine *e = *state;
	unsigned has[WORKERS] = {0};

	start(e);
	engine_link_up(e, LINK_OF_0);
	ask(e, has);
	assert_int_equal(e->packets, 0);
	engine_link_up(e, LINK_OF_1);
	engine_wait(e, 2000000);
	assert_int_equal(ledger(e)->turns.answered, PORTS);
	replay_on_link(e->r, LINK_OF_0, false, e->now_us);
	e->packets = 0;
	ask(e, has);
	assert_int_equal(e->packets, 0);
}

/* It comes back with a rule by addresses, one worker after the other. */
static void test_another_intercept_has_all_ports(void **state)
{
	static const struct split all = {.count = 1};
	struct engine *e = *state;
	unsigned has[WORKERS] = {0};

	start(e);
	engine_links(e, true);
	engine_wait(e, 10000);
	ask(e, has);
	assert_told(e, 1, 1);
	engine_links(e, false);
	replay_set_ports(e->r, LINK_OF_0, &all);
	engine_link_up(e, LINK_OF_0);
	assert_told(e, 1, 1);
	replay_set_ports(e->r, LINK_OF_1, &all);
	engine_link_up(e, LINK_OF_1);
	assert_told(e, 2, 2);
}

/* With relay, and no tuple left after a refusal: it has no port. */
static void test_a_session_without_a_tuple(void **state)
{
	struct engine *e = *state;
	struct client a = client_at(1, 5000);

	e->cfg.relay = true;
	e->cfg.port_count = 1;
	e->cfg.copies = 2;
	e->mode = TARGET_SILENT;
	start(e);
	engine_links(e, true);
	client_syn(e, &a);
	engine_wait(e, 100000);
	for (unsigned i = 0; i < 8; i++) {
		const struct wire_msg msg = {
			.type = WIRE_ROUTE_REFUSED,
			.route = e->conns[e->conn_count - 1].route};

		replay_on_msg(e->r, LINK_OF_0, &msg, e->now_us);
		engine_wait(e, 2000000);
	}
	client_end(e, &a, TCP_RST);
	assert_true(ledger(e)->routes_refused > 1);
	assert_true(ledger(e)->conns.lost[LOSS_NO_TUPLE] > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_only_the_ports_worker_is_told, engine_setup,
			engine_teardown),
		cmocka_unit_test_setup_teardown(test_packets_follow_the_route,
						engine_setup, engine_teardown),
		cmocka_unit_test_setup_teardown(test_all_workers_are_needed,
						engine_setup, engine_teardown),
		cmocka_unit_test_setup_teardown(
			test_another_intercept_has_all_ports, engine_setup,
			engine_teardown),
		cmocka_unit_test_setup_teardown(test_a_session_without_a_tuple,
						engine_setup, engine_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
