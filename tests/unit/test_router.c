// SPDX-License-Identifier: BSD-2-Clause
/* The router, case by case, and against a model that does the same slowly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/router.h"
#include "../helpers/counted_mem.h"
#include "../helpers/dice.h"

#define LINKS	   8u
#define ROUTES_MAX 10u
#define SHARE	   8u /* of one instance */

static const struct hash_key key = {{1, 2, 3}};

struct fixture {
	struct counted_mem mem;
	struct router *rt;
};

static int setup_with(void **state, uint32_t routes_max, uint32_t links_max)
{
	struct fixture *f = calloc(1, sizeof(*f));

	counted_mem_init(&f->mem, 0);
	f->rt = router_new(routes_max, links_max, &key, &f->mem.mem);
	*state = f;
	return f->rt ? 0 : -1;
}

static int setup(void **state)
{
	return setup_with(state, ROUTES_MAX, LINKS);
}

static int setup_large(void **state)
{
	return setup_with(state, 5 * ROUTER_SWEEP, ROUTER_LINKS_MAX);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	size_t live_bytes;

	router_free(f->rt, &f->mem.mem);
	live_bytes = f->mem.live_bytes;
	free(f);
	return live_bytes == 0 ? 0 : -1;
}

static struct endpoint client_at(uint32_t i)
{
	struct endpoint e = {.port = (uint16_t)(1024 + i % 40000)};

	e.addr = addr_from_v4(
		(const uint8_t[4]){10, 0, (uint8_t)(i / 40000), (uint8_t)i});
	return e;
}

static struct endpoint target_at(uint32_t i)
{
	struct endpoint e = {.port = (uint16_t)(80 + i)};

	e.addr = addr_from_v4((const uint8_t[4]){192, 0, 2, 1});
	return e;
}

static struct wire_route route_of(uint32_t client, uint32_t target,
				  uint64_t route_id)
{
	return (struct wire_route){
		.route_id = route_id,
		.client = client_at(client),
		.target = target_at(target),
		.iss = (uint32_t)route_id * 3,
	};
}

static enum router_result add(struct router *rt, uint32_t link_id,
			      uint32_t client, uint64_t route_id)
{
	struct wire_route r = route_of(client, 0, route_id);

	return router_add(rt, link_id, &r);
}

static bool del(struct router *rt, uint32_t link_id, uint32_t client,
		uint64_t route_id)
{
	struct wire_route r = route_of(client, 0, route_id);

	return router_del(rt, link_id, &r);
}

static bool find(const struct router *rt, uint32_t client, uint32_t target,
		 struct router_hit *hit)
{
	struct four_tuple tuple = {.src = target_at(target),
				   .dst = client_at(client)};

	struct router_look look = router_look(rt, &tuple);

	router_fetch(rt, &look);
	return router_find(rt, &look, hit);
}

/* The link of a client's route, ROUTER_NO_LINK, or -1: there is no route. */
static int64_t link_of(const struct router *rt, uint32_t client)
{
	struct router_hit hit;

	return find(rt, client, 0, &hit) ? (int64_t)hit.link_id : -1;
}

static uint64_t expire_all(struct router *rt, uint64_t before_us)
{
	struct router_dropped dropped = {0};

	while (router_expire(rt, before_us, &dropped))
		;
	assert_int_equal(dropped.untold, 0);
	return dropped.ownerless;
}

/* ---- case by case ---- */

static void test_find_what_was_added(void **state)
{
	struct fixture *f = *state;
	struct router_hit hit;

	assert_true(router_link_up(f->rt, 3, 0xa));
	assert_int_equal(add(f->rt, 3, 1, 77), ROUTER_ADDED);
	assert_true(find(f->rt, 1, 0, &hit));
	assert_true(hit.route_id == 77);
	assert_int_equal(hit.iss, 77 * 3);
	assert_int_equal(hit.link_id, 3);
	assert_false(find(f->rt, 2, 0, &hit));
	assert_false(find(f->rt, 1, 1, &hit));
	assert_int_equal(router_routes(f->rt), 1);
}

