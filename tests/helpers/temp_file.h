/* SPDX-License-Identifier: BSD-2-Clause */
/* One temporary file for all tests of a program. */
#ifndef TESTS_TEMP_FILE_H
#define TESTS_TEMP_FILE_H

#include <stdlib.h>
#include <unistd.h>

static char temp_path[] = "/tmp/test-tcpcopy-XXXXXX";

static inline int temp_make(void **state)
{
	int fd = mkstemp(temp_path);

	(void)state;
	return fd < 0 || close(fd);
}

static inline int temp_remove(void **state)
{
	(void)state;
	return unlink(temp_path);
}

#endif
