// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/bytes.h"
#include "io/capture_file.h"
#include "../helpers/temp_file.h"

#define START_US    5000000000u
#define FRAME_BYTES 60

static pcap_dumper_t *dumper;
static pcap_t *dead;

static void begin_file(int dlt)
{
	dead = pcap_open_dead(dlt, 65535);
	dumper = pcap_dump_open(dead, temp_path);
	assert_non_null(dumper);
}

/* An Ethernet or raw IPv4 frame whose packet has mark as its second byte. */
static void put_frame(int64_t sec, int64_t usec, uint8_t mark, uint32_t len)
{
	uint8_t frame[FRAME_BYTES] = {0};
	size_t at = pcap_datalink(dead) == DLT_EN10MB ? 14 : 0;
	struct pcap_pkthdr h = {.ts = {.tv_sec = sec, .tv_usec = usec},
				.caplen = FRAME_BYTES,
				.len = len};

	store_be16(frame + 12, 0x0800);
	frame[at] = 0x45;
	frame[at + 1] = mark;
	pcap_dump((u_char *)dumper, &h, frame);
}

static void end_file(void)
{
	pcap_dump_close(dumper);
	pcap_close(dead);
}

static struct capture *open_file(double accelerate, uint64_t skip_idle_us)
{
	const struct capture_file_config cfg = {.path = temp_path,
						.accelerate = accelerate,
						.skip_idle_us = skip_idle_us};
	struct capture *c;
	char err[256];

	assert_int_equal(capture_file_open(&c, &cfg, err, sizeof(err)), 0);
	return c;
}

struct seen {
	unsigned count;
	uint8_t marks[16];
	size_t cap_len, wire_len;
};

static void on_packets(void *ctx, const struct packet_bytes *packets,
		       size_t count)
{
	struct seen *s = ctx;

	assert_in_range(count, 1, CAPTURE_BATCH);
	for (const struct packet_bytes *p = packets; p < packets + count; p++) {
		assert_int_equal(p->l3[0], 0x45);
		s->marks[s->count++ % 16] = p->l3[1];
		s->cap_len = p->cap_len;
		s->wire_len = p->wire_len;
	}
}

/* Runs the file by a clock of our own, jumping from deadline to deadline.
 * Returns how long it took, and the packets in *seen. */
static uint64_t play(struct capture *c, struct seen *seen)
{
	uint64_t now_us = START_US, due_us;

	memset(seen, 0, sizeof(*seen));
	while (c->ops->dispatch(c, 3, now_us, on_packets, seen) >= 0) {
		due_us = c->ops->deadline_us(c);
		if (due_us > now_us)
			now_us = due_us;
	}
	return now_us - START_US;
}

static void test_pace(void **state)
{
	struct seen seen;
	struct capture *c;

	(void)state;
	begin_file(DLT_EN10MB);
	put_frame(1000, 900000, 1, FRAME_BYTES);
	put_frame(1001, 100000, 2, FRAME_BYTES);
	put_frame(1003, 100000, 3, FRAME_BYTES);
	end_file();
	c = open_file(1, 0);
	assert_int_equal(play(c, &seen), 2200000);
	assert_int_equal(seen.count, 3);
	assert_memory_equal(seen.marks, "\1\2\3", 3);
	assert_int_equal(seen.cap_len, FRAME_BYTES - 14);
	c->ops->close(c);
	c = open_file(4, 0);
	assert_int_equal(play(c, &seen), 550000);
	c->ops->close(c);
	c = open_file(1, 500000);
	assert_int_equal(play(c, &seen), 700000);
	c->ops->close(c);
}