static void test_same_instance_replaces(void **state)
{
	struct fixture *f = *state;
	struct router_hit hit;

	router_link_up(f->rt, 0, 0xa);
	router_link_up(f->rt, 1, 0xa);
	add(f->rt, 0, 1, 77);
	assert_int_equal(add(f->rt, 1, 1, 78), ROUTER_ADDED);
	assert_true(find(f->rt, 1, 0, &hit));
	assert_true(hit.route_id == 78);
	assert_int_equal(hit.iss, 78 * 3);
	assert_int_equal(hit.link_id, 1);
	assert_int_equal(router_routes(f->rt), 1);
	/* The end of the former one comes late. */
	assert_false(del(f->rt, 0, 1, 77));
	assert_true(del(f->rt, 0, 1, 78));
	assert_false(del(f->rt, 0, 1, 78));
	assert_int_equal(router_routes(f->rt), 0);
}

/* Told again by a slow link, when another session has its tuple already. */
static void test_an_earlier_one_comes_late(void **state)
{
	struct fixture *f = *state;
	const uint64_t first = 0xffffffff00000007, second = 0x0000000000000003;
	const uint64_t third = 0x0000000100000001;
	struct router_hit hit;

	router_link_up(f->rt, 0, 0xa);
	router_link_up(f->rt, 1, 0xa);
	assert_int_equal(add(f->rt, 0, 1, first), ROUTER_ADDED);
	assert_int_equal(add(f->rt, 1, 1, second), ROUTER_ADDED);
	assert_int_equal(add(f->rt, 0, 1, first), ROUTER_LATE);
	assert_false(del(f->rt, 0, 1, first));
	assert_true(find(f->rt, 1, 0, &hit));
	assert_true(hit.route_id == second);
	assert_int_equal(hit.link_id, 1);
	assert_int_equal(add(f->rt, 0, 1, third), ROUTER_ADDED);
	assert_int_equal(add(f->rt, 0, 1, second), ROUTER_LATE);
	assert_true(del(f->rt, 1, 1, third));
	/* With nothing there it is not late. */
	assert_int_equal(add(f->rt, 0, 1, second), ROUTER_ADDED);
}

static void test_another_instance_is_refused(void **state)
{
	struct fixture *f = *state;

	router_link_up(f->rt, 0, 0xa);
	router_link_up(f->rt, 1, 0xb);
	add(f->rt, 0, 1, 77);
	assert_int_equal(add(f->rt, 1, 1, 77), ROUTER_REFUSED);
	assert_false(del(f->rt, 1, 1, 77));
	assert_int_equal(link_of(f->rt, 1), 0);
	assert_true(del(f->rt, 0, 1, 77));
	assert_int_equal(add(f->rt, 1, 1, 77), ROUTER_ADDED);
}

static void test_full(void **state)
{
	struct fixture *f = *state;

	router_link_up(f->rt, 0, 0xa);
	router_link_up(f->rt, 1, 0xb);
	for (uint32_t i = 0; i < SHARE; i++)
		assert_int_equal(add(f->rt, 0, i, i), ROUTER_ADDED);
	for (uint32_t i = SHARE; i < ROUTES_MAX; i++)
		assert_int_equal(add(f->rt, 1, i, i), ROUTER_ADDED);
	assert_int_equal(add(f->rt, 1, 100, 100), ROUTER_FULL);
	assert_int_equal(add(f->rt, 0, 3, 103), ROUTER_ADDED);
	assert_true(del(f->rt, 0, 5, 5));
	assert_int_equal(add(f->rt, 0, 100, 100), ROUTER_ADDED);
	assert_int_equal(link_of(f->rt, 5), -1);
	assert_int_equal(link_of(f->rt, 100), 0);
}

