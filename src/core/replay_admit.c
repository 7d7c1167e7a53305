// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Which new connections are copied. Over a limit, whole ones are left out;
 * those that are copied already go on, so that what is copied stays true. A
 * rate is taken of all that is sent, a sender's retransmissions included.
 *
 * Copies must not be copied again. Two marks tell ours from clients' packets
 * when the capture is live: nobody but us and the likes of us has a reason to
 * send what is copied to a target to that target itself; and no client begins a
 * connection with the endpoint and the sequence number that one of our SYNs
 * had a short time ago, unless we have that connection from itself (then its
 * flow knows the SYN, and nobody asks here).
 *
 * Who copies our copies back may give them other endpoints, but their sequence
 * number stays, and a SYN of his looks as ours do. So what looks so and has the
 * number of a SYN of the last minute is taken for one of them: of clients'
 * SYNs, few look so, and of these one in a million has such a number. The
 * numbers are kept in a table in which a new one takes an old one's place. Its
 * entries are single words, so that workers may share it: another port may be
 * another worker's.
 */
#include "core/replay_internal.h"

#define SYN_KEPT_S 60u

/* Of a SYN that was sent: its number, 16 bits of the second, and 16 of the
 * target + 1, which are 0 where there is none. */
static uint64_t syn_word(uint32_t iss, uint64_t now_us, uint32_t target)
{
	uint64_t second = now_us / 1000000 & 0xffff;

	return (uint64_t)iss << 32 | second << 16 | (target + 1);
}

void replay_note_syn(struct replay *r, uint32_t target, uint32_t iss,
		     uint64_t now_us)
{
	__atomic_store_n(&r->syns[iss % REPLAY_SYNS],
			 syn_word(iss, now_us, target), __ATOMIC_RELAXED);
}

void replay_init_limits(struct replay *r, uint64_t now_us)
{
	bucket_init(&r->packets, r->cfg.max_packets, now_us);
	bucket_init(&r->bits, r->cfg.max_bits, now_us);
}

void replay_note_sent(struct replay *r, size_t bytes, uint64_t now_us)
{
	bucket_use(&r->packets, 1, now_us);
	bucket_use(&r->bits, (uint32_t)bytes * 8, now_us);
}

void replay_set_shedding(struct replay *r, bool on)
{
	r->shedding = on;
}

bool replay_sample(struct replay *r)
{
	r->sample_owed += r->cfg.sample_percent;
	if (r->sample_owed < 100)
		return false;
	r->sample_owed -= 100;
	return true;
}

bool replay_is_copied_to(const struct replay_mapping *m,
			 const struct endpoint *online)
{
	return m->source.port == online->port &&
	       (addr_is_none(&m->source.addr) ||
		addr_equal(&m->source.addr, &online->addr));
}

static bool goes_to_its_target(const struct replay *r,
			       const struct endpoint *online, uint32_t *target)
{
	for (size_t i = 0; i < r->cfg.mapping_count; i++) {
		const struct replay_mapping *m = &r->mappings[i];

		*target = m->target;
		if (replay_is_copied_to(m, online) &&
		    endpoint_equal(&r->targets[m->target].cfg.at, online))
			return true;
	}
	return false;
}

static bool is_our_syn(const struct replay *r, const struct segment *seg,
		       uint32_t *target)
{
	if (!(seg->flags & TCP_SYN))
		return false;
	for (uint32_t i = 0; i < r->cfg.target_count; i++) {
		*target = i;
		if (tuples_has_sent(r->tuples, i, &seg->tuple.src, seg->seq))
			return true;
	}
	return false;
}

static bool looks_like_ours(const struct segment *seg)
{
	return (seg->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
	       seg->wnd == SESSION_RCV_WND && seg->opts.has_wscale &&
	       seg->opts.wscale == SESSION_RCV_WSCALE && !seg->opts.has_tstamp;
}

/* By whomever, and with whatever endpoint. */
static bool is_copy_of_ours(const struct replay *r, const struct segment *seg,
			    uint32_t *target)
{
	uint16_t target_1, age_s;
	uint64_t syn;

	if (!looks_like_ours(seg))
		return false;
	syn = __atomic_load_n(&r->syns[seg->seq % REPLAY_SYNS],
			      __ATOMIC_RELAXED);
	target_1 = (uint16_t)syn;
	age_s = (uint16_t)(r->now_us / 1000000 - (uint16_t)(syn >> 16));
	if (!target_1 || syn >> 32 != seg->seq || age_s > SYN_KEPT_S)
		return false;
	*target = target_1 - 1u;
	return true;
}

static bool is_loop(struct replay *r, const struct segment *seg)
{
	uint32_t target;

	if (!r->cfg.live ||
	    (!goes_to_its_target(r, &seg->tuple.dst, &target) &&
	     !is_our_syn(r, seg, &target) && !is_copy_of_ours(r, seg, &target)))
		return false;
	replay_tell(r, NOTICE_LOOP, target);
	return true;
}

static bool is_over_limit(struct replay *r, uint32_t share, uint64_t now_us)
{
	uint64_t after = r->ledger.conns.in_flight + share;

	if (r->cfg.max_sessions && after > r->cfg.max_sessions) {
		r->ledger.shed_sessions++;
		replay_tell(r, NOTICE_MAX_SESSIONS, 0);
	} else if (bucket_is_empty(&r->packets, now_us) ||
		   bucket_is_empty(&r->bits, now_us)) {
		r->ledger.shed_rate++;
		replay_tell(r, NOTICE_MAX_RATE, 0);
	} else if (r->shedding) {
		r->ledger.shed_cpu++;
		replay_tell(r, NOTICE_MAX_CPU, 0);
	} else {
		return false;
	}
	return true;
}

enum loss replay_admit(struct replay *r, const struct segment *seg,
		       uint32_t share, uint64_t now_us)
{
	if (is_loop(r, seg))
		return LOSS_LOOP;
	return is_over_limit(r, share, now_us) ? LOSS_LIMIT : LOSS_NONE;
}
