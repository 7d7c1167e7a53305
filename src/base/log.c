// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation: the process has one log, so its state is the one static
 * object of this file. Repeats are found among the last REPEAT_LINES different
 * lines; a slot whose time is over tells its count the next time that anything
 * is written, or at log_flush().
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "base/file.h"

#define REPEAT_LINES   8
#define LINE_MAX_BYTES 1024

struct repeat {
	char text[LINE_MAX_BYTES];
	time_t since;
	unsigned long held_back;
	enum log_level level;
};

static struct {
	FILE *file; /* NULL: stderr, or syslog */
	bool to_syslog;
	const char *program, *path;
	enum log_level level;
	struct repeat repeats[REPEAT_LINES];
	unsigned next_repeat;
} logger = {.program = "", .level = LOG_LEVEL_INFO};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

bool log_level_parse(const char *text, enum log_level *level)
{
	for (unsigned i = 0; i < 4; i++)
		if (!strcmp(text, level_names[i])) {
			*level = (enum log_level)i;
			return true;
		}
	return false;
}

bool log_wants(enum log_level level)
{
	return level <= logger.level;
}

static int open_file(const char *path)
{
	FILE *file = NULL;

	if (path) {
		file = file_append(path);
		if (!file)
			return -errno;
		setvbuf(file, NULL, _IOLBF, BUFSIZ);
	}
	if (logger.file)
		fclose(logger.file);
	logger.file = file;
	return 0;
}

int log_open(const char *program, const char *path, enum log_level level)
{
	int err = open_file(path);

	if (err)
		return err;
	logger.program = program;
	logger.path = path;
	logger.level = level;
	return 0;
}

void log_rename(const char *program)
{
	logger.program = program;
	/* What is held back is the other's to tell. */
	memset(logger.repeats, 0, sizeof(logger.repeats));
}

void log_reopen(void)
{
	int err;

	if (!logger.path)
		return;
	err = open_file(logger.path);
	if (err)
		log_error(
			"%s: cannot be opened again, the open one is kept: %s",
			logger.path, strerror(-err));
}

void log_detach(void)
{
	if (logger.file)
		return;
	openlog(logger.program, LOG_PID, LOG_DAEMON);
	logger.to_syslog = true;
}

static void put_line(enum log_level level, const char *text)
{
	static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO,
					 LOG_DEBUG};
	char stamp[32];
	struct timespec now;
	struct tm tm;

	if (!logger.file && logger.to_syslog) {
		syslog(priorities[level], "%s", text);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%F %T", &tm);
	fprintf(logger.file ? logger.file : stderr, "%s.%03ld %s %s: %s\n",
		stamp, now.tv_nsec / 1000000, logger.program,
		level_names[level], text);
}

static time_t monotonic_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void put_repeat(struct repeat *r)
{
	char line[LINE_MAX_BYTES + 64];

	if (r->held_back) {
		snprintf(line, sizeof(line), "%s (%lu more like this)", r->text,
			 r->held_back);
		put_line(r->level, line);
	}
	r->held_back = 0;
	r->text[0] = '\0';
}

static bool hold_back(enum log_level level, const char *text)
{
	time_t now = monotonic_seconds();
	struct repeat *slot;

	for (unsigned i = 0; i < REPEAT_LINES; i++) {
		slot = &logger.repeats[i];
		if (!slot->text[0])
			continue;
		if (now - slot->since >= LOG_REPEAT_SECONDS) {
			put_repeat(slot);
		} else if (!strcmp(slot->text, text)) {
			slot->held_back++;
			return true;
		}
	}
	slot = &logger.repeats[logger.next_repeat++ % REPEAT_LINES];
	put_repeat(slot);
	snprintf(slot->text, sizeof(slot->text), "%s", text);
	slot->since = now;
	slot->level = level;
	return false;
}

void log_flush(void)
{
	for (unsigned i = 0; i < REPEAT_LINES; i++)
		put_repeat(&logger.repeats[i]);
	if (logger.file)
		fflush(logger.file);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES];
	va_list args;

	if (!log_wants(level))
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (!hold_back(level, text))
		put_line(level, text);
}

void log_text(enum log_level level, const char *text)
{
	char line[LINE_MAX_BYTES];
	size_t len;

	if (!log_wants(level))
		return;
	while (*text) {
		len = strcspn(text, "\n");
		if (!logger.file && logger.to_syslog) {
			snprintf(line, sizeof(line), "%.*s", (int)len, text);
			put_line(level, line);
		} else {
			fprintf(logger.file ? logger.file : stderr, "%.*s\n",
				(int)len, text);
		}
		text += len + (text[len] == '\n');
	}
}