/* Whatever one does, the others find room. */
static void test_the_share_of_one(void **state)
{
	struct fixture *f = *state;

	router_link_up(f->rt, 0, 0xa);
	router_link_up(f->rt, 1, 0xa);
	router_link_up(f->rt, 2, 0xb);
	for (uint32_t i = 0; i < SHARE; i++)
		assert_int_equal(add(f->rt, i % 2, i, i), ROUTER_ADDED);
	assert_int_equal(add(f->rt, 0, 100, 100), ROUTER_FULL);
	assert_int_equal(add(f->rt, 1, 100, 100), ROUTER_FULL);
	assert_int_equal(add(f->rt, 1, 3, 103), ROUTER_ADDED);
	assert_int_equal(add(f->rt, 2, 100, 100), ROUTER_ADDED);
	assert_true(del(f->rt, 1, 5, 5));
	assert_int_equal(add(f->rt, 0, 101, 101), ROUTER_ADDED);
	assert_int_equal(add(f->rt, 0, 102, 102), ROUTER_FULL);
}

static void test_routes_go_by_another_link(void **state)
{
	struct fixture *f = *state;

	router_link_up(f->rt, 0, 0xa);
	router_link_up(f->rt, 1, 0xb);
	router_link_up(f->rt, 2, 0xa);
	add(f->rt, 0, 1, 77);
	router_link_down(f->rt, 0, 5);
	assert_int_equal(link_of(f->rt, 1), 2);
	/* The same number, but somebody else's. */
	router_link_up(f->rt, 0, 0xb);
	assert_int_equal(link_of(f->rt, 1), 2);
	router_link_down(f->rt, 2, 6);
	assert_int_equal(link_of(f->rt, 1), ROUTER_NO_LINK);
	router_link_up(f->rt, 5, 0xa);
	assert_int_equal(link_of(f->rt, 1), 5);
	/* Its own one again. */
	router_link_down(f->rt, 0, 7);
	router_link_up(f->rt, 0, 0xa);
	assert_int_equal(link_of(f->rt, 1), 0);
}

static void test_a_link_that_is_down_can_do_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(add(f->rt, 0, 1, 77), ROUTER_FULL);
	assert_false(del(f->rt, 0, 1, 77));
	router_link_up(f->rt, 0, 0xa);
	add(f->rt, 0, 1, 77);
	router_link_down(f->rt, 0, 5);
	router_link_down(f->rt, 0, 6);
	assert_true(router_ownerless_us(f->rt) == 5);
	assert_false(del(f->rt, 0, 1, 77));
	assert_int_equal(router_routes(f->rt), 1);
}

static void test_expiry(void **state)
{
	struct fixture *f = *state;
	struct router_dropped dropped = {0};

	router_link_up(f->rt, 0, 0xa);
	router_link_up(f->rt, 1, 0xb);
	assert_true(router_ownerless_us(f->rt) == UINT64_MAX);
	add(f->rt, 0, 1, 77);
	add(f->rt, 0, 2, 78);
	add(f->rt, 1, 3, 79);
	router_link_down(f->rt, 0, 50);
	assert_true(router_ownerless_us(f->rt) == 50);
	assert_false(router_expire(f->rt, 49, &dropped));
	assert_int_equal(dropped.ownerless, 0);
	assert_int_equal(expire_all(f->rt, 50), 2);
	assert_true(router_ownerless_us(f->rt) == UINT64_MAX);
	assert_int_equal(link_of(f->rt, 1), -1);
	assert_int_equal(link_of(f->rt, 3), 1);
	assert_int_equal(router_routes(f->rt), 1);
	/* Free for everybody. */
	assert_int_equal(add(f->rt, 1, 1, 80), ROUTER_ADDED);
}

static void test_back_in_time(void **state)
{
	struct fixture *f = *state;

	router_link_up(f->rt, 0, 0xa);
	add(f->rt, 0, 1, 77);
	router_link_down(f->rt, 0, 50);
	router_link_up(f->rt, 4, 0xa);
	assert_true(router_ownerless_us(f->rt) == UINT64_MAX);
	assert_int_equal(expire_all(f->rt, 1000000), 0);
	assert_int_equal(link_of(f->rt, 1), 4);
}

