// SPDX-License-Identifier: BSD-2-Clause
/* rtnetlink's messages: routes, neighbours, devices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/if_arp.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "io/next_hop_message.h"

static const uint8_t mac[MAC_BYTES] = {2, 0, 0, 0, 0, 9};
static const uint8_t v4[4] = {192, 0, 2, 2};
static const uint8_t v6[16] = {0x20, 1, 0xd, 0xb8, [15] = 2};

static _Alignas(8) uint8_t buf[1024];

static struct nlmsghdr *message(uint16_t type)
{
	struct nlmsghdr *nlh;

	memset(buf, 0, sizeof(buf));
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = type;
	return nlh;
}

/* ---- routes ---- */

static struct rtmsg *add_route(struct nlmsghdr *nlh, uint8_t family,
			       uint8_t len)
{
	struct rtmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	m->rtm_family = family;
	m->rtm_dst_len = len;
	m->rtm_type = RTN_UNICAST;
	return m;
}

static void assert_addr(const struct ip_addr *a, const char *text)
{
	char got[ADDR_TEXT_MAX];

	assert_string_equal(addr_text(a, got), text);
}

static void test_route_by_a_gateway(void **state)
{
	const uint8_t gateway[4] = {192, 0, 2, 254};
	struct nlmsghdr *nlh = message(RTM_NEWROUTE);
	struct nlattr *metrics;
	struct hop_route r;

	(void)state;
	add_route(nlh, AF_INET, 24);
	mnl_attr_put(nlh, RTA_DST, 4, v4);
	mnl_attr_put(nlh, RTA_GATEWAY, 4, gateway);
	mnl_attr_put_u32(nlh, RTA_OIF, 7);
	mnl_attr_put_u32(nlh, RTA_PRIORITY, 100);
	metrics = mnl_attr_nest_start(nlh, RTA_METRICS);
	mnl_attr_put_u32(nlh, RTAX_ADVMSS, 900);
	mnl_attr_put_u32(nlh, RTAX_MTU, 1400);
	mnl_attr_nest_end(nlh, metrics);
	assert_true(hop_route_parse(&r, nlh));
	assert_addr(&r.to.addr, "192.0.2.2");
	assert_int_equal(r.to.len, 96 + 24);
	assert_addr(&r.gateway, "192.0.2.254");
	assert_int_equal(r.ifindex, 7);
	assert_int_equal(r.mtu_bytes, 1400);
	assert_true(r.unicast);
	assert_false(r.local);
	assert_false(r.encapsulated);
}

static void test_route_to_itself(void **state)
{
	struct nlmsghdr *nlh = message(RTM_NEWROUTE);
	struct hop_route r;

	(void)state;
	add_route(nlh, AF_INET6, 128);
	mnl_attr_put(nlh, RTA_DST, 16, v6);
	assert_true(hop_route_parse(&r, nlh));
	assert_addr(&r.to.addr, "2001:db8::2");
	assert_int_equal(r.to.len, 128);
	assert_true(addr_is_none(&r.gateway));
	assert_int_equal(r.mtu_bytes, 0);
}

/* The default route names no destination; one that goes counts as well. */
static void test_default_route(void **state)
{
	const struct ip_addr some4 = addr_from_v4(v4), some6 = addr_from_v6(v6);
	struct nlmsghdr *nlh = message(RTM_DELROUTE);
	struct hop_route r;

	(void)state;
	add_route(nlh, AF_INET, 0);
	assert_true(hop_route_parse(&r, nlh));
	assert_true(addr_in_prefix(&some4, &r.to));
	assert_false(addr_in_prefix(&some6, &r.to));
	nlh = message(RTM_DELROUTE);
	add_route(nlh, AF_INET6, 0);
	assert_true(hop_route_parse(&r, nlh));
	assert_true(addr_in_prefix(&some6, &r.to));
}

static void test_gateway_of_the_other_family(void **state)
{
	uint8_t via[2 + 16] = {0};
	uint16_t family = AF_INET6;
	struct nlmsghdr *nlh = message(RTM_NEWROUTE);
	struct hop_route r;

	(void)state;
	memcpy(via, &family, sizeof(family));
	memcpy(via + 2, v6, 16);
	add_route(nlh, AF_INET, 32);
	mnl_attr_put(nlh, RTA_DST, 4, v4);
	mnl_attr_put(nlh, RTA_VIA, sizeof(via), via);
	assert_true(hop_route_parse(&r, nlh));
	assert_addr(&r.gateway, "2001:db8::2");
}

