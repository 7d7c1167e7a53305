/* SPDX-License-Identifier: BSD-2-Clause */
/* Files that grow: log and reports. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdio.h>
#include <sys/types.h>

/* From now on a file that file_append() makes is given to this user, who will
 * have to open it again. One that is there already is left as it is: who may
 * write to its folder could have put a link to something else there. */
void file_give_to(uid_t uid, gid_t gid);

/* Opens for appending, made if missing. NULL: errno says why. */
FILE *file_append(const char *path);

#endif