static uint32_t still_there(const struct router *rt, uint32_t count)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++)
		n += link_of(rt, i) >= 0;
	return n;
}

/* Comes back in the middle of the sweep: what is left stays. */
static void test_back_in_the_middle(void **state)
{
	const uint32_t count = 3 * ROUTER_SWEEP;
	struct fixture *f = *state;
	struct router_dropped dropped = {0};

	router_link_up(f->rt, 0, 0xa);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(add(f->rt, 0, i, i), ROUTER_ADDED);
	router_link_down(f->rt, 0, 50);
	assert_true(router_expire(f->rt, 50, &dropped));
	assert_int_equal(dropped.ownerless, ROUTER_SWEEP);
	assert_int_equal(router_routes(f->rt), count - ROUTER_SWEEP);
	assert_true(router_ownerless_us(f->rt) == UINT64_MAX);
	router_link_up(f->rt, 1, 0xa);
	assert_int_equal(expire_all(f->rt, 50), 0);
	assert_int_equal(still_there(f->rt, count), count - ROUTER_SWEEP);
	/* And its end comes later all the same. */
	router_link_down(f->rt, 1, 60);
	assert_true(router_ownerless_us(f->rt) == 60);
	assert_int_equal(expire_all(f->rt, 60), count - ROUTER_SWEEP);
	assert_int_equal(still_there(f->rt, count), 0);
}

/* Goes again before the sweep is over, which is not about it any more. */
static void test_gone_again_in_the_middle(void **state)
{
	struct fixture *f = *state;
	struct router_dropped dropped = {0};

	router_link_up(f->rt, 0, 0xa);
	for (uint32_t i = 0; i < 2 * ROUTER_SWEEP; i++)
		add(f->rt, 0, i, i);
	router_link_down(f->rt, 0, 50);
	router_expire(f->rt, 50, &dropped);
	router_link_up(f->rt, 0, 0xa);
	router_link_down(f->rt, 0, 70);
	assert_true(router_ownerless_us(f->rt) == 70);
	assert_int_equal(expire_all(f->rt, 69), 0);
	assert_int_equal(router_routes(f->rt), ROUTER_SWEEP);
	assert_int_equal(expire_all(f->rt, 70), ROUTER_SWEEP);
}

/* ---- rounds ---- */

static bool begins(struct router *rt, uint32_t link_id, uint32_t number)
{
	struct wire_round round = {.number = number};

	return router_round(rt, link_id, &round);
}

static bool ends(struct router *rt, uint32_t link_id, uint32_t number)
{
	struct wire_round round = {.number = number, .ended = true};

	return router_round(rt, link_id, &round);
}

static uint64_t sweep_untold(struct router *rt)
{
	struct router_dropped dropped = {0};

	while (router_expire(rt, 0, &dropped))
		;
	assert_int_equal(dropped.ownerless, 0);
	return dropped.untold;
}

/* Links 0 and 1 of one instance with routes 1 and 2, link 2 of another with
 * route 3; all told in round 4. */
static struct router *in_round_four(void **state)
{
	struct router *rt = ((struct fixture *)*state)->rt;

	for (uint32_t link = 0; link < 3; link++)
		router_link_up(rt, link, link < 2 ? 0xa : 0xb);
	for (uint32_t link = 0; link < 3; link++) {
		begins(rt, link, 4);
		add(rt, link, link + 1, 70 + link);
	}
	for (uint32_t link = 0; link < 3; link++)
		assert_int_equal(ends(rt, link, 4), link > 0);
	assert_int_equal(sweep_untold(rt), 0);
	return rt;
}

static void test_a_round_drops_what_it_leaves_out(void **state)
{
	struct router *rt = in_round_four(state);

	begins(rt, 0, 5);
	begins(rt, 1, 5);
	add(rt, 1, 1, 70); /* by another link than before */
	assert_false(ends(rt, 1, 5));
	assert_int_equal(sweep_untold(rt), 0);
	assert_false(ends(rt, 1, 5)); /* twice is once */
	assert_true(ends(rt, 0, 5));
	assert_int_equal(sweep_untold(rt), 1);
	assert_int_equal(link_of(rt, 1), 1);
	assert_int_equal(link_of(rt, 2), -1);
	assert_int_equal(link_of(rt, 3), 2);
	/* and it was free for others from then on */
	assert_int_equal(add(rt, 2, 2, 90), ROUTER_ADDED);
	assert_int_equal(sweep_untold(rt), 0);
}

