// SPDX-License-Identifier: BSD-2-Clause
#include "intercept/refuse.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/opts.h"

int refuse(const char *fmt, ...)
{
	va_list args;

	fputs("intercept: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return OPTS_EXIT_ENVIRONMENT;
}