static void test_other_routes(void **state)
{
	struct nlmsghdr *nlh = message(RTM_NEWROUTE);
	struct rtmsg *m = add_route(nlh, AF_INET, 32);
	struct hop_route r;

	(void)state;
	m->rtm_type = RTN_LOCAL;
	mnl_attr_put_u16(nlh, RTA_ENCAP_TYPE, 1);
	assert_true(hop_route_parse(&r, nlh));
	assert_true(r.local);
	assert_false(r.unicast);
	assert_true(r.encapsulated);
}

static void test_broken_routes(void **state)
{
	struct nlattr *metrics;
	struct hop_route r;
	struct nlmsghdr *nlh = message(RTM_NEWROUTE);

	(void)state;
	assert_false(hop_route_parse(&r, nlh)); /* no header */
	add_route(nlh, AF_INET, 33);
	assert_false(hop_route_parse(&r, nlh));
	nlh = message(RTM_NEWROUTE);
	add_route(nlh, AF_UNIX, 0);
	assert_false(hop_route_parse(&r, nlh));
	nlh = message(RTM_NEWROUTE);
	add_route(nlh, AF_INET, 32);
	mnl_attr_put(nlh, RTA_DST, 16, v6);
	assert_false(hop_route_parse(&r, nlh));
	nlh = message(RTM_NEWROUTE);
	add_route(nlh, AF_INET, 32);
	mnl_attr_put_u16(nlh, RTA_OIF, 1);
	assert_false(hop_route_parse(&r, nlh));
	nlh = message(RTM_NEWROUTE);
	add_route(nlh, AF_INET, 32);
	mnl_attr_put(nlh, RTA_VIA, 1, v4);
	assert_false(hop_route_parse(&r, nlh));
	nlh = message(RTM_NEWROUTE);
	add_route(nlh, AF_INET, 32);
	metrics = mnl_attr_nest_start(nlh, RTA_METRICS);
	mnl_attr_put_u16(nlh, RTAX_MTU, 1400);
	mnl_attr_nest_end(nlh, metrics);
	assert_false(hop_route_parse(&r, nlh));
	nlh = message(RTM_NEWNEIGH);
	add_route(nlh, AF_INET, 32);
	assert_false(hop_route_parse(&r, nlh));
}

/* ---- neighbours ---- */

static bool parse_neighbour(struct hop_neighbour *n, uint16_t type,
			    uint16_t state, size_t mac_bytes)
{
	struct nlmsghdr *nlh = message(type);
	struct ndmsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	m->ndm_family = AF_INET;
	m->ndm_ifindex = 7;
	m->ndm_state = state;
	mnl_attr_put(nlh, NDA_DST, 4, v4);
	if (mac_bytes)
		mnl_attr_put(nlh, NDA_LLADDR, mac_bytes, mac);
	return hop_neighbour_parse(n, nlh);
}

static void test_known_neighbours(void **state)
{
	static const uint16_t known[] = {NUD_PERMANENT, NUD_NOARP, NUD_PROBE,
					 NUD_REACHABLE, NUD_DELAY, NUD_STALE};
	struct hop_neighbour n;

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		assert_true(parse_neighbour(&n, RTM_NEWNEIGH, known[i], 6));
		assert_true(n.known);
		assert_int_equal(n.stale, known[i] == NUD_STALE);
		assert_memory_equal(n.mac, mac, MAC_BYTES);
		assert_int_equal(n.ifindex, 7);
		assert_addr(&n.addr, "192.0.2.2");
	}
}

static void test_unknown_neighbours(void **state)
{
	struct hop_neighbour n;

	(void)state;
	assert_true(parse_neighbour(&n, RTM_NEWNEIGH, NUD_FAILED, 6));
	assert_false(n.known);
	assert_true(parse_neighbour(&n, RTM_NEWNEIGH, NUD_INCOMPLETE, 0));
	assert_false(n.known);
	assert_true(parse_neighbour(&n, RTM_DELNEIGH, NUD_REACHABLE, 6));
	assert_false(n.known);
	/* Known, but not as a MAC. */
	assert_true(parse_neighbour(&n, RTM_NEWNEIGH, NUD_REACHABLE, 4));
	assert_false(n.known);
	assert_true(parse_neighbour(&n, RTM_NEWNEIGH, NUD_REACHABLE, 0));
	assert_false(n.known);
}

static void test_no_neighbours(void **state)
{
	struct nlmsghdr *nlh = message(RTM_NEWNEIGH);
	struct hop_neighbour n;
	struct ndmsg *m;

	(void)state;
	assert_false(hop_neighbour_parse(&n, nlh));
	/* A bridge's entry has no address. */
	m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	m->ndm_family = AF_BRIDGE;
	mnl_attr_put(nlh, NDA_LLADDR, MAC_BYTES, mac);
	assert_false(hop_neighbour_parse(&n, nlh));
	mnl_attr_put(nlh, NDA_DST, 4, v4);
	assert_false(hop_neighbour_parse(&n, nlh));
	assert_false(parse_neighbour(&n, RTM_NEWLINK, NUD_REACHABLE, 6));
}

