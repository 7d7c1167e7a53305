/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The doctor's frame: a table of things to look at, and what was found, one
 * line each. Nothing here changes the host.
 */
#ifndef CHECK_CHECK_H
#define CHECK_CHECK_H

#include <stdbool.h>
#include <stddef.h>

enum check_level { CHECK_OK, CHECK_WARN, CHECK_FAIL, CHECK_LEVELS };

/* Whether a program was called as a doctor: "tcpcopy check ...". */
bool check_asked(int argc, char **argv);
/* Takes the word "check" out of the arguments, and a --json without a file or
 * with "-": what was left has the program's own options. Returns whether lines
 * are to be JSON. */
bool check_arguments(int *argc, char **argv);

struct check {
	const char *program;
	const char *name; /* of what is being looked at */
	bool json;
	unsigned found[CHECK_LEVELS];
};

struct check_item {
	const char *name;
	void (*run)(struct check *c, void *ctx);
};

/* Looks at everything in the table's order. The exit code: 0, or 1 when
 * something FAILs. */
int check_run(const char *program, bool json, const struct check_item *table,
	      size_t count, void *ctx);

/* What was found. fix: the command that mends it, or what to do. */
void check_ok(struct check *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void check_warn(struct check *c, const char *fix, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void check_fail(struct check *c, const char *fix, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A fix with something in it. Returns buf. */
#define CHECK_TEXT_MAX 512
char *check_text(char buf[CHECK_TEXT_MAX], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
