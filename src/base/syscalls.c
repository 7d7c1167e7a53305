// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation: a list of what may be called, found by running the lab
 * under strace, and widened by what other versions of libc and libuv use for
 * the same things. Calls are named by strings: one that this kernel or library
 * does not know is left out. Calls that a library only tries, and can live
 * without, fail instead of killing. Frequent calls carry no condition on
 * arguments, which is what lets the kernel pass them without running the
 * filter.
 */
#include "base/syscalls.h"

#ifndef WITH_SECCOMP

int syscalls_restrict(void)
{
	return 0;
}

#else

#include <asm/termbits.h>
#include <errno.h>
#include <linux/bpf.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/count.h"

/* What socket()'s type has besides its flags. */
#define TYPE_MASK 0xf

static const char *const allowed[] = {
	/* bytes */
	"read", "readv", "pread64", "preadv", "write", "writev", "pwrite64",
	"pwritev", "lseek", "_llseek", "close", "fcntl", "fcntl64", "dup",
	"dup2", "dup3", "pipe", "pipe2", "fsync", "fdatasync",
	/* log, reports, pid file, /proc and /sys */
	"open", "openat", "stat", "stat64", "lstat", "lstat64", "fstat",
	"fstat64", "newfstatat", "fstatat64", "statx", "access", "faccessat",
	"faccessat2", "readlink", "readlinkat", "getdents", "getdents64",
	"unlink", "unlinkat", "ftruncate", "ftruncate64",
	/* sockets */
	"connect", "accept", "accept4", "bind", "listen", "shutdown",
	"getsockname", "getpeername", "getsockopt", "setsockopt", "send",
	"sendto", "sendmsg", "sendmmsg", "recv", "recvfrom", "recvmsg",
	"recvmmsg", "recvmmsg_time64",
	/* waiting */
	"poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6",
	"pselect6_time64", "epoll_create", "epoll_create1", "epoll_ctl",
	"epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "nanosleep",
	"clock_nanosleep", "clock_nanosleep_time64", "restart_syscall",
	/* memory */
	"brk", "munmap", "mremap", "madvise", "mlock", "mlock2", "munlock",
	/* time, where the kernel's page for it does not serve */
	"clock_gettime", "clock_gettime64", "clock_getres",
	"clock_getres_time64", "gettimeofday", "time",
	/* this process */
	"exit", "exit_group", "getpid", "gettid", "getppid", "getuid",
	"geteuid", "getgid", "getegid", "getuid32", "geteuid32", "getgid32",
	"getegid32", "getrandom", "getrusage", "getrlimit", "ugetrlimit",
	"times", "uname", "sysinfo", "getcpu", "sched_yield",
	"sched_getaffinity", "futex", "futex_time64", "set_robust_list", "rseq",
	"membarrier",
	/* workers that have ended */
	"wait4",
	/* signals, abort() included */
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn",
	"sigaltstack", "rt_sigpending", "tgkill"};

static const char *const tried[] = {"io_uring_setup", "io_uring_enter",
				    "io_uring_register", "clone3", "prctl"};

static int add(scmp_filter_ctx ctx, uint32_t action, const char *name,
	       unsigned count, const struct scmp_arg_cmp *args)
{
	int number = seccomp_syscall_resolve_name(name);

	if (number == __NR_SCMP_ERROR)
		return 0;
	return seccomp_rule_add_array(ctx, action, number, count, args);
}

static int add_names(scmp_filter_ctx ctx, uint32_t action,
		     const char *const *names, size_t count)
{
	int err = 0;

	for (size_t i = 0; !err && i < count; i++)
		err = add(ctx, action, names[i], 0, NULL);
	return err;
}

static int add_memory(scmp_filter_ctx ctx)
{
	static const char *const names[] = {"mmap", "mmap2", "mprotect"};
	const struct scmp_arg_cmp args[] = {
		SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)};
	int err = 0;

	for (size_t i = 0; !err && i < COUNT(names); i++)
		err = add(ctx, SCMP_ACT_ALLOW, names[i], 1, args);
	return err;
}

/* A condition on one of a call's arguments. The library's macro for it leaves
 * out a member, which not every compiler likes. */
static struct scmp_arg_cmp is(unsigned arg, scmp_datum_t value)
{
	return (struct scmp_arg_cmp){
		.arg = arg, .op = SCMP_CMP_EQ, .datum_a = value};
}

static int add_ioctls(scmp_filter_ctx ctx)
{
	static const unsigned long requests[] = {FIONBIO, FIONREAD, FIOCLEX,
						 TCGETS};
	int err = 0;

	for (size_t i = 0; !err && i < COUNT(requests); i++) {
		const struct scmp_arg_cmp args[] = {is(1, requests[i])};

		err = add(ctx, SCMP_ACT_ALLOW, "ioctl", 1, args);
	}
	return err;
}

/* No raw ones: those that are needed are open. */
static int add_sockets(scmp_filter_ctx ctx)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
	static const int families[] = {AF_INET, AF_INET6};
	static const int others[] = {AF_UNIX, AF_NETLINK};
	int err = 0;

	for (size_t i = 0; !err && i < 2 * COUNT(types); i++) {
		const struct scmp_arg_cmp args[] = {
			is(0, (scmp_datum_t)families[i / 2]),
			SCMP_A1(SCMP_CMP_MASKED_EQ, TYPE_MASK,
				(scmp_datum_t)types[i % 2])};

		err = add(ctx, SCMP_ACT_ALLOW, "socket", 2, args);
	}
	for (size_t i = 0; !err && i < COUNT(others); i++) {
		const struct scmp_arg_cmp args[] = {
			is(0, (scmp_datum_t)others[i])};

		err = add(ctx, SCMP_ACT_ALLOW, "socket", 1, args);
	}
	return err;
}

/* libc reads limits by the call that sets them. */
static int add_limits(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp args[] = {is(2, 0)};

	return add(ctx, SCMP_ACT_ALLOW, "prlimit64", 1, args);
}

/* This process's own niceness. */
static int add_niceness(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp args[] = {is(0, PRIO_PROCESS), is(1, 0)};

	return add(ctx, SCMP_ACT_ALLOW, "setpriority", 2, args);
}

/* To run the programs that have been loaded, and no more of what it can do. */
static int add_bpf(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp args[] = {is(0, BPF_PROG_TEST_RUN)};

	return add(ctx, SCMP_ACT_ALLOW, "bpf", 1, args);
}

static int fill(scmp_filter_ctx ctx)
{
	int err = add_names(ctx, SCMP_ACT_ALLOW, allowed, COUNT(allowed));

	if (!err)
		err = add_names(ctx, SCMP_ACT_ERRNO(ENOSYS), tried,
				COUNT(tried));
	if (!err)
		err = add_memory(ctx);
	if (!err)
		err = add_ioctls(ctx);
	if (!err)
		err = add_sockets(ctx);
	if (!err)
		err = add_bpf(ctx);
	if (!err)
		err = add_niceness(ctx);
	return err ? err : add_limits(ctx);
}

int syscalls_restrict(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err;

	if (!ctx)
		return -ENOMEM;
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	/* A search tree; older libraries know only the list. */
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	err = fill(ctx);
	if (!err)
		err = seccomp_load(ctx);
	seccomp_release(ctx);
	return err;
}

#endif