static void test_not_before_time(void **state)
{
	struct seen seen = {0};
	struct capture *c;

	(void)state;
	begin_file(DLT_RAW);
	put_frame(10, 0, 1, FRAME_BYTES);
	put_frame(11, 0, 2, FRAME_BYTES);
	end_file();
	c = open_file(1, 0);
	assert_int_equal(c->ops->fd(c), -1);
	assert_int_equal(c->ops->dispatch(c, 9, START_US, on_packets, &seen),
			 1);
	assert_int_equal(c->ops->deadline_us(c), START_US + 1000000);
	assert_int_equal(
		c->ops->dispatch(c, 9, START_US + 999999, on_packets, &seen),
		0);
	assert_int_equal(
		c->ops->dispatch(c, 9, START_US + 1000000, on_packets, &seen),
		1);
	assert_int_equal(
		c->ops->dispatch(c, 9, START_US + 1000000, on_packets, &seen),
		-1);
	assert_int_equal(seen.cap_len, FRAME_BYTES);
	c->ops->close(c);
}

static void test_budget(void **state)
{
	struct seen seen = {0};
	struct capture *c;

	(void)state;
	begin_file(DLT_RAW);
	for (uint8_t i = 0; i < 5; i++)
		put_frame(10, 0, i, FRAME_BYTES);
	end_file();
	c = open_file(1, 0);
	assert_int_equal(c->ops->dispatch(c, 2, START_US, on_packets, &seen),
			 2);
	assert_int_equal(c->ops->dispatch(c, 9, START_US, on_packets, &seen),
			 3);
	c->ops->close(c);
}

static void test_stamps_back(void **state)
{
	struct seen seen;
	struct capture *c;

	(void)state;
	begin_file(DLT_RAW);
	put_frame(1000, 0, 1, FRAME_BYTES);
	put_frame(1000, 300000, 2, FRAME_BYTES);
	put_frame(1000, 200000, 3, FRAME_BYTES); /* stored out of order */
	put_frame(1000, 400000, 4, FRAME_BYTES);
	put_frame(10, 0, 5, FRAME_BYTES); /* the clock was set back */
	put_frame(10, 100000, 6, FRAME_BYTES);
	end_file();
	c = open_file(1, 0);
	assert_int_equal(play(c, &seen), 500000);
	assert_memory_equal(seen.marks, "\1\2\3\4\5\6", 6);
	c->ops->close(c);
}

static void test_stamps_hostile(void **state)
{
	struct seen seen;
	struct capture *c;

	(void)state;
	begin_file(DLT_RAW);
	put_frame(0, 0, 1, FRAME_BYTES);
	put_frame(UINT32_MAX, UINT32_MAX, 2, FRAME_BYTES);
	put_frame(INT32_MAX, 0, 3, FRAME_BYTES);
	put_frame(0, 0, 4, FRAME_BYTES);
	end_file();
	c = open_file(1, 0);
	assert_true(play(c, &seen) <= 4ull * CAPTURE_FILE_PAUSE_US);
	assert_int_equal(seen.count, 4);
	c->ops->close(c);
}

static void test_truncated_packets(void **state)
{
	struct capture_stats stats;
	struct seen seen;
	struct capture *c;

	(void)state;
	begin_file(DLT_EN10MB);
	put_frame(1, 0, 1, 1514);
	put_frame(1, 0, 2, FRAME_BYTES);
	end_file();
	c = open_file(1, 0);
	play(c, &seen);
	assert_int_equal(seen.count, 2);
	assert_int_equal(capture_file_truncated(c), 1);
	assert_null(capture_file_failure(c));
	c->ops->stats(c, &stats);
	assert_int_equal(stats.received, 2);
	assert_int_equal(stats.dropped_unusual, 0);
	c->ops->close(c);
}

static void test_wire_length(void **state)
{
	struct seen seen;
	struct capture *c;

	(void)state;
	begin_file(DLT_EN10MB);
	put_frame(1, 0, 1, 1514);
	end_file();
	c = open_file(1, 0);
	play(c, &seen);
	assert_int_equal(seen.cap_len, FRAME_BYTES - 14);
	assert_int_equal(seen.wire_len, 1500);
	c->ops->close(c);
}

