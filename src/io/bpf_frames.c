// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Each message to a packet socket is a walk through the kernel of its own, with
 * a soft interrupt at its end in which the receiver, if it is on this host,
 * takes that one packet. The program (bpf_program.c) instead walks through
 * slots, which it shares with us as a map's memory: it writes each frame into
 * the one packet that it runs on, and has a copy of that given to the frame's
 * device. Its run has one soft interrupt, at its end. The run is what the
 * kernel has for testing programs, which asks for no capability once there is
 * the program (since 5.19; before that, only without
 * kernel.unprivileged_bpf_disabled).
 *
 * What it runs on is to be a frame; the first one serves, with as many bytes as
 * the longest has. For the kernel counts what memory a packet takes by what it
 * was when the run began, and receivers make their windows by that.
 *
 * A packet that runs through tells its protocol to whoever looks at it on the
 * way out, so that a run's frames are all of the same.
 */
#include "io/bpf_frames.h"

#include <errno.h>
#include <linux/bpf.h>
#include <net/ethernet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/bpf_program.h"
#include "io/sender_batch.h"

#define ALIGN 64u

struct bpf_frames {
	struct bpf_area *area;
	size_t area_bytes, step_bytes;
	int map_fd, program_fd;
};

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	int rc = (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return rc < 0 ? -errno : rc;
}

static struct bpf_slot *slot_at(const struct bpf_frames *f, unsigned i)
{
	return (struct bpf_slot *)((uint8_t *)f->area + sizeof(*f->area) +
				   i * f->step_bytes);
}

uint8_t *bpf_frames_slots(struct bpf_frames *f, size_t *step_bytes)
{
	*step_bytes = f->step_bytes;
	return (uint8_t *)slot_at(f, 0);
}

static uint8_t *frame_at(const struct bpf_frames *f, unsigned i)
{
	return (uint8_t *)slot_at(f, i) + BPF_FRAMES_HEAD_BYTES - ETHER_HDR_LEN;
}

/* Slots that one run can send. */
struct stretch {
	unsigned from, to;
	uint32_t longest_bytes; /* of their frames */
};

static struct stretch same_protocol(const struct bpf_frames *f, unsigned from,
				    unsigned to)
{
	const uint8_t *first = frame_at(f, from) + 2 * ETHER_ADDR_LEN;
	struct stretch s = {.from = from, .to = from};

	while (s.to < to &&
	       !memcmp(first, frame_at(f, s.to) + 2 * ETHER_ADDR_LEN,
		       ETHER_TYPE_LEN)) {
		uint32_t bytes = slot_at(f, s.to++)->frame_bytes;

		if (bytes > s.longest_bytes)
			s.longest_bytes = bytes;
	}
	return s;
}

static int run(struct bpf_frames *f, const struct stretch *s)
{
	union bpf_attr attr = {
		.test = {
			.prog_fd = (uint32_t)f->program_fd,
			.data_in = (uintptr_t)frame_at(f, s->from),
			.data_size_in = s->longest_bytes,
			.repeat = 1,
		}};

	f->area->from = s->from;
	f->area->to = s->to;
	f->area->refused = 0;
	return bpf(BPF_PROG_TEST_RUN, &attr);
}

static void count(const struct bpf_frames *f, const struct stretch *s,
		  struct sender_stats *stats)
{
	unsigned refused = f->area->refused;
	int error = f->area->error;

	stats->sent += s->to - s->from - refused;
	if (refused)
		sender_batch_refused(stats, refused,
				     error < 0 ? -error : ENOBUFS);
}

unsigned bpf_frames_send(struct bpf_frames *f, unsigned from, unsigned to,
			 struct sender_stats *stats)
{
	unsigned at = from;

	while (at < to) {
		struct stretch s = same_protocol(f, at, to);
		int err = run(f, &s);

		if (err) {
			errno = -err;
			break;
		}
		count(f, &s, stats);
		at = s.to;
	}
	return at - from;
}

static int make_map(const struct bpf_frames *f)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = sizeof(uint32_t),
		.value_size = (uint32_t)f->area_bytes,
		.max_entries = 1,
		.map_flags = BPF_F_MMAPABLE,
	};

	return bpf(BPF_MAP_CREATE, &attr);
}

static int load_program(const struct bpf_frames *f, bool arrive)
{
	struct bpf_insn code[BPF_PROGRAM_MAX];
	const struct bpf_program_config cfg = {
		.map_fd = f->map_fd,
		.slots = SENDER_BATCH,
		.step_bytes = (uint32_t)f->step_bytes,
		.frame_at = BPF_FRAMES_HEAD_BYTES - ETHER_HDR_LEN,
		.arrive = arrive,
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.insns = (uintptr_t)code,
		.insn_cnt = bpf_program_make(code, &cfg),
		.license = (uintptr_t) "BSD",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

static int open_all(struct bpf_frames *f, bool arrive)
{
	void *area;

	f->map_fd = make_map(f);
	if (f->map_fd < 0)
		return f->map_fd;
	area = mmap(NULL, f->area_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		    f->map_fd, 0);
	if (area == MAP_FAILED)
		return -errno;
	f->area = area;
	f->program_fd = load_program(f, arrive);
	return f->program_fd < 0 ? f->program_fd : 0;
}

static size_t rounded(size_t bytes, size_t to)
{
	return (bytes + to - 1) / to * to;
}

int bpf_frames_open(struct bpf_frames **out, size_t slot_bytes, bool arrive)
{
	struct bpf_frames *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return -ENOMEM;
	f->map_fd = f->program_fd = -1;
	f->step_bytes = rounded(slot_bytes, ALIGN);
	f->area_bytes = rounded(sizeof(*f->area) + SENDER_BATCH * f->step_bytes,
				(size_t)sysconf(_SC_PAGESIZE));
	err = open_all(f, arrive);
	if (err)
		bpf_frames_close(f);
	else
		*out = f;
	return err;
}

void bpf_frames_close(struct bpf_frames *f)
{
	if (f->area)
		munmap(f->area, f->area_bytes);
	if (f->program_fd >= 0)
		close(f->program_fd);
	if (f->map_fd >= 0)
		close(f->map_fd);
	free(f);
}
