// SPDX-License-Identifier: BSD-2-Clause
#include "core/tcp_opts.h"

#include <string.h>

#include "core/bytes.h"

enum {
	OPT_END = 0,
	OPT_NOP = 1,
	OPT_MSS = 2,
	OPT_WSCALE = 3,
	OPT_TSTAMP = 8,
};

static void take_option(struct tcp_opts *opts, uint8_t kind, struct reader body)
{
	if (kind == OPT_MSS && body.left_bytes == 2) {
		opts->mss_bytes = reader_u16(&body);
	} else if (kind == OPT_WSCALE && body.left_bytes == 1) {
		opts->has_wscale = true;
		opts->wscale = reader_u8(&body);
		if (opts->wscale > TCP_WSCALE_MAX)
			opts->wscale = TCP_WSCALE_MAX; /* RFC 7323, 2.3 */
	} else if (kind == OPT_TSTAMP && body.left_bytes == 8) {
		opts->has_tstamp = true;
		opts->tsval = reader_u32(&body);
		opts->tsecr = reader_u32(&body);
	}
}

/* As nearly every segment has them (RFC 7323, appendix A): a time stamp, and
 * nothing else. */
static bool take_usual(struct tcp_opts *opts, const uint8_t *bytes, size_t len)
{
	static const uint8_t head[] = {OPT_NOP, OPT_NOP, OPT_TSTAMP, 10};

	if (len != 12 || memcmp(bytes, head, sizeof(head)) != 0)
		return false;
	opts->has_tstamp = true;
	opts->tsval = load_be32(bytes + 4);
	opts->tsecr = load_be32(bytes + 8);
	return true;
}

void tcp_opts_parse(struct tcp_opts *opts, const uint8_t *bytes, size_t len)
{
	struct reader r = reader_of(bytes, len);

	*opts = (struct tcp_opts){0};
	if (take_usual(opts, bytes, len))
		return;
	while (r.left_bytes > 0) {
		uint8_t kind = reader_u8(&r), size;
		const uint8_t *body;

		if (kind == OPT_END)
			return;
		if (kind == OPT_NOP)
			continue;
		size = reader_u8(&r);
		if (size < 2)
			return;
		body = reader_take(&r, size - 2u);
		if (r.failed)
			return;
		take_option(opts, kind, reader_of(body, size - 2u));
	}
}

size_t tcp_opts_build(const struct tcp_opts *opts, uint8_t out[TCP_OPTS_MAX])
{
	uint8_t *to = out;

	if (opts->mss_bytes) {
		*to++ = OPT_MSS;
		*to++ = 4;
		store_be16(to, opts->mss_bytes);
		to += 2;
	}
	if (opts->has_wscale) {
		*to++ = OPT_WSCALE;
		*to++ = 3;
		*to++ = opts->wscale;
	}
	if (opts->has_tstamp) {
		*to++ = OPT_TSTAMP;
		*to++ = 10;
		store_be32(to, opts->tsval);
		store_be32(to + 4, opts->tsecr);
		to += 8;
	}
	while ((to - out) % 4)
		*to++ = OPT_NOP;
	return (size_t)(to - out);
}
