/* SPDX-License-Identifier: BSD-2-Clause */
/* Where reports for programs go (--json), and what the process has used. */
#ifndef BASE_REPORT_H
#define BASE_REPORT_H

#include "base/json.h"

struct report_usage {
	double cpu_seconds; /* user and system, of the whole process */
	uint64_t memory_peak_kb;
};

void report_usage(struct report_usage *out);

struct report {
	struct json json; /* json.out NULL: nobody asked for it */
	const char *path;
	const char *program;
};

/* path NULL: no report; "-": stdout. 0 or -errno. path is borrowed. */
int report_open(struct report *r, const char *path, const char *program);
/* Opens the file by its name again, after it was moved away. */
void report_reopen(struct report *r);
void report_close(struct report *r);
/* Begins a line with type, program and time (seconds since 1970) and returns
 * where its other members go; NULL: nobody asked for it. */
struct json *report_begin(struct report *r, const char *type);
void report_end(struct report *r);

#endif
