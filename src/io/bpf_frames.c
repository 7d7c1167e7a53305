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
 * the program. What it runs on is to be a frame; the first one serves.
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
/* Of the first frame: its headers. The kernel takes at most a page less what it
 * needs itself, which can be less than a frame; the program makes it longer. */
#define BEGIN_BYTES 128u

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

static unsigned same_protocol_until(const struct bpf_frames *f, unsigned from,
				    unsigned to)
{
	const uint8_t *first = frame_at(f, from) + 2 * ETHER_ADDR_LEN;
	unsigned i = from + 1;

	while (i < to && !memcmp(first, frame_at(f, i) + 2 * ETHER_ADDR_LEN,
				 ETHER_TYPE_LEN))
		i++;
	return i;
}

static int run(struct bpf_frames *f, unsigned from, unsigned to)
{
	uint32_t frame_bytes = slot_at(f, from)->frame_bytes;
	union bpf_attr attr = {.test = {
				       .prog_fd = (uint32_t)f->program_fd,
				       .data_in = (uintptr_t)frame_at(f, from),
				       .data_size_in = frame_bytes < BEGIN_BYTES
							       ? frame_bytes
							       : BEGIN_BYTES,
				       .repeat = 1,
			       }};

	f->area->from = from;
	f->area->to = to;
	f->area->refused = 0;
	return bpf(BPF_PROG_TEST_RUN, &attr);
}

unsigned bpf_frames_send(struct bpf_frames *f, unsigned from, unsigned to,
			 struct sender_stats *stats)
{
	unsigned at = from;

	while (at < to) {
		unsigned end = same_protocol_until(f, at, to);
		int err = run(f, at, end);

		if (err) {
			errno = -err;
			break;
		}
		stats->sent += end - at - f->area->refused;
		if (f->area->refused)
			sender_batch_refused(
				stats, f->area->refused,
				f->area->error < 0 ? -f->area->error : ENOBUFS);
		at = end;
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
