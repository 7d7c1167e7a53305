// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Nothing waits for a slow link. Output is written directly as far as the
 * kernel takes it; when it does not, one chunk is handed to libuv, whose
 * completion tells when to go on. What does not fit meanwhile, the peer sheds.
 * A faulty link gets its last bytes (to another version: our HELLO) if the
 * kernel takes them at once, and is closed.
 */
#include "io/link_stream.h"

#include <string.h>

#include "base/clock.h"

/* ---- closing ---- */

static void on_closed(uv_handle_t *handle)
{
	struct link_stream *s = handle->data;

	peer_free(s->peer, s->mem);
	s->peer = NULL;
	if (s->events->closed)
		s->events->closed(s);
}

void link_stream_end(struct link_stream *s, const char *why)
{
	if (s->closing)
		return;
	s->closing = true;
	uv_close((uv_handle_t *)&s->tcp, on_closed);
	s->events->end(s, why);
}

static void tell_done(struct link_stream *s)
{
	if (s->events->done)
		s->events->done(s);
}

/* ---- writing ---- */

static void flush(struct link_stream *s);

static void on_written(uv_write_t *req, int status)
{
	struct link_stream *s = req->data;

	s->writing = false;
	if (s->closing)
		return;
	if (status < 0)
		link_stream_end(s, uv_strerror(status));
	else
		flush(s);
	tell_done(s);
}

/* The kernel's buffer is full: libuv waits for it with a copy of the next
 * bytes, for the peer's own may move. */
static void write_later(struct link_stream *s, const uint8_t *bytes, size_t len)
{
	uv_buf_t buf;
	int rc;

	if (len > LINK_CHUNK_BYTES)
		len = LINK_CHUNK_BYTES;
	memcpy(s->chunk, bytes, len);
	buf = uv_buf_init(s->chunk, (unsigned)len);
	s->write.data = s;
	rc = uv_write(&s->write, (uv_stream_t *)&s->tcp, &buf, 1, on_written);
	if (rc < 0) {
		link_stream_end(s, uv_strerror(rc));
		return;
	}
	s->writing = true;
	peer_tx_advance(s->peer, len);
}

/* Bytes that the kernel took, or a negative error. */
static int write_now(struct link_stream *s, const uint8_t *bytes, size_t len)
{
	uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)len);

	return uv_try_write((uv_stream_t *)&s->tcp, &buf, 1);
}

static void flush(struct link_stream *s)
{
	const uint8_t *bytes;
	size_t len;
	int n;

	while (s->started && !s->writing && !s->closing &&
	       (len = peer_tx_peek(s->peer, &bytes)) > 0) {
		n = write_now(s, bytes, len);
		if (n >= 0)
			peer_tx_advance(s->peer, (size_t)n);
		else if (n == UV_EAGAIN)
			write_later(s, bytes, len);
		else
			link_stream_end(s, uv_strerror(n));
	}
}

void link_stream_settle(struct link_stream *s)
{
	enum peer_fault fault = peer_fault(s->peer);

	flush(s);
	if (fault != PEER_FINE)
		link_stream_end(s, peer_fault_text(fault));
}

bool link_stream_pending(const struct link_stream *s)
{
	const uint8_t *bytes;

	return s->writing || peer_tx_peek(s->peer, &bytes) > 0;
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct link_stream *s = handle->data;

	(void)suggested;
	*buf = uv_buf_init((char *)s->rx, LINK_RX_BYTES);
}

static void note_up(struct link_stream *s)
{
	if (s->up || s->closing || !peer_is_up(s->peer))
		return;
	s->up = true;
	s->events->up(s);
}

static void on_bytes(struct link_stream *s, const uint8_t *bytes, size_t len)
{
	struct wire_msg msg;
	bool more;

	peer_on_bytes(s->peer, bytes, len, clock_us());
	do {
		more = peer_next_msg(s->peer, &msg);
		note_up(s);
		if (more && s->up)
			s->events->msg(s, &msg);
	} while (more && !s->closing);
	if (!s->closing)
		link_stream_settle(s);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct link_stream *s = stream->data;

	if (n == 0 || s->closing)
		return;
	if (n == UV_EOF)
		link_stream_end(s, s->up ? s->events->eof_text
					 : s->events->eof_early_text);
	else if (n < 0)
		link_stream_end(s, uv_strerror((int)n));
	else
		on_bytes(s, (const uint8_t *)buf->base, (size_t)n);
	tell_done(s);
}

/* ---- life ---- */

bool link_stream_open(struct link_stream *s, uv_loop_t *loop,
		      const struct peer_config *cfg, uint64_t now_us)
{
	s->peer = peer_new(cfg, s->mem, now_us);
	if (!s->peer)
		return false;
	s->started = s->up = s->closing = s->writing = false;
	uv_tcp_init(loop, &s->tcp);
	s->tcp.data = s;
	return true;
}

void link_stream_start(struct link_stream *s)
{
	int rc;

	s->started = true;
	uv_tcp_nodelay(&s->tcp, 1);
	rc = uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read);
	if (rc < 0)
		link_stream_end(s, uv_strerror(rc));
	else
		link_stream_settle(s);
}

void link_stream_on_tick(struct link_stream *s, uint64_t now_us)
{
	if (s->closing || now_us < peer_deadline_us(s->peer))
		return;
	peer_on_timer(s->peer, now_us);
	link_stream_settle(s);
}

void link_stats_add(struct peer_stats *sum, const struct peer_stats *s)
{
	sum->records_in += s->records_in;
	sum->records_out += s->records_out;
	sum->records_shed += s->records_shed;
	sum->bytes_in += s->bytes_in;
	sum->bytes_out += s->bytes_out;
}
