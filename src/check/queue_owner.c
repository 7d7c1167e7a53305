// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * The kernel tells the netlink port of the queue's owner. A list of all netlink
 * sockets has the inode of that one, and the open files of some process are a
 * link to it.
 */
#include "check/queue_owner.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/nfq_message.h"
#include "io/proc_line.h"

static unsigned long inode_of(uint32_t portid)
{
	FILE *f = fopen("/proc/self/net/netlink", "re");
	unsigned long inode = 0;
	struct proc_netlink s;
	char line[256];

	while (f && !inode && fgets(line, sizeof(line), f))
		if (proc_netlink_parse(&s, line) &&
		    s.bus == NETLINK_NETFILTER && s.portid == portid)
			inode = s.inode;
	if (f)
		fclose(f);
	return inode;
}

static bool has_socket(const char *pid, const char *socket)
{
	char path[1024], to[64];
	const struct dirent *e;
	bool found = false;
	DIR *dir;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	while (dir && !found && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%s/fd/%s", pid, e->d_name);
		n = readlink(path, to, sizeof(to) - 1);
		if (n <= 0)
			continue;
		to[n] = '\0';
		found = !strcmp(to, socket);
	}
	if (dir)
		closedir(dir);
	return found;
}

static int process_with(unsigned long inode)
{
	DIR *proc = opendir("/proc");
	const struct dirent *e;
	char socket[64];
	int pid = 0;

	snprintf(socket, sizeof(socket), "socket:[%lu]", inode);
	while (proc && !pid && (e = readdir(proc)))
		if (isdigit((unsigned char)e->d_name[0]) &&
		    has_socket(e->d_name, socket))
			pid = atoi(e->d_name);
	if (proc)
		closedir(proc);
	return pid;
}

static void name_of(int pid, char *out, size_t cap)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(out, (int)cap, f))
		out[strcspn(out, "\n")] = '\0';
	fclose(f);
}

static void find_process(struct queue_owner *q, uint32_t portid)
{
	unsigned long inode = inode_of(portid);

	q->pid = inode ? process_with(inode) : 0;
	/* Without the right to see its files: the kernel takes the process'
	 * number for its first socket. */
	if (!q->pid && portid <= INT32_MAX)
		q->pid = (int)portid;
	name_of(q->pid, q->name, sizeof(q->name));
	if (!q->name[0])
		q->pid = 0;
}

bool queue_owner_find(struct queue_owner *out, uint16_t queue_num)
{
	FILE *f = fopen("/proc/self/net/netfilter/nfnetlink_queue", "re");
	struct nfq_proc_line q;
	char line[256];

	*out = (struct queue_owner){0};
	if (!f)
		return false;
	while (!out->bound && fgets(line, sizeof(line), f)) {
		if (!nfq_proc_parse(&q, line) || q.queue_num != queue_num)
			continue;
		out->bound = true;
		out->waiting = q.queued;
		out->dropped = q.queue_dropped + q.user_dropped;
		find_process(out, q.portid);
	}
	fclose(f);
	return true;
}

int queue_buffer_granted(int wanted_bytes)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	int granted = 0;
	socklen_t len = sizeof(granted);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &wanted_bytes,
		       sizeof(wanted_bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &wanted_bytes,
			   sizeof(wanted_bytes));
	getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &len);
	close(fd);
	return granted;
}
