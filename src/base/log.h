/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log of the process: stderr, a file, or (a daemon without a file) syslog.
 * A line that says what one of the last few said is held back for a while and
 * then told with its number.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

#define LOG_REPEAT_SECONDS 10

/* "error", "warn", "info", "debug". */
bool log_level_parse(const char *text, enum log_level *level);
/* path NULL: stderr. 0 or -errno; the log goes on as it was on failure. May be
 * called again. */
int log_open(const char *program, const char *path, enum log_level level);
/* Opens the file by its name again, after it was moved away. */
void log_reopen(void);
/* There is no stderr any more: what went there goes to syslog. */
void log_detach(void);
/* From now on the program is called so, for as long as the name lives. */
void log_rename(const char *program);
/* Tells what is still held back. */
void log_flush(void);
bool log_wants(enum log_level level);

void log_write(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Several lines of one text, without marks in front of each. */
void log_text(enum log_level level, const char *text);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
