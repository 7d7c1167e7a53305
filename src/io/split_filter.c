// SPDX-License-Identifier: BSD-2-Clause
#include "io/split_filter.h"

#include <string.h>

#include "base/count.h"

#define IPV6_BYTES     40 /* nothing stands between the two headers */
#define SRC_PORT       0
#define DST_PORT       2
#define VERSION_SHIFT  4
#define VERSION_IS_SIX 6

/* Leaves the hash of that port in the accumulator. */
static size_t put_hash(struct sock_filter *code, unsigned port_at)
{
	const struct sock_filter hash[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, VERSION_SHIFT),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, VERSION_IS_SIX, 3, 0),
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, port_at),
		BPF_STMT(BPF_JMP | BPF_JA, 1),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, IPV6_BYTES + port_at),
		BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, SPLIT_FACTOR),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, SPLIT_SHIFT),
	};

	memcpy(code, hash, sizeof(hash));
	return COUNT(hash);
}

size_t split_filter(struct sock_filter *code, const struct split *split)
{
	const struct sock_filter ours[] = {
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, split->count),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, split->index, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	size_t n;

	if (split->count < 2)
		return 0;
	n = put_hash(code, SRC_PORT);
	memcpy(code + n, ours, sizeof(ours));
	return n + COUNT(ours);
}

size_t split_filter_fanout(struct sock_filter *code)
{
	const struct sock_filter end = BPF_STMT(BPF_RET | BPF_A, 0);
	size_t n = put_hash(code, SRC_PORT);

	code[n] = end;
	return n + 1;
}

size_t split_filter_answer(struct sock_filter *code, const struct split *split)
{
	const struct sock_filter end[] = {
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, split->count),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, split->index, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	size_t n = put_hash(code, DST_PORT);

	memcpy(code + n, end, sizeof(end));
	return n + COUNT(end);
}
