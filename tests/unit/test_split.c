// SPDX-License-Identifier: BSD-2-Clause
/* Each port is one worker's, in the engine and in the kernel's program alike.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pcap/pcap.h>
#include <string.h>

#include "core/bytes.h"
#include "core/packet.h"
#include "io/split_filter.h"

static unsigned owners(unsigned count, uint16_t port, unsigned *owner)
{
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++) {
		const struct split s = {count, i};

		if (!split_is_ours(&s, port))
			continue;
		*owner = i;
		n++;
	}
	return n;
}

static void test_a_port_has_one_owner(void **state)
{
	unsigned owner;

	(void)state;
	for (unsigned count = 2; count <= 32; count += 3)
		for (unsigned port = 0; port < 65536; port += 7)
			assert_int_equal(owners(count, (uint16_t)port, &owner),
					 1);
}

static void test_one_worker_owns_all(void **state)
{
	const struct split none = {.count = 0}, one = {1, 0};

	(void)state;
	for (unsigned port = 0; port < 65536; port++)
		assert_true(split_is_ours(&none, (uint16_t)port) &&
			    split_is_ours(&one, (uint16_t)port));
}

/* Many clients take even ports only, one after the other. */
static void test_runs_of_ports_are_spread(void **state)
{
	(void)state;
	for (unsigned count = 2; count <= 8; count++)
		for (unsigned step = 1; step <= 4; step++) {
			unsigned got[8] = {0}, owner = 0, all = 0;

			for (unsigned p = 32768; p < 61000; p += step, all++) {
				owners(count, (uint16_t)p, &owner);
				got[owner]++;
			}
			for (unsigned i = 0; i < count; i++) {
				assert_true(got[i] * count > all * 9 / 10);
				assert_true(got[i] * count < all * 11 / 10);
			}
		}
}

static void test_parts_make_up_the_whole(void **state)
{
	static const uint64_t wholes[] = {1, 5, 31, 1000, 123456789012};

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		for (unsigned count = 1; count <= 32; count++) {
			uint64_t sum = 0;

			for (unsigned k = 0; k < count; k++) {
				const struct split s = {count, k};
				uint64_t part = split_part(&s, wholes[i]);

				assert_true(part <= wholes[i] / count + 1);
				sum += part;
			}
			assert_int_equal(sum, wholes[i]);
		}
	assert_int_equal(split_part(&(struct split){3, 0}, 0), 0);
}

/* ---- the same as BPF ---- */

static size_t build(uint8_t *out, size_t cap, bool v4, uint16_t port)
{
	struct segment seg = {.seq = 1, .flags = TCP_ACK};

	memset(&seg.tuple.src.addr, 0x20, sizeof(seg.tuple.src.addr));
	memset(&seg.tuple.dst.addr, 0x21, sizeof(seg.tuple.dst.addr));
	if (v4) {
		seg.tuple.src.addr =
			addr_from_v4((const uint8_t[4]){192, 0, 2, 7});
		seg.tuple.dst.addr =
			addr_from_v4((const uint8_t[4]){192, 0, 2, 1});
	}
	seg.tuple.src.port = port;
	seg.tuple.dst.port = 80;
	return packet_build(out, cap, &seg, 0);
}

static unsigned run(const struct sock_filter *code, const uint8_t *l3,
		    size_t len)
{
	return bpf_filter((const struct bpf_insn *)code, l3, (u_int)len,
			  (u_int)len);
}

static bool passes(const struct split *s, const uint8_t *l3, size_t len)
{
	static const struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, 1);
	struct sock_filter code[SPLIT_FILTER_MAX + 1];
	size_t n = split_filter(code, s);

	assert_true(n <= SPLIT_FILTER_MAX);
	code[n] = all;
	return run(code, l3, len);
}

static void assert_as_the_engine(const uint8_t *l3, size_t len, uint16_t port)
{
	struct sock_filter code[SPLIT_FILTER_MAX];

	assert_true(split_filter_fanout(code) <= SPLIT_FILTER_MAX);
	assert_int_equal(run(code, l3, len), split_hash(port));
	for (unsigned count = 1; count <= 5; count++)
		for (unsigned i = 0; i < count; i++) {
			const struct split s = {count, i};

			assert_int_equal(passes(&s, l3, len),
					 split_is_ours(&s, port));
		}
}

/* The same packet, the other way. */
static void assert_answers(uint8_t *l3, size_t len, uint16_t port)
{
	uint8_t *ports = l3 + (l3[0] >> 4 == 6 ? 40 : 4 * (l3[0] & 15));
	struct sock_filter code[SPLIT_FILTER_MAX];

	ports[2] = (uint8_t)(port >> 8);
	ports[3] = (uint8_t)port;
	for (unsigned count = 2; count <= 5; count++)
		for (unsigned i = 0; i < count; i++) {
			const struct split s = {count, i};

			assert_true(split_filter_answer(code, &s) <=
				    SPLIT_FILTER_MAX);
			assert_int_equal(run(code, l3, len) != 0,
					 split_is_ours(&s, port));
		}
}

static void test_the_kernels_program(void **state)
{
	uint8_t l3[256];

	(void)state;
	for (unsigned port = 1; port < 65536; port += 101)
		for (unsigned v4 = 0; v4 < 2; v4++) {
			size_t len = build(l3, sizeof(l3), v4, (uint16_t)port);

			assert_as_the_engine(l3, len, (uint16_t)port);
			assert_answers(l3, len, (uint16_t)port);
		}
}

static void test_behind_ip_options(void **state)
{
	uint8_t l3[256];
	size_t len = build(l3, sizeof(l3), true, 4711);

	(void)state;
	memmove(l3 + 28, l3 + 20, len - 20);
	memset(l3 + 20, 1, 8);
	l3[0] = 0x47;
	assert_as_the_engine(l3, len + 8, 4711);
	assert_answers(l3, len + 8, 4711);
}

/* What is too short for a port goes to nobody. */
static void test_cut_off(void **state)
{
	const struct split s = {2, 0};
	uint8_t l3[256];

	(void)state;
	build(l3, sizeof(l3), true, 4711);
	for (size_t len = 0; len < 22; len++)
		assert_false(passes(&s, l3, len));
	build(l3, sizeof(l3), false, 4711);
	for (size_t len = 0; len < 42; len++)
		assert_false(passes(&s, l3, len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_port_has_one_owner),
		cmocka_unit_test(test_one_worker_owns_all),
		cmocka_unit_test(test_runs_of_ports_are_spread),
		cmocka_unit_test(test_parts_make_up_the_whole),
		cmocka_unit_test(test_the_kernels_program),
		cmocka_unit_test(test_behind_ip_options),
		cmocka_unit_test(test_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