static void test_cut_file(void **state)
{
	struct seen seen;
	struct capture *c;

	(void)state;
	begin_file(DLT_RAW);
	put_frame(1, 0, 1, FRAME_BYTES);
	put_frame(1, 0, 2, FRAME_BYTES);
	end_file();
	assert_int_equal(truncate(temp_path, 24 + 16 + FRAME_BYTES + 16 + 5),
			 0);
	c = open_file(1, 0);
	play(c, &seen);
	assert_int_equal(seen.count, 1);
	assert_non_null(capture_file_failure(c));
	c->ops->close(c);
}

static void test_frames_not_understood(void **state)
{
	struct capture_stats stats;
	uint8_t arp[FRAME_BYTES] = {0};
	struct pcap_pkthdr h = {.caplen = FRAME_BYTES, .len = FRAME_BYTES};
	struct seen seen;
	struct capture *c;

	(void)state;
	store_be16(arp + 12, 0x0806);
	begin_file(DLT_EN10MB);
	pcap_dump((u_char *)dumper, &h, arp);
	h.caplen = h.len = 5;
	pcap_dump((u_char *)dumper, &h, arp);
	put_frame(0, 0, 1, FRAME_BYTES);
	end_file();
	c = open_file(1, 0);
	play(c, &seen);
	assert_int_equal(seen.count, 1);
	c->ops->stats(c, &stats);
	assert_int_equal(stats.received, 3);
	assert_int_equal(stats.dropped_unusual, 2);
	c->ops->close(c);
}

static int open_error(const char *at, const char *filter, char *err)
{
	const struct capture_file_config cfg = {
		.path = at, .filter = filter, .accelerate = 1};
	struct capture *c;

	err[0] = '\0';
	return capture_file_open(&c, &cfg, err, 256);
}

static void test_refusals(void **state)
{
	char err[256];
	FILE *f;

	(void)state;
	assert_int_equal(open_error("/nonexistent", NULL, err), -EIO);
	assert_true(err[0]);
	f = fopen(temp_path, "w");
	assert_non_null(f);
	fputs("this is no capture file at all", f);
	fclose(f);
	assert_int_equal(open_error(temp_path, NULL, err), -EIO);
	begin_file(DLT_IEEE802_11);
	end_file();
	assert_int_equal(open_error(temp_path, NULL, err), -EIO);
	assert_string_equal(err, "link type IEEE802_11 is not known here");
	begin_file(DLT_EN10MB);
	end_file();
	assert_int_equal(open_error(temp_path, "no such filter", err), -EINVAL);
	assert_true(err[0]);
}

static void test_filter(void **state)
{
	const struct capture_file_config cfg = {
		.path = temp_path, .filter = "ip[1] = 2", .accelerate = 1};
	struct capture *c;
	struct seen seen;
	char err[256];

	(void)state;
	begin_file(DLT_EN10MB);
	put_frame(1, 0, 1, FRAME_BYTES);
	put_frame(1, 0, 2, FRAME_BYTES);
	end_file();
	assert_int_equal(capture_file_open(&c, &cfg, err, sizeof(err)), 0);
	play(c, &seen);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.marks[0], 2);
	c->ops->close(c);
}

static void test_empty(void **state)
{
	struct capture *c;
	struct seen seen;

	(void)state;
	begin_file(DLT_RAW);
	end_file();
	c = open_file(1, 0);
	assert_int_equal(play(c, &seen), 0);
	assert_int_equal(seen.count, 0);
	c->ops->close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pace),
		cmocka_unit_test(test_not_before_time),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_stamps_back),
		cmocka_unit_test(test_stamps_hostile),
		cmocka_unit_test(test_truncated_packets),
		cmocka_unit_test(test_wire_length),
		cmocka_unit_test(test_cut_file),
		cmocka_unit_test(test_frames_not_understood),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, temp_make, temp_remove);
}
