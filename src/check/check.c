// SPDX-License-Identifier: BSD-2-Clause
#include "check/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

static const char *const level_texts[CHECK_LEVELS] = {"ok", "warn", "FAIL"};

bool check_asked(int argc, char **argv)
{
	return argc > 1 && !strcmp(argv[1], "check");
}

/* The file of a run's reports is none of ours: --json FILE stays. */
static bool is_plain_json(int argc, char **argv, int i, int *words)
{
	const char *next = i + 1 < argc ? argv[i + 1] : NULL;

	*words = next && !strcmp(next, "-") ? 2 : 1;
	if (!strcmp(argv[i], "--json"))
		return !next || next[0] == '-';
	return !strcmp(argv[i], "--json=-") && (*words = 1);
}

bool check_arguments(int *argc, char **argv)
{
	bool json = false;
	int left = 1, words;

	for (int i = 2; i < *argc; i++) {
		if (is_plain_json(*argc, argv, i, &words)) {
			json = true;
			i += words - 1;
		} else {
			argv[left++] = argv[i];
		}
	}
	argv[left] = NULL;
	*argc = left;
	return json;
}

static void say_text(const struct check *c, enum check_level level,
		     const char *cause, const char *fix)
{
	printf("%-4s  %s: %s", level_texts[level], c->name, cause);
	if (fix)
		printf("; fix: %s", fix);
	putchar('\n');
}

static void say_json(const struct check *c, enum check_level level,
		     const char *cause, const char *fix)
{
	struct json j = {.out = stdout};

	json_object(&j, NULL);
	json_string(&j, "type", "check");
	json_string(&j, "program", c->program);
	json_string(&j, "what", c->name);
	json_string(&j, "level", level_texts[level]);
	json_string(&j, "cause", cause);
	if (fix)
		json_string(&j, "fix", fix);
	json_object_end(&j);
	json_line_end(&j);
}

__attribute__((format(printf, 4, 0))) static void
say(struct check *c, enum check_level level, const char *fix, const char *fmt,
    va_list args)
{
	char cause[2 * CHECK_TEXT_MAX];

	vsnprintf(cause, sizeof(cause), fmt, args);
	c->found[level]++;
	if (c->json)
		say_json(c, level, cause, fix);
	else
		say_text(c, level, cause, fix);
	fflush(stdout);
}

void check_ok(struct check *c, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(c, CHECK_OK, NULL, fmt, args);
	va_end(args);
}

void check_warn(struct check *c, const char *fix, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(c, CHECK_WARN, fix, fmt, args);
	va_end(args);
}

void check_fail(struct check *c, const char *fix, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(c, CHECK_FAIL, fix, fmt, args);
	va_end(args);
}

char *check_text(char buf[CHECK_TEXT_MAX], const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(buf, CHECK_TEXT_MAX, fmt, args);
	va_end(args);
	return buf;
}

int check_run(const char *program, bool json, const struct check_item *table,
	      size_t count, void *ctx)
{
	struct check c = {.program = program, .json = json};

	for (size_t i = 0; i < count; i++) {
		c.name = table[i].name;
		table[i].run(&c, ctx);
	}
	return c.found[CHECK_FAIL] > 0;
}
