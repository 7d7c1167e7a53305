// SPDX-License-Identifier: BSD-2-Clause
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <stdio.h>

#include "tcpcopy/app.h"
#include "tcpcopy/check.h"
#include "tcpcopy/several.h"

static int run_one(const struct tcpcopy_options *o)
{
	static struct app app;
	static struct service service;
	int rc = service_begin(&service, "tcpcopy", &o->service);

	if (rc == 0)
		rc = app_run(&app, o, &service);
	service_end(&service);
	return rc;
}

static int run(const struct tcpcopy_options *o)
{
	return o->split.count > 1 ? several_run(o) : run_one(o);
}

int main(int argc, char **argv)
{
	static struct tcpcopy_options options;
	struct opts_fault fault;
	bool check = check_asked(argc, argv);
	bool json = check && check_arguments(&argc, argv);
	int rc = 0;

	if (!tcpcopy_options_parse(&options, argc, argv, &fault)) {
		opts_complain("tcpcopy", "%s", fault.text);
		rc = OPTS_EXIT_BAD_INPUT;
	} else if (options.service.help) {
		opts_help(&tcpcopy_program, stdout);
	} else if (options.service.version) {
		printf("tcpcopy %s\n", PACKAGE_VERSION);
	} else if (check) {
		rc = service_enter_netns("tcpcopy", &options.service);
		if (rc == 0)
			rc = tcpcopy_check(&options, json);
	} else {
		rc = run(&options);
	}
	tcpcopy_options_free(&options);
	return rc;
}
