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

#include "io/sender_file.h"
#include "../helpers/temp_file.h"

#define SLOT_BYTES 1500

struct told {
	unsigned count;
	size_t bytes;
	uint8_t first;
};

static void on_packet(void *ctx, const uint8_t *l3, size_t len)
{
	struct told *t = ctx;

	t->count++;
	t->bytes += len;
	t->first = l3[0];
}

static struct sender *open_sender(struct told *told)
{
	const struct sender_file_config cfg = {.path = temp_path,
					       .slot_bytes = SLOT_BYTES,
					       .on_packet = on_packet,
					       .ctx = told};
	struct sender *s;
	char err[256];

	assert_int_equal(sender_file_open(&s, &cfg, err, sizeof(err)), 0);
	return s;
}

static void send_one(struct sender *s, uint8_t first, size_t len)
{
	size_t cap;
	uint8_t *slot = s->ops->reserve(s, &cap);

	assert_non_null(slot);
	assert_int_equal(cap, SLOT_BYTES);
	memset(slot, first, len);
	s->ops->commit(s, len);
}

static void test_written(void **state)
{
	struct told told = {0};
	struct sender *s = open_sender(&told);
	struct pcap_pkthdr *h;
	char err[PCAP_ERRBUF_SIZE];
	const u_char *data;
	pcap_t *in;

	(void)state;
	send_one(s, 0x45, 40);
	send_one(s, 0x60, SLOT_BYTES);
	s->ops->flush(s);
	assert_int_equal(s->ops->stats(s)->sent, 2);
	assert_int_equal(s->ops->stats(s)->refused, 0);
	assert_int_equal(told.count, 2);
	assert_int_equal(told.bytes, 40 + SLOT_BYTES);
	assert_int_equal(told.first, 0x60);

	/* Flushed is written: the sender is still open. */
	in = pcap_open_offline(temp_path, err);
	assert_non_null(in);
	assert_int_equal(pcap_datalink(in), DLT_RAW);
	assert_int_equal(pcap_next_ex(in, &h, &data), 1);
	assert_int_equal(h->caplen, 40);
	assert_int_equal(data[0], 0x45);
	assert_int_equal(pcap_next_ex(in, &h, &data), 1);
	assert_int_equal(h->len, SLOT_BYTES);
	assert_int_equal(data[SLOT_BYTES - 1], 0x60);
	assert_int_equal(pcap_next_ex(in, &h, &data), PCAP_ERROR_BREAK);
	pcap_close(in);
	s->ops->close(s);
}

static void test_full_disk(void **state)
{
	const struct sender_file_config cfg = {.path = "/dev/full",
					       .slot_bytes = SLOT_BYTES};
	struct sender *s;
	char err[256];

	(void)state;
	assert_int_equal(sender_file_open(&s, &cfg, err, sizeof(err)), 0);
	send_one(s, 0x45, 40);
	s->ops->flush(s);
	assert_int_equal(s->ops->stats(s)->last_errno, ENOSPC);
	s->ops->close(s);
}

static void test_refusal(void **state)
{
	const struct sender_file_config cfg = {.path = "/nonexistent/x",
					       .slot_bytes = SLOT_BYTES};
	struct sender *s;
	char err[256] = "";

	(void)state;
	assert_int_equal(sender_file_open(&s, &cfg, err, sizeof(err)), -EIO);
	assert_true(err[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_refusal),
	};

	return cmocka_run_group_tests(tests, temp_make, temp_remove);
}
