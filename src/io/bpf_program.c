// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the program does, as the kernel runs it with a packet:
 *
 *	if (frames arrive)
 *		csum_level(packet, INC): the receiver need not sum it up
 *	for (i = area->from; i < area->to && i < SLOTS; i++) {
 *		slot = area + sizeof(*area) + i * STEP;
 *		length = slot->frame_bytes;
 *		if (length < ETH_HLEN || length > ROOM)
 *			break;
 *		error = 0;
 *		if (packet->len != length)
 *			error = change_tail(packet, length);
 *		if (!error)
 *			error = store_bytes(packet, 0, slot + FRAME, length);
 *		if (!error)
 *			error = clone_redirect(packet, slot->ifindex, way);
 *		if (error && error != CONGESTED) {
 *			area->refused++;
 *			area->error = error;
 *		}
 *	}
 *
 * All bounds are there to be seen by the kernel, which loads nothing else.
 */
#include "io/bpf_program.h"

#include <linux/if_ether.h>
#include <stddef.h>

/* The kernel's NET_XMIT_CN: taken, but others have been thrown away. */
#define CONGESTED 2

/* What lasts from call to call, and what is a call's. */
enum {
	RESULT = BPF_REG_0,
	ARG1 = BPF_REG_1,
	ARG2 = BPF_REG_2,
	ARG3 = BPF_REG_3,
	ARG4 = BPF_REG_4,
	ARG5 = BPF_REG_5,
	PACKET = BPF_REG_6,
	AREA = BPF_REG_7,
	INDEX = BPF_REG_8,
	LENGTH = BPF_REG_9,
	STACK = BPF_REG_10,
};

/* On the stack. */
#define SLOT_AT (-8)

struct code {
	struct bpf_insn *at;
	uint32_t count;
};

static void put(struct code *c, uint8_t op, uint8_t dst, uint8_t src,
		int16_t off, int32_t imm)
{
	c->at[c->count++] = (struct bpf_insn){.code = op,
					      .dst_reg = dst & 15,
					      .src_reg = src & 15,
					      .off = off,
					      .imm = imm};
}

