// SPDX-License-Identifier: BSD-2-Clause
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

static struct {
	bool given;
	uid_t uid;
	gid_t gid;
} owner;

void file_give_to(uid_t uid, gid_t gid)
{
	owner.given = true;
	owner.uid = uid;
	owner.gid = gid;
}

static int open_or_make(const char *path)
{
	const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC;
	int fd = open(path, flags | O_EXCL, 0666);

	if (fd < 0)
		return errno == EEXIST ? open(path, flags, 0666) : -1;
	/* Refused where users are not kept: then it is not opened again. */
	if (owner.given && geteuid() != owner.uid &&
	    fchown(fd, owner.uid, owner.gid))
		errno = 0;
	return fd;
}

FILE *file_append(const char *path)
{
	int fd = open_or_make(path);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "a");

	if (fd >= 0 && !file)
		close(fd);
	return file;
}
