/* SPDX-License-Identifier: BSD-2-Clause */
/* Into the background, and the pid file. */
#ifndef BASE_DAEMON_H
#define BASE_DAEMON_H

/*
 * Goes on in a child of its own session. The caller's process waits for
 * daemon_ready() and then exits with 0, or with the child's status when that
 * ends before; until then stderr is the caller's. Call it before anything is
 * opened. 0 or -errno.
 */
int daemon_detach(void);
/* The start has succeeded: lets the caller go. Nothing when not detached. */
void daemon_ready(void);

/* What daemon_ready() does with stdin, stdout, stderr and the log. */
void daemon_leave_terminal(void);
/* In a child: the caller and the pid file are its parent's. */
void daemon_forget(void);

/* Writes our process id; the file stays open and locked. 0 or -errno, -EBUSY
 * when a live process has it. path is borrowed until the removal. */
int daemon_pid_file(const char *path);
/* Empties it if its folder is not for the user that we have become. */
void daemon_pid_file_remove(void);

#endif
