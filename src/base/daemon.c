// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation: parent and child share a pipe. The child writes one byte
 * when it is ready; when it ends before that, the parent reads the end of the
 * pipe and takes over the child's exit status.
 */
#include "base/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

static int ready_fd = -1;
static int pid_fd = -1;
static const char *pid_path;

static _Noreturn void wait_for_child(pid_t child, int fd)
{
	char byte;
	ssize_t n;
	int status;

	do {
		n = read(fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(0);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status)
						       : 1);
}

int daemon_detach(void)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	child = fork();
	if (child < 0) {
		int err = -errno;

		close(fds[0]);
		close(fds[1]);
		return err;
	}
	if (child > 0) {
		close(fds[1]);
		wait_for_child(child, fds[0]);
	}
	close(fds[0]);
	ready_fd = fds[1];
	setsid();
	return 0;
}

void daemon_leave_terminal(void)
{
	int null_fd;

	log_detach();
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd >= 0) {
		dup2(null_fd, STDIN_FILENO);
		dup2(null_fd, STDOUT_FILENO);
		dup2(null_fd, STDERR_FILENO);
		if (null_fd > STDERR_FILENO)
			close(null_fd);
	}
}

void daemon_ready(void)
{
	if (ready_fd < 0)
		return;
	daemon_leave_terminal();
	if (write(ready_fd, "", 1) < 0)
		log_debug("the process that started us has gone");
	close(ready_fd);
	ready_fd = -1;
}

void daemon_forget(void)
{
	if (ready_fd >= 0)
		close(ready_fd);
	if (pid_fd >= 0)
		close(pid_fd);
	ready_fd = pid_fd = -1;
}

int daemon_pid_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	int err;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		err = errno == EWOULDBLOCK ? -EBUSY : -errno;
		close(fd);
		return err;
	}
	if (ftruncate(fd, 0) || dprintf(fd, "%ld\n", (long)getpid()) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	pid_fd = fd;
	pid_path = path;
	return 0;
}

void daemon_pid_file_remove(void)
{
	if (pid_fd < 0)
		return;
	if (unlink(pid_path) && ftruncate(pid_fd, 0))
		log_warn("%s: cannot be removed", pid_path);
	close(pid_fd);
	pid_fd = -1;
}
