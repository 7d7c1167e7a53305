/* SPDX-License-Identifier: BSD-2-Clause */
/* The system calls that are left to this process. */
#ifndef BASE_SYSCALLS_H
#define BASE_SYSCALLS_H

/*
 * From now on, in all threads and for good: files, sockets of TCP, UDP, netlink
 * and local ones, memory that is not executed, waiting, and the end. Whatever
 * else is called kills the process. Nothing in builds without it (configure
 * --disable-seccomp, and instrumented ones). 0 or -errno.
 */
int syscalls_restrict(void);

#endif