/* A registration that was sent before the round, on a link that is slower. */
static void test_a_late_word_takes_nothing_back(void **state)
{
	struct router *rt = in_round_four(state);

	begins(rt, 0, 5);
	add(rt, 0, 1, 70);
	add(rt, 0, 2, 71);
	add(rt, 1, 1, 70);
	begins(rt, 1, 5);
	ends(rt, 0, 5);
	assert_true(ends(rt, 1, 5));
	assert_int_equal(sweep_untold(rt), 0);
	assert_int_equal(router_routes(rt), 3);
}

/* Something of the round may have been lost with a link. */
static void test_a_disturbed_round_says_nothing(void **state)
{
	struct router *rt = in_round_four(state);

	begins(rt, 0, 5);
	begins(rt, 1, 5);
	router_link_down(rt, 1, 50);
	assert_false(ends(rt, 0, 5));
	assert_int_equal(sweep_untold(rt), 0);
	begins(rt, 0, 6);
	router_link_up(rt, 1, 0xa);
	assert_false(ends(rt, 0, 6));
	assert_false(ends(rt, 1, 6)); /* has not begun there */
	begins(rt, 0, 7);
	begins(rt, 1, 7);
	assert_false(ends(rt, 0, 6));
	ends(rt, 0, 7);
	assert_true(ends(rt, 1, 7));
	assert_int_equal(sweep_untold(rt), 2);
	assert_int_equal(router_routes(rt), 1);
}

/* What is told while the sweep is under way stays. */
static void test_a_sweep_in_steps(void **state)
{
	struct router *rt = ((struct fixture *)*state)->rt;
	struct router_dropped dropped = {0};

	router_link_up(rt, 0, 0xa);
	for (uint32_t i = 0; i < 3 * ROUTER_SWEEP; i++)
		add(rt, 0, i, i);
	begins(rt, 0, 1);
	assert_true(ends(rt, 0, 1));
	assert_true(router_expire(rt, 0, &dropped));
	assert_int_equal(dropped.untold, ROUTER_SWEEP);
	add(rt, 0, 3 * ROUTER_SWEEP - 1, 5);
	while (router_expire(rt, 0, &dropped))
		;
	assert_int_equal(dropped.untold, 3 * ROUTER_SWEEP - 1);
	assert_int_equal(link_of(rt, 3 * ROUTER_SWEEP - 1), 0);
}

static void test_rounds_of_a_link_that_is_down(void **state)
{
	struct router *rt = ((struct fixture *)*state)->rt;

	assert_false(begins(rt, 0, 1));
	assert_false(ends(rt, 0, 1));
	assert_int_equal(sweep_untold(rt), 0);
}

static void test_too_many_instances(void **state)
{
	struct fixture *f = *state;
	uint32_t i;

	for (i = 0; i < ROUTER_INSTANCES_MAX; i++)
		assert_true(router_link_up(f->rt, i, 1000 + i));
	assert_false(router_link_up(f->rt, i, 5));
	assert_int_equal(add(f->rt, i, 1, 77), ROUTER_FULL);
	/* A second link of a known one is none more. */
	assert_true(router_link_up(f->rt, i + 1, 1000));
	/* One that goes without a route makes room at once. */
	router_link_down(f->rt, 3, 50);
	assert_true(router_link_up(f->rt, 3, 5));
	/* One with a route does not. */
	add(f->rt, 4, 1, 77);
	router_link_down(f->rt, 4, 50);
	assert_false(router_link_up(f->rt, 4, 6));
	assert_int_equal(expire_all(f->rt, 50), 1);
	assert_true(router_link_up(f->rt, 4, 6));
}

