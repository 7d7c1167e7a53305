// SPDX-License-Identifier: BSD-2-Clause
#include "base/opts.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

#define TABLE_MAX      64
#define HELP_COLUMN    28
#define LEFT_MAX       80   /* of a line of the help: its options */
#define LINE_MAX_BYTES 8192 /* of a complaint: the longest path, and more */

static void hide_controls(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == '\x7f')
			*text = '?';
}

bool opts_fail(struct opts_fault *fault, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(fault->text, sizeof(fault->text), fmt, args);
	va_end(args);
	hide_controls(fault->text);
	return false;
}

void opts_vcomplain(const char *program, const char *fmt, va_list args)
{
	char text[LINE_MAX_BYTES];

	vsnprintf(text, sizeof(text), fmt, args);
	hide_controls(text);
	fprintf(stderr, "%s: %s\n", program, text);
}

void opts_complain(const char *program, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	opts_vcomplain(program, fmt, args);
	va_end(args);
}

struct getopt_tables {
	struct option longs[TABLE_MAX + 1];
	char shorts[2 * TABLE_MAX + 2];
};

static void make_tables(struct getopt_tables *t, const struct opts_program *p)
{
	char *s = t->shorts;

	ASSERT(p->count <= TABLE_MAX);
	*s++ = ':'; /* we speak for ourselves */
	for (size_t i = 0; i < p->count; i++) {
		const struct opt *o = &p->table[i];

		t->longs[i] = (struct option){
			.name = o->name,
			.has_arg = o->arg ? required_argument : no_argument,
			.val = o->id};
		if (o->id < OPTS_LONG_ONLY) {
			*s++ = (char)o->id;
			if (o->arg)
				*s++ = ':';
		}
	}
	*s = '\0';
	t->longs[p->count] = (struct option){0};
}

static const struct opt *find_option(const struct opts_program *p, int id)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->table[i].id == id)
			return &p->table[i];
	return NULL;
}

/* As the user may write it, whichever form was used. */
static void option_text(const struct opt *o, bool is_long, char *out,
			size_t cap)
{
	if (is_long || o->id >= OPTS_LONG_ONLY)
		snprintf(out, cap, "--%s", o->name);
	else
		snprintf(out, cap, "-%c", o->id);
}

static bool bad_option(const struct opts_program *p, int c, char **argv,
		       struct opts_fault *fault)
{
	const struct opt *o = find_option(p, optopt);
	const char *word = argv[optind - 1];

	if (c == ':' && o) {
		bool is_long = !strncmp(word, "--", 2);
		char name[64];

		option_text(o, is_long, name, sizeof(name));
		return opts_fail(fault, "%s: needs a value, %s", name, o->arg);
	}
	if (optopt && optopt < OPTS_LONG_ONLY && !o)
		return opts_fail(fault, "-%c: no such option, see --help",
				 optopt);
	if (optopt && o)
		return opts_fail(fault, "%s: takes no value", word);
	return opts_fail(fault, "%s: no such option, see --help", word);
}

static bool take_option(const struct opts_program *p, int id, bool is_long,
			const char *value, void *ctx, struct opts_fault *fault)
{
	struct opts_fault why = {""};
	char name[64];

	if (p->take(ctx, id, value, &why))
		return true;
	option_text(find_option(p, id), is_long, name, sizeof(name));
	return opts_fail(fault, "%s%s%.80s: %.180s", name, value ? " " : "",
			 value ? value : "", why.text);
}

bool opts_parse(const struct opts_program *p, int argc, char **argv, void *ctx,
		struct opts_fault *fault)
{
	struct getopt_tables tables;
	int long_index;

	make_tables(&tables, p);
	optind = 0; /* from the beginning, whatever was parsed before */
	opterr = 0;
	for (;;) {
		int c;

		long_index = -1;
		c = getopt_long(argc, argv, tables.shorts, tables.longs,
				&long_index);
		if (c == -1)
			break;
		if (c == '?' || c == ':')
			return bad_option(p, c, argv, fault);
		if (!take_option(p, c, long_index >= 0, optarg, ctx, fault))
			return false;
	}
	if (optind < argc)
		return opts_fail(fault, "%.80s: not an option, see --help",
				 argv[optind]);
	return true;
}

/* Adds an option, as it may be written, to those of a line; the new length. */
static size_t add_option(char *left, size_t len, const struct opt *o)
{
	char letter[8] = "";

	if (o->id < OPTS_LONG_ONLY)
		snprintf(letter, sizeof(letter), "-%c, ", o->id);
	else if (len == 0)
		strcpy(letter, "    ");
	len += (size_t)snprintf(left + len, LEFT_MAX - len, "%s%s--%s%s%s",
				len ? ", " : "  ", letter, o->name,
				o->arg ? " " : "", o->arg ? o->arg : "");
	ASSERT(len < LEFT_MAX);
	return len;
}

void opts_help(const struct opts_program *p, FILE *out)
{
	char left[LEFT_MAX];
	size_t len = 0;

	fputs(p->usage, out);
	for (size_t i = 0; i < p->count; i++) {
		const struct opt *o = &p->table[i];

		len = add_option(left, len, o);
		if (!o->help)
			continue;
		/* Who reads it by a program knows the end of the options by
		 * two spaces. */
		fprintf(out, "%-*s  %s\n", HELP_COLUMN - 2, left, o->help);
		len = 0;
	}
}

static bool all_of(const char *text, const char *accepted)
{
	return *text && text[strspn(text, accepted)] == '\0';
}

bool opts_number(const char *text, const char *what, uint64_t min, uint64_t max,
		 uint64_t *out, struct opts_fault *fault)
{
	unsigned long long v;

	errno = 0;
	v = all_of(text, "0123456789") ? strtoull(text, NULL, 10) : 0;
	if (!all_of(text, "0123456789") || errno || v < min || v > max)
		return opts_fail(fault, "%s must be %llu to %llu", what,
				 (unsigned long long)min,
				 (unsigned long long)max);
	*out = v;
	return true;
}

bool opts_number_of(const struct opts_number_row *rows, size_t count,
		    void *options, int id, const char *value,
		    struct opts_fault *fault, bool *ok)
{
	for (size_t i = 0; i < count; i++) {
		const struct opts_number_row *row = &rows[i];
		uint64_t v;

		if (row->id != id)
			continue;
		*ok = opts_number(value, row->what, row->min, row->max, &v,
				  fault);
		if (*ok)
			*(unsigned *)(void *)((char *)options + row->at) =
				(unsigned)v;
		return true;
	}
	return false;
}

bool opts_decimal(const char *text, const char *what, double min, double max,
		  double *out, struct opts_fault *fault)
{
	bool ok = all_of(text, "0123456789.") && strcmp(text, ".") != 0 &&
		  strchr(text, '.') == strrchr(text, '.');
	double v = ok ? strtod(text, NULL) : 0;

	if (!ok || !(v >= min && v <= max))
		return opts_fail(fault, "%s must be %.15g to %.15g", what, min,
				 max);
	*out = v;
	return true;
}

bool opts_seconds(const char *text, const char *what, double min, double max,
		  uint64_t *out_us, struct opts_fault *fault)
{
	double seconds;

	if (!opts_decimal(text, what, min, max, &seconds, fault))
		return false;
	*out_us = (uint64_t)(seconds * 1e6 + 0.5);
	return true;
}
