/* SPDX-License-Identifier: BSD-2-Clause */
/* Temporary files, in TMPDIR: who sets it can remove what is left behind. */
#ifndef TESTS_TEMP_FILE_H
#define TESTS_TEMP_FILE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEMP_ROOM 80u

/* Of which mkstemp() or mkdtemp() makes a name. */
static inline char *temp_template(char path[TEMP_ROOM], const char *name)
{
	const char *folder = getenv("TMPDIR");

	snprintf(path, TEMP_ROOM, "%s/test-%s-XXXXXX", folder ? folder : "/tmp",
		 name);
	return path;
}

/* One file for all tests of a program. */
static char temp_path[TEMP_ROOM];

static inline int temp_make(void **state)
{
	int fd = mkstemp(temp_template(temp_path, "tcpcopy"));

	(void)state;
	return fd < 0 || close(fd);
}

static inline int temp_remove(void **state)
{
	(void)state;
	return unlink(temp_path);
}

#endif
