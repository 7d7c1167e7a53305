// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/notify.h"

/* A manager's socket; at: "/path" or "@name", as the environment has it. */
static int listen_at(const char *at)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	size_t len = strlen(at);

	memcpy(sa.sun_path, at, len);
	if (at[0] == '@')
		sa.sun_path[0] = '\0';
	len += offsetof(struct sockaddr_un, sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, (socklen_t)len), 0);
	return fd;
}

static void assert_heard(int fd, const char *what)
{
	char text[64] = "";

	assert_int_equal(recv(fd, text, sizeof(text), 0), strlen(what));
	assert_string_equal(text, what);
}

static void hears_at(const char *at)
{
	int fd = listen_at(at);

	setenv("NOTIFY_SOCKET", at, 1);
	notify_open();
	assert_null(getenv("NOTIFY_SOCKET"));
	notify_say("READY=1");
	assert_heard(fd, "READY=1");
	notify_say("STOPPING=1");
	assert_heard(fd, "STOPPING=1");
	notify_close();
	notify_say("READY=1");
	assert_int_equal(recv(fd, (char[8]){0}, 8, 0), -1);
	close(fd);
}

static void test_manager_hears(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/tmp/test-notify-%ld", (long)getpid());
	hears_at(path);
	unlink(path);
	snprintf(path, sizeof(path), "@test-notify-%ld", (long)getpid());
	hears_at(path);
}

static void test_no_manager(void **state)
{
	static const char *const bad[] = {"", "/", "x", "relative/path",
					  "/nonexistent/socket"};
	char too_long[200];

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	setenv("WATCHDOG_USEC", "1000000", 1);
	notify_open();
	notify_say("READY=1");
	assert_int_equal(notify_watchdog_us(), 0);
	memset(too_long, 'x', sizeof(too_long));
	too_long[0] = '/';
	too_long[sizeof(too_long) - 1] = '\0';
	setenv("NOTIFY_SOCKET", too_long, 1);
	notify_open();
	notify_say("READY=1");
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv("NOTIFY_SOCKET", bad[i], 1);
		notify_open();
		notify_say("READY=1");
		assert_null(getenv("NOTIFY_SOCKET"));
	}
}

static uint64_t watchdog_with(const char *usec, long pid)
{
	char path[64], text[32];
	uint64_t period_us;
	int fd;

	snprintf(path, sizeof(path), "@test-watchdog-%ld", (long)getpid());
	fd = listen_at(path);
	snprintf(text, sizeof(text), "%ld", pid);
	setenv("NOTIFY_SOCKET", path, 1);
	setenv("WATCHDOG_USEC", usec, 1);
	setenv("WATCHDOG_PID", text, 1);
	notify_open();
	period_us = notify_watchdog_us();
	assert_null(getenv("WATCHDOG_USEC"));
	notify_close();
	close(fd);
	return period_us;
}

static void test_watchdog(void **state)
{
	(void)state;
	assert_int_equal(watchdog_with("30000000", getpid()), 30000000);
	assert_int_equal(watchdog_with("30000000", getpid() + 1), 0);
	assert_int_equal(watchdog_with("x", getpid()), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manager_hears),
		cmocka_unit_test(test_no_manager),
		cmocka_unit_test(test_watchdog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
