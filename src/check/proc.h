/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers that the kernel tells in files. */
#ifndef CHECK_PROC_H
#define CHECK_PROC_H

#include <stdbool.h>

/* The whole number that stands in the file whose name the format makes. */
bool proc_number(long long *out, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
