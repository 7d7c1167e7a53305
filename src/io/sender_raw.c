// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * A batch of slots in one piece of memory; each committed slot has an entry in
 * the list of its family's socket, in the order of commits. A flush gives each
 * list to the kernel. What the kernel refuses is counted and forgotten: the
 * copy's TCP sends it again. Nothing here waits. Only what is longer than its
 * device takes is no reason to lose it, if so configured: it goes in pieces.
 */
#include "io/sender_raw.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/packet_pieces.h"
#include "io/sender_batch.h"

#define V4_DST_AT 16
#define V6_DST_AT 24

union raw_addr {
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct family {
	int fd;
	unsigned count;
	struct mmsghdr msgs[SENDER_BATCH];
	struct iovec iov[SENDER_BATCH];
	union raw_addr dst[SENDER_BATCH];
};

struct sender_raw {
	struct sender base;
	struct family v4, v6;
	uint8_t *slots;
	size_t slot_bytes;
	unsigned used;
	sender_too_long *too_long;
	struct sender_stats stats;
};

static struct sender_raw *raw_of(struct sender *s)
{
	return (struct sender_raw *)s;
}

static uint8_t *raw_reserve(struct sender *s, size_t *cap)
{
	struct sender_raw *r = raw_of(s);

	*cap = r->slot_bytes;
	return r->used < SENDER_BATCH ? r->slots + r->used * r->slot_bytes
				      : NULL;
}

static void set_dst(union raw_addr *dst, socklen_t *len, const uint8_t *l3)
{
	*dst = (union raw_addr){0};
	if (l3[0] >> 4 == 4) {
		dst->v4.sin_family = AF_INET;
		memcpy(&dst->v4.sin_addr, l3 + V4_DST_AT, 4);
		*len = sizeof(dst->v4);
	} else {
		dst->v6.sin6_family = AF_INET6;
		memcpy(&dst->v6.sin6_addr, l3 + V6_DST_AT, 16);
		*len = sizeof(dst->v6);
	}
}

static void add(struct sender_raw *r, const uint8_t *l3, size_t len)
{
	struct family *f = l3[0] >> 4 == 4 ? &r->v4 : &r->v6;
	unsigned i = f->count++;
	struct msghdr *h = &f->msgs[i].msg_hdr;

	f->iov[i] = (struct iovec){.iov_base = (void *)l3, .iov_len = len};
	*h = (struct msghdr){
		.msg_name = &f->dst[i], .msg_iov = &f->iov[i], .msg_iovlen = 1};
	set_dst(&f->dst[i], &h->msg_namelen, l3);
}

static void raw_commit(struct sender *s, size_t len)
{
	struct sender_raw *r = raw_of(s);

	add(r, r->slots + r->used++ * r->slot_bytes, len);
}

static void flush_family(struct sender_raw *r, struct family *f)
{
	sender_batch_send(f->fd, f->msgs, NULL, f->count, r->too_long,
			  &r->stats);
	f->count = 0;
}

static void raw_flush(struct sender *s)
{
	struct sender_raw *r = raw_of(s);

	flush_family(r, &r->v4);
	flush_family(r, &r->v6);
	r->used = 0;
}

void sender_raw_send(struct sender *s, const uint8_t *l3, size_t len)
{
	raw_flush(s);
	add(raw_of(s), l3, len);
	raw_flush(s);
}

static const struct sender_stats *raw_stats(const struct sender *s)
{
	return &((const struct sender_raw *)s)->stats;
}

static void raw_close(struct sender *s)
{
	struct sender_raw *r = raw_of(s);

	if (r->v4.fd >= 0)
		close(r->v4.fd);
	if (r->v6.fd >= 0)
		close(r->v6.fd);
	free(r->slots);
	free(r);
}

static const struct sender_ops raw_ops = {
	.reserve = raw_reserve,
	.commit = raw_commit,
	.flush = raw_flush,
	.close = raw_close,
	.stats = raw_stats,
};

/* IPPROTO_RAW: our headers go out as they are, and nothing is received. */
static int open_family(int family)
{
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
			IPPROTO_RAW);

	if (fd < 0)
		return -errno;
	sender_batch_room(fd);
	return fd;
}

int sender_raw_open(struct sender **out, const struct sender_raw_config *cfg)
{
	struct sender_raw *r = calloc(1, sizeof(*r));
	int err = 0;

	if (!r)
		return -ENOMEM;
	r->base.ops = &raw_ops;
	r->slot_bytes = cfg->slot_bytes;
	r->too_long = cfg->cuts ? packet_pieces_send : NULL;
	r->slots = calloc(SENDER_BATCH, cfg->slot_bytes);
	r->v4.fd = cfg->v4 ? open_family(AF_INET) : -1;
	r->v6.fd = cfg->v6 ? open_family(AF_INET6) : -1;
	if (!r->slots)
		err = -ENOMEM;
	else if (cfg->v4 && r->v4.fd < 0)
		err = r->v4.fd;
	else if (cfg->v6 && r->v6.fd < 0)
		err = r->v6.fd;
	if (err) {
		raw_close(&r->base);
		return err;
	}
	*out = &r->base;
	return 0;
}
