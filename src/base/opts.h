/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options of a program from one table: parsing, help, and the checks of values.
 * A check that fails leaves one line that says what is allowed.
 */
#ifndef BASE_OPTS_H
#define BASE_OPTS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "core/addr.h"

/* Ids of options without a letter begin here. */
#define OPTS_LONG_ONLY 256

struct opt {
	int id; /* the letter, or >= OPTS_LONG_ONLY */
	const char *name;
	const char *arg;  /* what its value is called; NULL: it has none */
	const char *help; /* NULL: stands before the next one, on its line */
};

struct opts_fault {
	char text[320];
};

struct opts_program {
	const char *name;
	const char *usage; /* first line(s) of the help */
	const struct opt *table;
	size_t count;
	/* Takes one option. false: fault says what is allowed. */
	bool (*take)(void *ctx, int id, const char *value,
		     struct opts_fault *fault);
};

/* false: fault names the option, its value, and what is allowed; the program
 * ends with OPTS_EXIT_BAD_INPUT. */
bool opts_parse(const struct opts_program *p, int argc, char **argv, void *ctx,
		struct opts_fault *fault);
void opts_help(const struct opts_program *p, FILE *out);

#define OPTS_EXIT_BAD_INPUT   2
#define OPTS_EXIT_ENVIRONMENT 3

/* One line on stderr, "program: ...". In it, as in a fault, each control
 * character is a '?': a value with a newline makes no line of its own. */
void opts_complain(const char *program, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void opts_vcomplain(const char *program, const char *fmt, va_list args)
	__attribute__((format(printf, 2, 0)));

/* Always false. */
bool opts_fail(struct opts_fault *fault, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Whole decimal number; what is named in "<what> must be <min> to <max>". */
bool opts_number(const char *text, const char *what, uint64_t min, uint64_t max,
		 uint64_t *out, struct opts_fault *fault);
/* Digits with at most one point. */
bool opts_decimal(const char *text, const char *what, double min, double max,
		  double *out, struct opts_fault *fault);
/* opts_decimal() in seconds. */
bool opts_seconds(const char *text, const char *what, double min, double max,
		  uint64_t *out_us, struct opts_fault *fault);

/* An option whose value is a whole number, and where it goes. */
struct opts_number_row {
	int id;
	const char *what;
	unsigned min, max;
	size_t at; /* of an unsigned in the program's options */
};

/* Whether id is one of the rows; then *ok says if the value was good. */
bool opts_number_of(const struct opts_number_row *rows, size_t count,
		    void *options, int id, const char *value,
		    struct opts_fault *fault, bool *ok);

/* Takes the next item off a comma-separated list, without the spaces around
 * it: 1; 0: no more; -EINVAL: empty, or cap bytes are too few for it. */
#define OPTS_ITEM_MAX 300
int opts_item(const char **list, char *item, size_t cap);

/* A numeric address; IPv6 may be in brackets. */
bool opts_addr(const char *text, struct ip_addr *out);
/* What one host can have: not 0.0.0.0 or ::, multicast, or 255.255.255.255. */
bool opts_is_host(const struct ip_addr *a);
/* A numeric address or a host name, whose first address counts, and which is
 * that of one host. */
bool opts_host(const char *text, struct ip_addr *out, struct opts_fault *fault);
/* ADDRESS or ADDRESS/LENGTH. */
bool opts_prefix(const char *text, struct addr_prefix *out,
		 struct opts_fault *fault);
/* ADDRESS, ADDRESS/LENGTH, or 192.0.2.x, all of them hosts'; of an IPv4 network
 * its first and last address are left out. */
bool opts_range(const char *text, struct addr_range *out,
		struct opts_fault *fault);
/* HOST, HOST:PORT, IPv6 in brackets if there is a port. */
bool opts_endpoint(const char *text, uint16_t default_port,
		   struct endpoint *out, struct opts_fault *fault);
/* 1 to 65535. */
bool opts_port(const char *text, uint16_t *out, struct opts_fault *fault);

#endif