static void test_no_memory(void **state)
{
	(void)state;
	for (unsigned fail_at = 1; fail_at < 8; fail_at++) {
		struct counted_mem m;
		struct router *rt;

		counted_mem_init(&m, fail_at);
		rt = router_new(ROUTES_MAX, LINKS, &key, &m.mem);
		assert_int_equal(rt == NULL, m.calls >= fail_at);
		if (rt)
			router_free(rt, &m.mem);
		assert_int_equal(m.live_bytes, 0);
	}
}

/* ---- against a model ---- */

#define CLIENTS	  8u
#define TARGETS	  3u
#define INSTANCES 4u

struct model_route {
	bool there;
	uint64_t route_id;
	uint32_t instance, link;
};

struct model {
	struct model_route routes[CLIENTS][TARGETS];
	int link[LINKS]; /* instance, or -1 */
	uint64_t down_us[INSTANCES];
};

static unsigned links_of(const struct model *m, uint32_t instance)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LINKS; i++)
		n += m->link[i] == (int)instance;
	return n;
}

static uint32_t routes_of(const struct model *m, int instance)
{
	uint32_t n = 0;

	for (unsigned c = 0; c < CLIENTS; c++)
		for (unsigned t = 0; t < TARGETS; t++)
			n += m->routes[c][t].there &&
			     (int)m->routes[c][t].instance == instance;
	return n;
}

static uint32_t routes_in(const struct model *m)
{
	uint32_t n = 0;

	for (unsigned c = 0; c < CLIENTS; c++)
		for (unsigned t = 0; t < TARGETS; t++)
			n += m->routes[c][t].there;
	return n;
}

static void model_link(struct model *m, struct router *rt, uint32_t link,
		       uint32_t instance, uint64_t now_us)
{
	int was = m->link[link];

	if (was >= 0) {
		router_link_down(rt, link, now_us);
		m->link[link] = -1;
		if (links_of(m, (uint32_t)was) == 0)
			m->down_us[was] = now_us;
		return;
	}
	assert_true(router_link_up(rt, link, 0xabc + instance));
	m->link[link] = (int)instance;
}

static void model_add(struct model *m, struct router *rt, uint32_t link,
		      uint32_t c, uint32_t t, uint64_t route_id)
{
	struct wire_route wr = route_of(c, t, route_id);
	struct model_route *r = &m->routes[c][t];
	enum router_result want = ROUTER_ADDED;

	if (m->link[link] < 0)
		want = ROUTER_FULL;
	else if (r->there && (int)r->instance != m->link[link])
		want = ROUTER_REFUSED;
	else if (r->there &&
		 (uint32_t)((route_id >> 32) - (r->route_id >> 32)) > INT32_MAX)
		want = ROUTER_LATE;
	else if (!r->there && (routes_in(m) == ROUTES_MAX ||
			       routes_of(m, m->link[link]) == SHARE))
		want = ROUTER_FULL;
	assert_int_equal(router_add(rt, link, &wr), want);
	if (want == ROUTER_ADDED)
		*r = (struct model_route){true, route_id,
					  (uint32_t)m->link[link], link};
}

static void model_del(struct model *m, struct router *rt, uint32_t link,
		      uint32_t c, uint32_t t, bool right_id)
{
	struct model_route *r = &m->routes[c][t];
	struct wire_route wr = route_of(c, t, r->route_id + !right_id);
	bool want = r->there && right_id && m->link[link] >= 0 &&
		    (int)r->instance == m->link[link];

	assert_int_equal(router_del(rt, link, &wr), want);
	if (want)
		r->there = false;
}

static void model_expire(struct model *m, struct router *rt, uint64_t before_us)
{
	uint64_t want = 0;

	for (unsigned c = 0; c < CLIENTS; c++) {
		for (unsigned t = 0; t < TARGETS; t++) {
			struct model_route *r = &m->routes[c][t];

			if (!r->there || links_of(m, r->instance) > 0 ||
			    m->down_us[r->instance] > before_us)
				continue;
			r->there = false;
			want++;
		}
	}
	assert_int_equal(expire_all(rt, before_us), want);
}