/* ---- devices ---- */

static bool parse_device(struct hop_device *d, uint16_t type, uint16_t kind,
			 unsigned flags, const char *name)
{
	struct nlmsghdr *nlh = message(type);
	struct ifinfomsg *m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));

	m->ifi_index = 7;
	m->ifi_type = kind;
	m->ifi_flags = flags;
	mnl_attr_put(nlh, IFLA_ADDRESS, MAC_BYTES, mac);
	mnl_attr_put_u32(nlh, IFLA_MTU, 1500);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	return hop_device_parse(d, nlh);
}

static void test_devices(void **state)
{
	const unsigned up = IFF_UP | IFF_BROADCAST;
	struct hop_device d;

	(void)state;
	assert_true(parse_device(&d, RTM_NEWLINK, ARPHRD_ETHER, up, "eth0"));
	assert_true(d.ethernet);
	assert_string_equal(d.name, "eth0");
	assert_int_equal(d.mtu_bytes, 1500);
	assert_int_equal(d.ifindex, 7);
	assert_memory_equal(d.mac, mac, MAC_BYTES);
	assert_true(parse_device(&d, RTM_NEWLINK, ARPHRD_NONE, up, "tun0"));
	assert_false(d.ethernet);
	assert_true(parse_device(&d, RTM_NEWLINK, ARPHRD_LOOPBACK,
				 up | IFF_LOOPBACK, "lo"));
	assert_false(d.ethernet);
	assert_true(parse_device(&d, RTM_NEWLINK, ARPHRD_ETHER, up | IFF_NOARP,
				 "vrf0"));
	assert_false(d.ethernet);
	assert_true(parse_device(&d, RTM_DELLINK, ARPHRD_ETHER, up, "eth0"));
	assert_false(d.ethernet);
}

static void test_no_devices(void **state)
{
	struct nlmsghdr *nlh = message(RTM_NEWLINK);
	struct hop_device d;

	(void)state;
	assert_false(hop_device_parse(&d, nlh));
	assert_false(parse_device(&d, RTM_NEWLINK, ARPHRD_ETHER, IFF_UP,
				  "longer-than-16-b"));
	assert_true(parse_device(&d, RTM_NEWLINK, ARPHRD_ETHER, IFF_UP,
				 "with-15-letters"));
	assert_false(parse_device(&d, RTM_NEWADDR, ARPHRD_ETHER, IFF_UP, "e"));
	/* Without an address. */
	nlh = message(RTM_NEWLINK);
	((struct ifinfomsg *)mnl_nlmsg_put_extra_header(
		 nlh, sizeof(struct ifinfomsg)))
		->ifi_index = 1;
	assert_true(hop_device_parse(&d, nlh));
	assert_false(d.ethernet);
}

/* ---- what we ask ---- */

/* The kernel takes them: what it answers is parsed in the lab. Here: what is
 * in them. */
static void test_questions(void **state)
{
	const struct ip_addr a = addr_from_v4(v4), b = addr_from_v6(v6);
	struct nlmsghdr *nlh = hop_route_question(buf, &a, 5);
	const struct rtmsg *route = mnl_nlmsg_get_payload(nlh);
	const struct ndmsg *neighbour;

	(void)state;
	assert_int_equal(nlh->nlmsg_type, RTM_GETROUTE);
	assert_int_equal(nlh->nlmsg_seq, 5);
	assert_int_equal(nlh->nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK);
	assert_int_equal(route->rtm_family, AF_INET);
	assert_int_equal(route->rtm_dst_len, 32);
	nlh = hop_neighbour_question(buf, &b, 7, 6);
	neighbour = mnl_nlmsg_get_payload(nlh);
	assert_int_equal(neighbour->ndm_family, AF_INET6);
	assert_int_equal(neighbour->ndm_ifindex, 7);
	nlh->nlmsg_type = RTM_NEWNEIGH;
	assert_true(hop_neighbour_parse(&(struct hop_neighbour){0}, nlh));
	nlh = hop_device_question(buf, 7, 7);
	assert_int_equal(nlh->nlmsg_type, RTM_GETLINK);
	assert_true(nlh->nlmsg_len <= NEXT_HOP_QUESTION_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_route_by_a_gateway),
		cmocka_unit_test(test_route_to_itself),
		cmocka_unit_test(test_default_route),
		cmocka_unit_test(test_gateway_of_the_other_family),
		cmocka_unit_test(test_other_routes),
		cmocka_unit_test(test_broken_routes),
		cmocka_unit_test(test_known_neighbours),
		cmocka_unit_test(test_unknown_neighbours),
		cmocka_unit_test(test_no_neighbours),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_no_devices),
		cmocka_unit_test(test_questions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
