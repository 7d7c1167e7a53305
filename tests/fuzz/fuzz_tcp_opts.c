// SPDX-License-Identifier: BSD-2-Clause
/* Option bytes of a header: what is taken can be built, and is taken as the
 * same again. */
#include "core/check.h"
#include "core/tcp_opts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t out[TCP_OPTS_MAX];
	struct tcp_opts once, again;
	size_t len;

	tcp_opts_parse(&once, data, size);
	ASSERT(once.wscale <= TCP_WSCALE_MAX);
	len = tcp_opts_build(&once, out);
	ASSERT(len <= TCP_OPTS_MAX && len % 4 == 0);
	tcp_opts_parse(&again, out, len);
	ASSERT(again.mss_bytes == once.mss_bytes);
	ASSERT(again.has_wscale == once.has_wscale);
	ASSERT(again.wscale == once.wscale);
	ASSERT(again.has_tstamp == once.has_tstamp);
	ASSERT(again.tsval == once.tsval && again.tsecr == once.tsecr);
	return 0;
}
