// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Nothing waits for a slow link. Output is written directly as far as the
 * kernel takes it; when it does not, one chunk is handed to libuv, whose
 * completion tells when to go on. What does not fit meanwhile, the peer sheds.
 * With a key the bytes of the peer are sealed into the chunk, and go from
 * there. A faulty link gets its last bytes (to another version: our HELLO) if
 * the kernel takes them at once, and is closed.
 */
#include "io/link_stream.h"

#include <string.h>

#include "base/clock.h"
#include "io/link_pace.h"

/* ---- closing ---- */

static void on_closed(uv_handle_t *handle)
{
	struct link_stream *s = handle->data;

	peer_free(s->peer, s->mem);
	s->peer = NULL;
	if (s->crypto)
		link_crypto_free(s->crypto);
	s->crypto = NULL;
	if (s->events->closed)
		s->events->closed(s);
}

void link_stream_end(struct link_stream *s, enum link_cause cause,
		     const char *why)
{
	if (s->closing)
		return;
	s->closing = true;
	uv_close((uv_handle_t *)&s->tcp, on_closed);
	s->events->end(s, cause, why);
}

/* Who is closed with bytes of ours unread sends a reset. */
static const char *text_of(const struct link_stream *s, int err)
{
	if (err == UV_EOF && s->up)
		return s->events->eof_text;
	if (!s->up &&
	    (err == UV_EOF || err == UV_ECONNRESET || err == UV_EPIPE))
		return s->events->eof_early_text;
	return uv_strerror(err);
}

static void end_by(struct link_stream *s, int err)
{
	link_stream_end(s, LINK_ENDED, text_of(s, err));
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
		end_by(s, status);
	else
		flush(s);
	tell_done(s);
}

/* What the peer has, as records, and our part of the handshake before it. */
static void seal(struct link_stream *s)
{
	const size_t room = LINK_CHUNK_BYTES - LINK_CRYPTO_OVERHEAD;
	const uint8_t *bytes;
	size_t len, end;

	s->sealed_at = 0;
	end = link_crypto_greet(s->crypto, s->chunk);
	while (end < room && link_crypto_may_seal(s->crypto) &&
	       (len = peer_tx_peek(s->peer, &bytes)) > 0) {
		if (len > LINK_CRYPTO_RECORD_MAX)
			len = LINK_CRYPTO_RECORD_MAX;
		if (len > room - end)
			len = room - end;
		end += link_crypto_seal(s->crypto, bytes, len, s->chunk + end);
		peer_tx_advance(s->peer, len);
	}
	s->sealed_end = end;
}

static size_t tx_peek(struct link_stream *s, const uint8_t **bytes)
{
	if (!s->crypto)
		return peer_tx_peek(s->peer, bytes);
	if (s->sealed_at == s->sealed_end)
		seal(s);
	*bytes = s->chunk + s->sealed_at;
	return s->sealed_end - s->sealed_at;
}

static void tx_advance(struct link_stream *s, size_t len)
{
	if (s->crypto)
		s->sealed_at += len;
	else
		peer_tx_advance(s->peer, len);
}

/* The kernel's buffer is full: libuv waits for it with the next bytes in the
 * chunk, for the peer's own may move. */
static void write_later(struct link_stream *s, const uint8_t *bytes, size_t len)
{
	uv_buf_t buf;
	int rc;

	if (!s->crypto) {
		len = len < LINK_CHUNK_BYTES ? len : LINK_CHUNK_BYTES;
		memcpy(s->chunk, bytes, len);
		bytes = s->chunk;
	}
	buf = uv_buf_init((char *)bytes, (unsigned)len);
	s->write.data = s;
	rc = uv_write(&s->write, (uv_stream_t *)&s->tcp, &buf, 1, on_written);
	if (rc < 0) {
		end_by(s, rc);
		return;
	}
	s->writing = true;
	tx_advance(s, len);
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
	       (len = tx_peek(s, &bytes)) > 0) {
		n = write_now(s, bytes, len);
		if (n >= 0)
			tx_advance(s, (size_t)n);
		else if (n == UV_EAGAIN)
			write_later(s, bytes, len);
		else
			end_by(s, n);
	}
}

static enum link_cause cause_of(enum peer_fault fault)
{
	switch (fault) {
	case PEER_STRANGER:
	case PEER_GARBAGE:
		return LINK_STRANGE;
	case PEER_OTHER_VERSION:
		return LINK_OTHER_VERSION;
	case PEER_SILENT:
		return LINK_SILENT;
	case PEER_FINE:
	case PEER_OVERFLOW:
		break;
	}
	return LINK_ENDED;
}

