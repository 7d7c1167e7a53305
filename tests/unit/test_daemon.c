// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../helpers/temp_file.h"
#include "base/daemon.h"

static char path[TEMP_ROOM];

static long pid_in_file(void)
{
	FILE *f = fopen(path, "r");
	long pid = -1;

	if (!f)
		return -1;
	if (fscanf(f, "%ld", &pid) != 1)
		pid = -2;
	fclose(f);
	return pid;
}

static int exit_code_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_pid_file(void **state)
{
	(void)state;
	assert_int_equal(daemon_pid_file(path), 0);
	assert_int_equal(pid_in_file(), getpid());
	daemon_pid_file_remove();
	assert_int_equal(access(path, F_OK), -1);
	daemon_pid_file_remove();
}

static void test_pid_file_refused(void **state)
{
	pid_t pid;

	(void)state;
	assert_int_equal(daemon_pid_file("/nonexistent/x"), -ENOENT);
	/* Somebody else has it. */
	assert_int_equal(daemon_pid_file(path), 0);
	pid = fork();
	if (pid == 0)
		_exit(daemon_pid_file(path) == -EBUSY ? 0 : 1);
	assert_int_equal(exit_code_of(pid), 0);
	daemon_pid_file_remove();
}

static void test_pid_file_left_behind(void **state)
{
	FILE *f = fopen(path, "w");

	(void)state;
	fputs("4194999 and more\n", f);
	fclose(f);
	assert_int_equal(daemon_pid_file(path), 0);
	assert_int_equal(pid_in_file(), getpid());
	daemon_pid_file_remove();
}

/* What a program does that detaches: starts with this outcome, and lives on
 * until the pipe's other end is closed. */
static _Noreturn void program(int outcome, int hold_fd)
{
	char byte;

	if (daemon_detach())
		_exit(99);
	if (outcome)
		_exit(outcome);
	if (daemon_pid_file(path))
		_exit(98);
	daemon_ready();
	while (read(hold_fd, &byte, 1) > 0)
		;
	daemon_pid_file_remove();
	_exit(0);
}

static int start(int outcome, int *hold_fd)
{
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fds[1]);
		program(outcome, fds[0]);
	}
	close(fds[0]);
	*hold_fd = fds[1];
	return exit_code_of(pid);
}

static void test_failure_reaches_caller(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(start(3, &fd), 3);
	close(fd);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_success_reaches_caller(void **state)
{
	pid_t pid;
	int fd;

	(void)state;
	assert_int_equal(start(0, &fd), 0);
	pid = (pid_t)pid_in_file();
	assert_true(pid > 0 && pid != getpid());
	/* It leads a session of its own. */
	assert_int_equal(getsid(pid), pid);
	close(fd);
	while (!kill(pid, 0))
		usleep(1000);
	assert_int_equal(access(path, F_OK), -1);
}

static int make_path(void **state)
{
	int fd = mkstemp(temp_template(path, "daemon"));

	(void)state;
	return fd < 0 || close(fd) || unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pid_file),
		cmocka_unit_test(test_pid_file_refused),
		cmocka_unit_test(test_pid_file_left_behind),
		cmocka_unit_test(test_failure_reaches_caller),
		cmocka_unit_test(test_success_reaches_caller),
	};

	return cmocka_run_group_tests(tests, make_path, NULL);
}
