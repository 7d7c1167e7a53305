/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Always compiled in, for programmer errors only, never for packet content:
 * a copy that stops is harmless, a wrong packet is not.
 */
#ifndef CORE_CHECK_H
#define CORE_CHECK_H

#define ASSERT(cond)                                                           \
	do {                                                                   \
		if (__builtin_expect(!(cond), 0))                              \
			__builtin_trap();                                      \
	} while (0)

#endif