void link_stream_settle(struct link_stream *s)
{
	enum peer_fault fault = peer_fault(s->peer);

	flush(s);
	if (fault != PEER_FINE)
		link_stream_end(s, cause_of(fault), peer_fault_text(fault));
}

bool link_stream_pending(const struct link_stream *s)
{
	const uint8_t *bytes;

	return s->writing || s->sealed_at < s->sealed_end ||
	       peer_tx_peek(s->peer, &bytes) > 0;
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct link_stream *s = handle->data;

	(void)suggested;
	*buf = uv_buf_init((char *)s->rx, LINK_RX_BYTES);
}

static void choose_pace(struct link_stream *s)
{
	uv_os_fd_t fd;

	if (!uv_fileno((uv_handle_t *)&s->tcp, &fd))
		link_pace_choose(fd);
}

static void note_up(struct link_stream *s)
{
	if (s->up || s->closing || !peer_is_up(s->peer))
		return;
	s->up = true;
	choose_pace(s);
	s->events->up(s);
}

static void on_plain(struct link_stream *s, const uint8_t *bytes, size_t len)
{
	struct wire_msg msg;
	bool more;

	peer_on_bytes(s->peer, bytes, len, clock_us());
	do {
		more = peer_next_msg(s->peer, &msg);
		note_up(s);
		if (more && s->up && !s->closing)
			s->events->msg(s, &msg);
	} while (more && !s->closing);
}

static enum link_cause cause_of_crypto(enum link_crypto_fault fault)
{
	switch (fault) {
	case LINK_CRYPTO_NO_KEY:
	case LINK_CRYPTO_WRONG_KEY:
		return LINK_WRONG_KEY;
	case LINK_CRYPTO_OTHER_VERSION:
		return LINK_OTHER_VERSION;
	case LINK_CRYPTO_REPLAYED:
		return LINK_REPLAYED;
	case LINK_CRYPTO_ALTERED:
		return LINK_ALTERED;
	case LINK_CRYPTO_FINE:
	case LINK_CRYPTO_STRANGER:
		break;
	}
	return LINK_STRANGE;
}

static void on_sealed(struct link_stream *s, const uint8_t *bytes, size_t len)
{
	enum link_crypto_fault fault = LINK_CRYPTO_FINE;
	const uint8_t *plain;
	size_t used, plain_len;

	while (len > 0 && fault == LINK_CRYPTO_FINE && !s->closing) {
		used = link_crypto_open(s->crypto, bytes, len, &plain,
					&plain_len);
		bytes += used;
		len -= used;
		if (plain_len > 0)
			on_plain(s, plain, plain_len);
		fault = link_crypto_fault(s->crypto);
	}
	if (fault != LINK_CRYPTO_FINE)
		link_stream_end(s, cause_of_crypto(fault),
				link_crypto_fault_text(fault));
}

static void on_bytes(struct link_stream *s, const uint8_t *bytes, size_t len)
{
	if (s->crypto)
		on_sealed(s, bytes, len);
	else if (!s->up && link_crypto_is_greeting(bytes, len))
		link_stream_end(s, LINK_WRONG_KEY,
				"it uses a key, and we have none (--key-file)");
	else
		on_plain(s, bytes, len);
	if (!s->closing)
		link_stream_settle(s);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct link_stream *s = stream->data;

	if (n == 0 || s->closing)
		return;
	if (n < 0)
		end_by(s, (int)n);
	else
		on_bytes(s, (const uint8_t *)buf->base, (size_t)n);
	tell_done(s);
}

/* ---- life ---- */

bool link_stream_open(struct link_stream *s, uv_loop_t *loop,
		      const struct peer_config *cfg, uint64_t now_us)
{
	s->peer = peer_new(cfg, s->mem, now_us);
	if (s->peer && s->key)
		s->crypto = link_crypto_new(cfg->role, s->key, s->seen);
	if (s->peer && s->key && !s->crypto) {
		peer_free(s->peer, s->mem);
		s->peer = NULL;
	}
	if (!s->peer)
		return false;
	s->started = s->up = s->closing = s->writing = false;
	s->sealed_at = s->sealed_end = 0;
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
		end_by(s, rc);
	else
		link_stream_settle(s);
}

void link_stream_on_tick(struct link_stream *s, uint64_t now_us)
{
	if (s->closing || now_us < peer_deadline_us(s->peer))
		return;
	peer_on_timer(s->peer, now_us);
	if (peer_fault(s->peer) == PEER_STRANGER)
		link_stream_end(s, LINK_SILENT, "it said no HELLO in time");
	else
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
