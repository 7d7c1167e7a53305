// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * The kernel lists the tables that are there, for IPv4 and IPv6, in files for
 * root and root's group: they are opened once, and stay open. A table is there
 * from when somebody has asked for it first, before it has any rule. Without
 * iptables there are no such files. To ask iptables itself, by a socket option,
 * would make the table.
 */
#include "io/nat_legacy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAMES_BYTES 256 /* there are five tables */
#define PATH_BYTES  256

static const char *const files[NAT_LEGACY_FILES] = {"ip_tables_names",
						    "ip6_tables_names"};

/* The kernel shows its files here at all. */
static bool is_shown(const char *dir)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s/protocols", dir);
	return access(path, F_OK) == 0;
}

static bool has_nat(const char *names)
{
	while (names) {
		if (!strncmp(names, "nat\n", 4) || !strncmp(names, "raw\n", 4))
			return true;
		names = strchr(names, '\n');
		if (names)
			names++;
	}
	return false;
}

static enum nat_answer open_file(struct nat_legacy *n, unsigned i)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", n->dir, files[i]);
	n->fds[i] = open(path, O_RDONLY | O_CLOEXEC);
	return n->fds[i] < 0 && errno == ENOENT && is_shown(n->dir)
		       ? NAT_NONE
		       : NAT_UNTOLD;
}

static enum nat_answer ask_file(struct nat_legacy *n, unsigned i)
{
	char names[NAMES_BYTES + 1];
	ssize_t len;

	if (n->fds[i] < 0) {
		enum nat_answer answer = open_file(n, i);

		if (n->fds[i] < 0)
			return answer;
	}
	len = pread(n->fds[i], names, NAMES_BYTES, 0);
	if (len < 0 || len == NAMES_BYTES) {
		close(n->fds[i]);
		n->fds[i] = -1;
		return NAT_UNTOLD;
	}
	names[len] = '\0';
	return has_nat(names) ? NAT_SOME : NAT_NONE;
}

enum nat_answer nat_legacy_ask(struct nat_legacy *n)
{
	enum nat_answer answer = NAT_NONE;

	for (unsigned i = 0; answer == NAT_NONE && i < NAT_LEGACY_FILES; i++)
		answer = ask_file(n, i);
	return answer;
}

void nat_legacy_open(struct nat_legacy *n, const char *dir)
{
	n->dir = dir;
	for (unsigned i = 0; i < NAT_LEGACY_FILES; i++)
		open_file(n, i);
}

void nat_legacy_close(struct nat_legacy *n)
{
	for (unsigned i = 0; i < NAT_LEGACY_FILES; i++)
		if (n->fds[i] >= 0)
			close(n->fds[i]);
}
