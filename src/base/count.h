/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef BASE_COUNT_H
#define BASE_COUNT_H

/* How many elements an array has. */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
