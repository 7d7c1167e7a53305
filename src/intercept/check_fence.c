// SPDX-License-Identifier: BSD-2-Clause
#include <string.h>

#include "intercept/check.h"
#include "intercept/guard_lines.h"

static void look_at_fence(struct check *c, const struct intercept_doctor *d,
			  struct guard_line *line)
{
	char text[GUARD_LINE_TEXT_MAX], fix[CHECK_TEXT_MAX];
	int rc = line->ops->check(line);

	guard_line_text(line, text);
	if (rc == 1) {
		check_ok(c, "%s stands", text);
		return;
	}
	check_text(fix, "intercept --guard %u", line->cfg.port);
	if (rc < 0)
		check_fail(c, guard_line_remedy(line, rc), "%s: %s", text,
			   strerror(-rc));
	else if (d->running)
		check_fail(c, fix, "%s: it does not stand", text);
	else
		check_warn(c, fix,
			   "%s: it does not stand, and intercept does not run",
			   text);
}

void check_fence(struct check *c, void *ctx)
{
	const struct intercept_doctor *d = ctx;
	struct guard_lines lines;
	int rc;

	if (!d->o->guard)
		return;
	rc = guard_lines_open(&lines, d->o);
	if (rc < 0) {
		check_fail(c, "run the check as root", "%s", strerror(-rc));
		return;
	}
	for (size_t i = 0; i < lines.count; i++)
		if (!strcmp(lines.lines[i]->what, "fence"))
			look_at_fence(c, d, lines.lines[i]);
	guard_lines_close(&lines);
}
