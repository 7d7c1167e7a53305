/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * intercept's engine with what the tests of its parts have in common: its
 * configuration, packets for it, messages of links to it and from it.
 */
#ifndef TESTS_ONE_DIVERT_H
#define TESTS_ONE_DIVERT_H

#include <stdlib.h>

#include "core/divert.h"
#include "core/packet.h"
#include "core/router.h"
#include "../helpers/counted_mem.h"
#include "../helpers/one_packet.h"

#define T0 1000000u
/* Of one instance; that is three quarters of all. */
#define ROUTES_MAX (ROUTER_SWEEP + 500)
#define ISS	   5000u

struct one_divert {
	struct counted_mem mem;
	struct addr_prefix passlist[2];
	struct divert *d;
};

static inline struct divert *one_divert_make(struct one_divert *f,
					     size_t passlist_count)
{
	struct divert_config cfg = {
		.passlist = f->passlist,
		.passlist_count = passlist_count,
		.routes_max = ROUTES_MAX / 3 * 4,
		.links_max = 8,
		.locals_max = 4,
		.relay_ports = (const uint16_t[]){443, 80},
		.relay_port_count = 2,
		.hash_key = {{9}},
	};

	return divert_new(&cfg, &f->mem.mem, T0);
}

static inline int one_divert_setup(void **state)
{
	struct one_divert *f = calloc(1, sizeof(*f));

	counted_mem_init(&f->mem, 0);
	f->passlist[0] = (struct addr_prefix){
		addr_from_v4((const uint8_t[4]){198, 51, 100, 0}), 96 + 24};
	f->passlist[1].addr.b[0] = 0xfd;
	f->passlist[1].len = 8;
	f->d = one_divert_make(f, 2);
	*state = f;
	return f->d ? 0 : -1;
}

static inline int one_divert_teardown(void **state)
{
	struct one_divert *f = *state;
	size_t live_bytes;

	divert_free(f->d, &f->mem.mem);
	live_bytes = f->mem.live_bytes;
	free(f);
	return live_bytes == 0 ? 0 : -1;
}

static inline struct endpoint client_at(uint16_t port)
{
	struct endpoint e = {.port = port};

	e.addr = addr_from_v4((const uint8_t[4]){192, 0, 2, 50});
	return e;
}

static inline struct endpoint target_end(void)
{
	struct endpoint e = {.port = 80};

	e.addr = addr_from_v4((const uint8_t[4]){203, 0, 113, 1});
	return e;
}

/* From the target to the client at that port; acknowledges a SYN of iss. */
static inline struct segment answer(uint16_t port, uint8_t flags, uint32_t iss)
{
	return (struct segment){
		.tuple = {.src = target_end(), .dst = client_at(port)},
		.seq = 900,
		.ack = iss + 1,
		.wnd = 4096,
		.flags = flags,
		.opts = {.mss_bytes = 1460},
	};
}

static inline enum verdict give(struct divert *d, const struct segment *seg,
				uint64_t now_us)
{
	uint8_t packet[PACKET_HEADER_MAX];
	size_t len = packet_build(packet, sizeof(packet), seg, 1);

	assert_int_not_equal(len, 0);
	return give_packet(d, packet, len, len, now_us);
}

static inline void say(struct divert *d, unsigned link_id, enum wire_type type,
		       uint16_t port, uint64_t route_id, uint64_t now_us)
{
	struct wire_msg m = {
		.type = type,
		.route = {.route_id = route_id,
			  .client = client_at(port),
			  .target = target_end(),
			  .iss = ISS},
	};

	divert_on_msg(d, link_id, &m, now_us);
}

static inline void add(struct divert *d, unsigned link_id, uint16_t port,
		       uint64_t route_id)
{
	say(d, link_id, WIRE_ROUTE_ADD, port, route_id, T0);
}

static inline struct wire_msg expect(struct divert *d, unsigned link_id,
				     enum wire_type type, uint64_t route_id)
{
	struct wire_msg m = {0};
	unsigned to = ~0u;

	assert_true(divert_next_msg(d, &to, &m));
	assert_int_equal(to, link_id);
	assert_int_equal(m.type, type);
	assert_true(route_id == (type == WIRE_RESPONSE ? m.response.route_id
						       : m.route.route_id));
	return m;
}

static inline void expect_none(struct divert *d)
{
	struct wire_msg m;
	unsigned to;

	assert_false(divert_next_msg(d, &to, &m));
}

/* Each packet is in exactly one place. */
static inline void assert_balance(const struct divert *d)
{
	const struct divert_counters *c = divert_counters(d);

	assert_true(c->packets == c->accepted + c->routed + c->early +
					  c->unrouted + c->malformed +
					  c->no_link);
	assert_true(c->early_delivered + c->early_expired <= c->early);
}

/* A packet that comes by a link. */
struct relayed {
	uint8_t bytes[PACKET_HEADER_MAX + 8];
	size_t len;
};

static inline bool relay(struct divert *d, unsigned link_id,
			 const struct relayed *p)
{
	struct wire_relay msg = {.l3 = p->bytes, .len = (uint16_t)p->len};
	struct four_tuple ends;

	return divert_on_relay(d, link_id, &msg, T0, &ends);
}

#define DIVERT_TEST(f)                                                         \
	cmocka_unit_test_setup_teardown(f, one_divert_setup,                   \
					one_divert_teardown)

#endif
