// SPDX-License-Identifier: BSD-2-Clause
/* tcpcopy-sim: worlds made from seeds, one after the other. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/sim.h"

struct options {
	uint64_t seed, count;
	const char *profile;
	bool trace, twice, require_coverage, print_command;
};

static struct options opts = {.seed = 1, .count = 1};
static volatile uint64_t current_seed;

static const char usage[] =
	"usage: tcpcopy-sim [--seed N] [--count M] [--profile P] [--trace]\n"
	"                   [--twice] [--require-coverage]\n"
	"                   [--print-failing-command]\n";

static int print_command(char *buf, size_t cap, uint64_t seed)
{
	return snprintf(buf, cap, "tcpcopy-sim --seed %llu%s%s --trace",
			(unsigned long long)seed,
			opts.profile ? " --profile " : "",
			opts.profile ? opts.profile : "");
}

/* An assertion of the core: say which seed before the end. */
static void on_trap(int sig)
{
	char text[256];
	int n = print_command(text, sizeof(text) - 1, current_seed);

	text[n++] = '\n';
	if (write(STDOUT_FILENO, "# stopped by an assertion: ", 27) < 0 ||
	    write(STDOUT_FILENO, text, (size_t)n) < 0)
		_exit(4);
	signal(sig, SIG_DFL);
	raise(sig);
}

static uint64_t number(const char *name, const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (*text && !*end)
		return n;
	fprintf(stderr, "tcpcopy-sim: --%s: %s is no number\n", name, text);
	exit(2);
}

static void check_profile(const char *name)
{
	for (const char *const *p = profile_names(); *p; p++)
		if (strcmp(*p, name) == 0)
			return;
	fprintf(stderr, "tcpcopy-sim: --profile: %s is none of", name);
	for (const char *const *p = profile_names(); *p; p++)
		fprintf(stderr, " %s", *p);
	fputc('\n', stderr);
	exit(2);
}

static void read_options(int argc, char **argv)
{
	static const struct option names[] = {
		{"seed", required_argument, NULL, 's'},
		{"count", required_argument, NULL, 'n'},
		{"profile", required_argument, NULL, 'p'},
		{"trace", no_argument, NULL, 't'},
		{"twice", no_argument, NULL, '2'},
		{"require-coverage", no_argument, NULL, 'c'},
		{"print-failing-command", no_argument, NULL, 'f'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 's':
			opts.seed = number("seed", optarg);
			break;
		case 'n':
			opts.count = number("count", optarg);
			break;
		case 'p':
			check_profile(optarg);
			opts.profile = optarg;
			break;
		case 't':
			opts.trace = true;
			break;
		case '2':
			opts.twice = true;
			break;
		case 'c':
			opts.require_coverage = true;
			break;
		case 'f':
			opts.print_command = true;
			break;
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
}

static bool run_seed(uint64_t seed, uint64_t *coverage)
{
	static uint64_t unused[COVER_COUNT];
	struct sim_result first, second;
	char command[256];

	current_seed = seed;
	first = sim_run(seed, opts.profile, opts.trace, coverage);
	if (first.ok && opts.twice) {
		second = sim_run(seed, opts.profile, false, unused);
		if (second.digest != first.digest) {
			first.ok = false;
			snprintf(first.failure, sizeof(first.failure),
				 "determinism: two runs differ");
		}
	}
	if (first.ok)
		return true;
	print_command(command, sizeof(command), seed);
	printf("# seed %llu: %s\n", (unsigned long long)seed, first.failure);
	if (opts.print_command)
		printf("# %s\n", command);
	return false;
}

int main(int argc, char **argv)
{
	uint64_t coverage[COVER_COUNT] = {0};
	uint64_t failed = 0;
	unsigned zeroes;

	read_options(argc, argv);
	signal(SIGILL, on_trap);
	signal(SIGTRAP, on_trap);
	signal(SIGABRT, on_trap);
	for (uint64_t i = 0; i < opts.count && failed < 10; i++)
		failed += !run_seed(opts.seed + i, coverage);
	if (opts.trace)
		return failed ? 1 : 0;
	zeroes = coverage_print(coverage, stdout);
	printf("# %llu seeds from %llu: %llu failed, %u paths never taken\n",
	       (unsigned long long)opts.count, (unsigned long long)opts.seed,
	       (unsigned long long)failed, zeroes);
	return failed || (opts.require_coverage && zeroes) ? 1 : 0;
}