static void set(struct code *c, uint8_t dst, uint8_t src)
{
	put(c, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void set_number(struct code *c, uint8_t dst, int32_t number)
{
	put(c, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, number);
}

static void add_number(struct code *c, uint8_t dst, int32_t number)
{
	put(c, BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, number);
}

static void load(struct code *c, uint8_t dst, uint8_t src, size_t off)
{
	put(c, BPF_LDX | BPF_MEM | BPF_W, dst, src, (int16_t)off, 0);
}

static void store(struct code *c, uint8_t dst, size_t off, uint8_t src)
{
	put(c, BPF_STX | BPF_MEM | BPF_W, dst, src, (int16_t)off, 0);
}

static void call(struct code *c, int32_t helper)
{
	put(c, BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

/* Where it leads is said by land(). */
static uint32_t jump_if(struct code *c, uint8_t op, uint8_t a, uint8_t b)
{
	put(c, BPF_JMP | op | BPF_X, a, b, 0, 0);
	return c->count - 1;
}

static uint32_t jump_if_number(struct code *c, uint8_t op, uint8_t a,
			       int32_t number)
{
	put(c, BPF_JMP | op | BPF_K, a, 0, 0, number);
	return c->count - 1;
}

static void jump_back(struct code *c, uint32_t to)
{
	put(c, BPF_JMP | BPF_JA, 0, 0, (int16_t)((int)to - (int)c->count - 1),
	    0);
}

static void land(struct code *c, uint32_t jump)
{
	c->at[jump].off = (int16_t)(c->count - jump - 1);
}

static void trust_checksums(struct code *c)
{
	set_number(c, ARG2, BPF_CSUM_LEVEL_INC);
	call(c, BPF_FUNC_csum_level);
}

static void set_area(struct code *c, int map_fd)
{
	put(c, BPF_LD | BPF_DW | BPF_IMM, AREA, BPF_PSEUDO_MAP_VALUE, 0,
	    map_fd);
	put(c, 0, 0, 0, 0, 0);
}

static void find_slot(struct code *c, const struct bpf_program_config *cfg)
{
	set(c, ARG1, INDEX);
	put(c, BPF_ALU64 | BPF_MUL | BPF_K, ARG1, 0, 0,
	    (int32_t)cfg->step_bytes);
	put(c, BPF_ALU64 | BPF_ADD | BPF_X, ARG1, AREA, 0, 0);
	add_number(c, ARG1, (int32_t)sizeof(struct bpf_area));
	put(c, BPF_STX | BPF_MEM | BPF_DW, STACK, ARG1, SLOT_AT, 0);
	load(c, LENGTH, ARG1, offsetof(struct bpf_slot, frame_bytes));
}

static void set_to_slot(struct code *c, uint8_t dst)
{
	put(c, BPF_LDX | BPF_MEM | BPF_DW, dst, STACK, SLOT_AT, 0);
}

/* Leaves errors in RESULT. */
static void write_frame(struct code *c, const struct bpf_program_config *cfg,
			uint32_t failed[2])
{
	uint32_t same;

	load(c, ARG1, PACKET, offsetof(struct __sk_buff, len));
	same = jump_if(c, BPF_JEQ, ARG1, LENGTH);
	set(c, ARG1, PACKET);
	set(c, ARG2, LENGTH);
	set_number(c, ARG3, 0);
	call(c, BPF_FUNC_skb_change_tail);
	failed[0] = jump_if_number(c, BPF_JNE, RESULT, 0);
	land(c, same);
	set(c, ARG1, PACKET);
	set_number(c, ARG2, 0);
	set_to_slot(c, ARG3);
	add_number(c, ARG3, (int32_t)cfg->frame_at);
	set(c, ARG4, LENGTH);
	set_number(c, ARG5, 0);
	call(c, BPF_FUNC_skb_store_bytes);
	failed[1] = jump_if_number(c, BPF_JNE, RESULT, 0);
}

static void give_copy(struct code *c, const struct bpf_program_config *cfg)
{
	set_to_slot(c, ARG1);
	load(c, ARG2, ARG1, offsetof(struct bpf_slot, ifindex));
	set(c, ARG1, PACKET);
	set_number(c, ARG3, cfg->arrive ? BPF_F_INGRESS : 0);
	call(c, BPF_FUNC_clone_redirect);
}

static void count_refused(struct code *c)
{
	uint32_t taken = jump_if_number(c, BPF_JEQ, RESULT, 0);
	uint32_t congested = jump_if_number(c, BPF_JEQ, RESULT, CONGESTED);

	store(c, AREA, offsetof(struct bpf_area, error), RESULT);
	load(c, ARG1, AREA, offsetof(struct bpf_area, refused));
	add_number(c, ARG1, 1);
	store(c, AREA, offsetof(struct bpf_area, refused), ARG1);
	land(c, taken);
	land(c, congested);
}

uint32_t bpf_program_make(struct bpf_insn code[BPF_PROGRAM_MAX],
			  const struct bpf_program_config *cfg)
{
	struct code c = {.at = code};
	uint32_t next, all, beyond, too_short, too_long, failed[2];

	set(&c, PACKET, ARG1);
	if (cfg->arrive)
		trust_checksums(&c);
	set_area(&c, cfg->map_fd);
	load(&c, INDEX, AREA, offsetof(struct bpf_area, from));
	next = c.count;
	load(&c, ARG1, AREA, offsetof(struct bpf_area, to));
	all = jump_if(&c, BPF_JGE, INDEX, ARG1);
	beyond = jump_if_number(&c, BPF_JGE, INDEX, (int32_t)cfg->slots);
	find_slot(&c, cfg);
	too_short = jump_if_number(&c, BPF_JLT, LENGTH, ETH_HLEN);
	too_long = jump_if_number(&c, BPF_JGT, LENGTH,
				  (int32_t)(cfg->step_bytes - cfg->frame_at));
	write_frame(&c, cfg, failed);
	give_copy(&c, cfg);
	land(&c, failed[0]);
	land(&c, failed[1]);
	count_refused(&c);
	add_number(&c, INDEX, 1);
	jump_back(&c, next);
	land(&c, all);
	land(&c, beyond);
	land(&c, too_short);
	land(&c, too_long);
	set_number(&c, RESULT, 0);
	put(&c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	return c.count;
}
