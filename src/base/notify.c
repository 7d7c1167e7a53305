// SPDX-License-Identifier: BSD-2-Clause
#include "base/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int manager_fd = -1;
static uint64_t watchdog_us;

/* The length of the address, 0 if it is none. */
static socklen_t address_of(const char *path, struct sockaddr_un *out)
{
	size_t len = strlen(path);

	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (len < 2 || len >= sizeof(out->sun_path) ||
	    (path[0] != '/' && path[0] != '@'))
		return 0;
	memcpy(out->sun_path, path, len);
	if (path[0] == '@') /* not in the file system */
		out->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static int connect_to(const char *path)
{
	struct sockaddr_un at;
	socklen_t len = address_of(path, &at);
	int fd = len ? socket(AF_UNIX,
			      SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)
		     : -1;

	if (fd >= 0 && connect(fd, (struct sockaddr *)&at, len)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The watchdog is of the process that the manager started. */
static uint64_t watchdog_from_environment(void)
{
	const char *period = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");

	if (!period || (pid && strtoll(pid, NULL, 10) != getpid()))
		return 0;
	return strtoull(period, NULL, 10);
}

void notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	notify_close();
	if (path)
		manager_fd = connect_to(path);
	if (manager_fd >= 0)
		watchdog_us = watchdog_from_environment();
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void notify_close(void)
{
	if (manager_fd >= 0)
		close(manager_fd);
	manager_fd = -1;
	watchdog_us = 0;
}

void notify_say(const char *state)
{
	ssize_t sent;

	if (manager_fd < 0)
		return;
	do {
		sent = send(manager_fd, state, strlen(state), MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
}

uint64_t notify_watchdog_us(void)
{
	return watchdog_us;
}