static void compare_one(const struct model *m, const struct router *rt,
			uint32_t c, uint32_t t)
{
	const struct model_route *r = &m->routes[c][t];
	struct router_hit hit;

	assert_int_equal(find(rt, c, t, &hit), r->there);
	if (!r->there)
		return;
	assert_true(hit.route_id == r->route_id);
	assert_int_equal(hit.iss, (uint32_t)r->route_id * 3);
	if (links_of(m, r->instance) == 0)
		assert_int_equal(hit.link_id, ROUTER_NO_LINK);
	else if (m->link[r->link] == (int)r->instance)
		assert_int_equal(hit.link_id, r->link);
	else
		assert_int_equal(m->link[hit.link_id], r->instance);
}

static uint64_t model_ownerless_us(const struct model *m)
{
	uint64_t first = UINT64_MAX;

	for (unsigned c = 0; c < CLIENTS; c++) {
		for (unsigned t = 0; t < TARGETS; t++) {
			const struct model_route *r = &m->routes[c][t];

			if (r->there && links_of(m, r->instance) == 0 &&
			    m->down_us[r->instance] < first)
				first = m->down_us[r->instance];
		}
	}
	return first;
}

static void compare(const struct model *m, const struct router *rt)
{
	for (uint32_t c = 0; c < CLIENTS; c++)
		for (uint32_t t = 0; t < TARGETS; t++)
			compare_one(m, rt, c, t);
	assert_int_equal(router_routes(rt), routes_in(m));
	assert_true(router_ownerless_us(rt) == model_ownerless_us(m));
}

static void test_against_a_model(void **state)
{
	struct fixture *f = *state;
	struct dice d = {2026};
	struct model m = {.link = {0}};

	memset(m.link, -1, sizeof(m.link));
	for (uint64_t now_us = 1; now_us < 60000; now_us++) {
		uint32_t link = dice_below(&d, LINKS);
		uint32_t c = dice_below(&d, CLIENTS);
		uint32_t t = dice_below(&d, TARGETS);
		uint32_t what = dice_below(&d, 100);

		if (what < 10)
			model_link(&m, f->rt, link, dice_below(&d, INSTANCES),
				   now_us);
		else if (what < 60)
			model_add(&m, f->rt, link, c, t, dice_u64(&d));
		else if (what < 95)
			model_del(&m, f->rt, link, c, t, dice_below(&d, 4));
		else
			model_expire(&m, f->rt,
				     now_us - dice_below(&d, (uint32_t)now_us));
		compare(&m, f->rt);
	}
}

#define ROUTER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define LARGE_ROUTER_TEST(f)                                                   \
	cmocka_unit_test_setup_teardown(f, setup_large, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROUTER_TEST(test_find_what_was_added),
		ROUTER_TEST(test_same_instance_replaces),
		ROUTER_TEST(test_an_earlier_one_comes_late),
		ROUTER_TEST(test_another_instance_is_refused),
		ROUTER_TEST(test_full),
		ROUTER_TEST(test_the_share_of_one),
		ROUTER_TEST(test_routes_go_by_another_link),
		ROUTER_TEST(test_a_link_that_is_down_can_do_nothing),
		ROUTER_TEST(test_expiry),
		ROUTER_TEST(test_back_in_time),
		LARGE_ROUTER_TEST(test_back_in_the_middle),
		LARGE_ROUTER_TEST(test_gone_again_in_the_middle),
		ROUTER_TEST(test_a_round_drops_what_it_leaves_out),
		ROUTER_TEST(test_a_late_word_takes_nothing_back),
		ROUTER_TEST(test_a_disturbed_round_says_nothing),
		LARGE_ROUTER_TEST(test_a_sweep_in_steps),
		ROUTER_TEST(test_rounds_of_a_link_that_is_down),
		LARGE_ROUTER_TEST(test_too_many_instances),
		cmocka_unit_test(test_no_memory),
		ROUTER_TEST(test_against_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
