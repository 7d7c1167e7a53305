// SPDX-License-Identifier: BSD-2-Clause
#include "floor.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

volatile sig_atomic_t floor_ended;

static void on_signal(int number)
{
	(void)number;
	floor_ended = 1;
}

void floor_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
}

double floor_cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

void floor_die(const char *what)
{
	perror(what);
	exit(1);
}

unsigned floor_number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || end == text || n > UINT32_MAX) {
		fprintf(stderr, "no number: %s\n", text);
		exit(2);
	}
	return (unsigned)n;
}

void floor_ready(void)
{
	puts("ready");
	fflush(stdout);
}
