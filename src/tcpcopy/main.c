// SPDX-License-Identifier: BSD-2-Clause
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>

#include "tcpcopy/app.h"

int main(int argc, char **argv)
{
	static struct tcpcopy_options options;
	static struct app app;
	struct opts_fault fault;

	if (!tcpcopy_options_parse(&options, argc, argv, &fault)) {
		fprintf(stderr, "tcpcopy: %s\n", fault.text);
		return OPTS_EXIT_BAD_INPUT;
	}
	if (options.service.help) {
		opts_help(&tcpcopy_program, stdout);
		return 0;
	}
	if (options.service.version) {
		printf("tcpcopy %s\n", PACKAGE_VERSION);
		return 0;
	}
	return app_run(&app, &options);
}
