// SPDX-License-Identifier: BSD-2-Clause
/* Each case runs in a child, which loads the filter and then does one thing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/syscalls.h"

#define PAGE_BYTES 4096

static int status_after(void (*act)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		    syscalls_restrict())
			_exit(99);
		act();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void assert_allowed(void (*act)(void))
{
	int status = status_after(act);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void assert_killed(void (*act)(void))
{
	int status = status_after(act);

#ifdef WITH_SECCOMP
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
#else
	(void)status;
#endif
}

static void fail_if(bool bad)
{
	if (bad)
		_exit(1);
}

/* ---- what a service does ---- */

static void use_files(void)
{
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	char byte;

	fail_if(fd < 0 || read(fd, &byte, 1) != 1 || close(fd));
}

static void use_sockets(void)
{
	static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK};

	for (unsigned i = 0; i < 4; i++)
		fail_if(socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC, 0) < 0);
	fail_if(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0) < 0);
}

static void use_memory(void)
{
	char *big = malloc(8u << 20);

	fail_if(!big);
	big[1] = 1;
	big = realloc(big, 16u << 20);
	fail_if(!big || big[1] != 1);
	free(big);
}

static void use_clock(void)
{
	struct timespec pause = {.tv_nsec = 1000}, now;
	struct rlimit files;

	fail_if(nanosleep(&pause, NULL) || clock_gettime(CLOCK_REALTIME, &now));
	fail_if(getrlimit(RLIMIT_NOFILE, &files));
	fail_if(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now));
}

static void use_niceness(void)
{
	fail_if(setpriority(PRIO_PROCESS, 0, 19));
}

static void try_what_may_fail(void)
{
#ifdef WITH_SECCOMP
	fail_if(syscall(SYS_clone3, NULL, 0) != -1 || errno != ENOSYS);
	fail_if(syscall(SYS_io_uring_setup, 1, NULL) != -1 || errno != ENOSYS);
#endif
}

static void test_services_work(void **state)
{
	(void)state;
	assert_allowed(use_files);
	assert_allowed(use_sockets);
	assert_allowed(use_memory);
	assert_allowed(use_clock);
	assert_allowed(use_niceness);
	assert_allowed(try_what_may_fail);
}

static void test_abort_is_an_abort(void **state)
{
	int status = status_after(abort);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* ---- what an intruder would do ---- */

static void start_a_shell(void)
{
	execl("/bin/true", "true", NULL);
}

static void fork_away(void)
{
	if (fork() == 0)
		_exit(0);
}

static void map_code(void)
{
	mmap(NULL, PAGE_BYTES, PROT_READ | PROT_EXEC,
	     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void make_code(void)
{
	void *at = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(at, PAGE_BYTES, PROT_READ | PROT_EXEC);
}

static void open_raw_ip(void)
{
	socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
}

static void open_packets(void)
{
	socket(AF_PACKET, SOCK_DGRAM, 0);
}

static void trace(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void change_user(void)
{
	if (setuid(0))
		_exit(0);
}

static void signal_others(void)
{
	kill(getppid(), 0);
}

/* Of nobody: without a filter, as under the sanitizers, it is really done. */
#define NOBODYS_ID 0x7ffffffe

static void slow_another_down(void)
{
	setpriority(PRIO_PROCESS, NOBODYS_ID, 19);
}

static void slow_a_user_down(void)
{
	setpriority(PRIO_USER, NOBODYS_ID, 19);
}

static void raise_limit(void)
{
	struct rlimit core = {1, 1};

	setrlimit(RLIMIT_CORE, &core);
}

static void change_modes(void)
{
	chmod("/dev/null", 0666);
}

static void test_intruders_die(void **state)
{
	(void)state;
	assert_killed(start_a_shell);
	assert_killed(fork_away);
	assert_killed(map_code);
	assert_killed(make_code);
	assert_killed(open_raw_ip);
	assert_killed(open_packets);
	assert_killed(trace);
	assert_killed(change_user);
	assert_killed(signal_others);
	assert_killed(slow_another_down);
	assert_killed(slow_a_user_down);
	assert_killed(raise_limit);
	assert_killed(change_modes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_services_work),
		cmocka_unit_test(test_abort_is_an_abort),
		cmocka_unit_test(test_intruders_die),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
