/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef INTERCEPT_REFUSE_H
#define INTERCEPT_REFUSE_H

/* One line on stderr; returns OPTS_EXIT_ENVIRONMENT. */
int refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
