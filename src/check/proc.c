// SPDX-License-Identifier: BSD-2-Clause
#include "check/proc.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

bool proc_number(long long *out, const char *fmt, ...)
{
	char path[PATH_MAX];
	bool ok;
	va_list args;
	FILE *f;

	va_start(args, fmt);
	vsnprintf(path, sizeof(path), fmt, args);
	va_end(args);
	f = fopen(path, "re");
	if (!f)
		return false;
	ok = fscanf(f, "%lld", out) == 1;
	fclose(f);
	return ok;
}
