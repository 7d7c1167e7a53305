// SPDX-License-Identifier: BSD-2-Clause
#include "io/link_key.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include <sodium.h>

static bool write_text(int fd, const char *path, struct opts_fault *fault)
{
	char text[LINK_KEY_TEXT_BYTES];
	struct link_key key;
	ssize_t n;

	randombytes_buf(key.b, sizeof(key.b));
	link_key_print(text, &key);
	n = write(fd, text, sizeof(text));
	sodium_memzero(&key, sizeof(key));
	sodium_memzero(text, sizeof(text));
	if (n == LINK_KEY_TEXT_BYTES && fsync(fd) == 0)
		return true;
	unlink(path);
	return opts_fail(fault, "%s", n < 0 ? strerror(errno) : "disk full");
}

bool link_key_make(const char *path, struct opts_fault *fault)
{
	bool ok;
	int fd;

	if (sodium_init() < 0)
		return opts_fail(fault, "libsodium does not start");
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return opts_fail(fault, "%s",
				 errno == EEXIST ? "is there already, and a "
						   "key is not overwritten: "
						   "name another file"
						 : strerror(errno));
	ok = write_text(fd, path, fault);
	close(fd);
	return ok;
}

static bool is_private(int fd, struct opts_fault *fault)
{
	struct stat st;

	if (fstat(fd, &st))
		return opts_fail(fault, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return opts_fail(fault, "is not a file");
	if (st.st_mode & 077)
		return opts_fail(fault, "others than its owner may read or "
					"write it: chmod 600");
	return true;
}

static bool read_key(int fd, struct link_key *key, struct opts_fault *fault)
{
	char text[LINK_KEY_TEXT_BYTES + 1];
	ssize_t n = read(fd, text, sizeof(text));
	bool ok;

	if (n < 0)
		return opts_fail(fault, "%s", strerror(errno));
	ok = link_key_parse(key, text, (size_t)n);
	sodium_memzero(text, sizeof(text));
	return ok || opts_fail(fault, "is not a key as intercept --make-key "
				      "writes it");
}

struct link_key *link_key_load(const char *path, struct opts_fault *fault)
{
	struct link_key *key;
	int fd;

	if (sodium_init() < 0) {
		opts_fail(fault, "libsodium does not start");
		return NULL;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		opts_fail(fault, "%s%s", strerror(errno),
			  errno == ENOENT ? "; intercept --make-key writes one"
					  : "");
		return NULL;
	}
	key = sodium_malloc(sizeof(*key));
	if (!key)
		opts_fail(fault, "no memory");
	if (key && (!is_private(fd, fault) || !read_key(fd, key, fault))) {
		link_key_free(key);
		key = NULL;
	}
	close(fd);
	return key;
}

void link_key_free(struct link_key *key)
{
	sodium_free(key);
}
