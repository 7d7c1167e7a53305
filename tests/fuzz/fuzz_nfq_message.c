// SPDX-License-Identifier: BSD-2-Clause
/* One datagram of nfnetlink_queue, or a line of its /proc file: whatever comes
 * out lies within the input. */
#include <stdlib.h>

#include "core/check.h"
#include "io/nfq_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(data, size);
	struct nfq_message m;
	volatile uint8_t sink = 0;

	while (nfq_message_next(&r, &m) == 1) {
		if (m.type != NFQ_MESSAGE_PACKET || m.cap_len == 0)
			continue;
		ASSERT(m.l3 >= data && m.l3 + m.cap_len <= data + size);
		ASSERT(m.wire_len >= m.cap_len);
		ASSERT(m.l3[0] >> 4 == 4 || m.l3[0] >> 4 == 6);
		sink = (uint8_t)(sink + m.l3[m.cap_len - 1]);
	}
}

static void parse_line(const uint8_t *data, size_t size)
{
	struct nfq_proc_line line;
	char *text = malloc(size + 1);

	if (!text)
		return;
	memcpy(text, data, size);
	text[size] = '\0';
	nfq_proc_parse(&line, text);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	walk(data, size);
	parse_line(data, size);
	return 0;
}
