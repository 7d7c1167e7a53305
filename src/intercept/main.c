// SPDX-License-Identifier: BSD-2-Clause
#include "intercept/check.h"
#include "intercept/guard_once.h"
#include "intercept/several.h"

#include <stdio.h>

static int run(const struct options *o)
{
	struct service service;
	int rc;

	if (o->workers > 1)
		return several_run(o);
	rc = service_begin(&service, "intercept", &o->service);
	if (rc == 0)
		rc = several_serve_one(o, &service);
	service_end(&service);
	return rc;
}

static int make_key(const char *path)
{
	struct opts_fault fault;

	if (!link_key_make(path, &fault)) {
		opts_complain("intercept", "--make-key %s: %s", path,
			      fault.text);
		return OPTS_EXIT_ENVIRONMENT;
	}
	printf("%s: a new key; give it to --key-file here and, as a copy "
	       "that only its owner can read, to every tcpcopy\n",
	       path);
	return 0;
}

int main(int argc, char **argv)
{
	struct options o;
	struct opts_fault fault;
	bool check = check_asked(argc, argv);
	bool json = check && check_arguments(&argc, argv);
	int rc = 0;

	if (!options_parse(&o, argc, argv, &fault)) {
		opts_complain("intercept", "%s", fault.text);
		rc = OPTS_EXIT_BAD_INPUT;
	} else if (o.service.help) {
		options_help(stdout);
	} else if (o.service.version) {
		puts("intercept " PACKAGE_VERSION);
	} else if (check) {
		rc = service_enter_netns("intercept", &o.service);
		if (rc == 0)
			rc = intercept_check(&o, json);
	} else if (o.print_rules) {
		guard_print(&o, stdout);
	} else if (o.unguard) {
		rc = service_enter_netns("intercept", &o.service);
		if (rc == 0)
			rc = guard_remove(&o);
	} else if (o.make_key) {
		rc = make_key(o.make_key);
	} else {
		rc = run(&o);
	}
	options_free(&o);
	return rc;
}
