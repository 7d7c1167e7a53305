// SPDX-License-Identifier: BSD-2-Clause
#include "check/rules_read.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>

#include "base/count.h"
#include "base/privileges.h"

#define TEXT_MAX (8u << 20)
#define STEP	 65536u

/* A new text with everything that comes, or NULL. */
static char *read_all(int fd)
{
	size_t len = 0, cap = 0;
	char *text = NULL;
	ssize_t n = 1;

	while (n > 0 && len < TEXT_MAX) {
		if (len + STEP > cap) {
			char *more = realloc(text, cap += 2 * STEP);

			if (!more)
				break;
			text = more;
		}
		n = read(fd, text + len, STEP - 1);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			len += (size_t)n;
	}
	if (text)
		text[len] = '\0';
	return text;
}

static bool start(pid_t *pid, const char *const *argv, int out)
{
	posix_spawn_file_actions_t actions;
	static const char *const environment[] = {
		"PATH=/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL=C", NULL};
	bool ok;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	/* It changes neither. */
	ok = posix_spawn(pid, argv[0], &actions, NULL, (char *const *)argv,
			 (char *const *)environment) == 0;
	posix_spawn_file_actions_destroy(&actions);
	return ok;
}

/* What it prints if it ends well; to be freed. */
static char *output_of(const char *const *argv)
{
	int ends[2], status = -1;
	char *text = NULL;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return NULL;
	if (start(&pid, argv, ends[1])) {
		close(ends[1]);
		text = read_all(ends[0]);
		/* Before we wait: who has more to print must not wait for us.
		 */
		close(ends[0]);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	} else {
		close(ends[0]);
		close(ends[1]);
	}
	if (status == 0)
		return text;
	free(text);
	return NULL;
}

/* A tool of this host by its name; NULL: it has none. */
static char *run_tool(const char *name, const char *const *more)
{
	static const char *const places[] = {"/usr/sbin", "/sbin", "/usr/bin"};
	char path[128];
	const char *argv[4] = {path, more[0], more[0] ? more[1] : NULL, NULL};

	for (size_t i = 0; i < COUNT(places); i++) {
		snprintf(path, sizeof(path), "%s/%s", places[i], name);
		if (!access(path, X_OK))
			return output_of(argv);
	}
	return NULL;
}

static struct rules *read_flavour(const char *tool, const char *flavour)
{
	const char *const none[] = {NULL};
	struct rules *r = NULL;
	char name[64], *text;

	snprintf(name, sizeof(name), "%s%s-save", tool, flavour);
	text = run_tool(name, none);
	if (text)
		r = rules_parse(text);
	free(text);
	return r;
}

void rules_host_read(struct rules_host *h)
{
	static const char *const tools[2] = {"iptables", "ip6tables"};
	const char *const list[] = {"list", "ruleset", NULL};
	char *text;

	privileges_hand_down();
	for (int i = 0; i < 2; i++) {
		struct rules **f = h->flavours[i];

		f[RULES_NFT] = read_flavour(tools[i], "-nft");
		f[RULES_LEGACY] = read_flavour(tools[i], "-legacy");
		if (!f[RULES_NFT] && !f[RULES_LEGACY])
			f[RULES_NFT] = read_flavour(tools[i], "");
	}
	text = run_tool("nft", list);
	h->native = text ? nft_parse(text) : NULL;
	free(text);
}

void rules_host_free(struct rules_host *h)
{
	for (int i = 0; i < 2; i++)
		for (int f = 0; f < RULES_FLAVOURS; f++)
			rules_free(h->flavours[i][f]);
	nft_free(h->native);
}

const char *rules_tool(const struct rules_host *h, bool v4,
		       enum rules_flavour flavour)
{
	const struct rules *const *f =
		(const struct rules *const *)h->flavours[!v4];

	if (!f[RULES_NFT] || !f[RULES_LEGACY])
		return v4 ? "iptables" : "ip6tables";
	if (flavour == RULES_NFT)
		return v4 ? "iptables-nft" : "ip6tables-nft";
	return v4 ? "iptables-legacy" : "ip6tables-legacy";
}
