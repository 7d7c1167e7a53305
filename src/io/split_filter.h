/* SPDX-License-Identifier: BSD-2-Clause */
/* core/split.h as classic BPF, for packets that begin with their IP header and
 * are TCP; of others it says anything. */
#ifndef IO_SPLIT_FILTER_H
#define IO_SPLIT_FILTER_H

#include <linux/filter.h>
#include <stddef.h>

#include "core/split.h"

/* Instructions at most. */
#define SPLIT_FILTER_MAX 16

/* Lets through to the instruction behind it what is ours, and drops the rest.
 * Returns how many instructions were written: none if all is ours. */
size_t split_filter(struct sock_filter *code, const struct split *split);
/* A whole program: its value modulo the number of workers is the worker. */
size_t split_filter_fanout(struct sock_filter *code);
/* A whole program for an answer, that goes to the port: 0, it is not ours. */
size_t split_filter_answer(struct sock_filter *code, const struct split *split);

#endif
