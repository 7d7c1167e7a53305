// SPDX-License-Identifier: BSD-2-Clause
#include "base/report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"

static double seconds_of(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

/* Not ru_maxrss: that begins with the peak of the process that started us. */
static uint64_t memory_peak_kb(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[128];
	uint64_t kb = 0;

	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "VmHWM: %" SCNu64, &kb) == 1)
			break;
	if (status)
		fclose(status);
	return kb;
}

void report_usage(struct report_usage *out)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	out->cpu_seconds =
		seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime);
	out->memory_peak_kb = memory_peak_kb();
}

static int open_out(struct report *r)
{
	FILE *out = !strcmp(r->path, "-") ? stdout : file_append(r->path);

	if (!out)
		return -errno;
	report_close(r);
	r->json = (struct json){.out = out};
	return 0;
}

int report_open(struct report *r, const char *path, const char *program)
{
	*r = (struct report){.path = path, .program = program};
	return path ? open_out(r) : 0;
}

void report_close(struct report *r)
{
	if (r->json.out && r->json.out != stdout)
		fclose(r->json.out);
	r->json.out = NULL;
}

void report_reopen(struct report *r)
{
	int err;

	if (!r->path || r->json.out == stdout)
		return;
	err = open_out(r);
	if (err)
		log_error("%s: cannot be opened again, the open one is kept: "
			  "%s",
			  r->path, strerror(-err));
}

struct json *report_begin(struct report *r, const char *type)
{
	struct timespec now;

	if (!r->json.out)
		return NULL;
	clock_gettime(CLOCK_REALTIME, &now);
	json_object(&r->json, NULL);
	json_string(&r->json, "type", type);
	json_string(&r->json, "program", r->program);
	json_decimal(&r->json, "time",
		     (double)now.tv_sec + (double)now.tv_nsec / 1e9, 3);
	return &r->json;
}

void report_end(struct report *r)
{
	json_object_end(&r->json);
	json_line_end(&r->json);
}
