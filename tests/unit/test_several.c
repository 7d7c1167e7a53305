// SPDX-License-Identifier: BSD-2-Clause
/* Both programs with two workers each, on the loopback of a network namespace
 * of their own: that they start, find each other, share the packets, tell it as
 * one, and end. What they copy is the lab's business. Skipped where there
 * cannot be such a namespace, or the kernel has no NFQUEUE. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../helpers/temp_file.h"

#define HOST	    "10.99.0.1"
#define TRANSFER    "80-10.99.0.1:8080"
#define PORT	    80
#define TARGET_PORT 8080
#define FIRST_PORT  20000
#define KNOCKS	    40
#define QUEUES	    "/proc/net/netfilter/nfnetlink_queue"
#define ARGS_MAX    24
#define GROUPS	    4
#define TRIES	    400 /* of 50 ms */

static bool have_namespace;
static pid_t groups[GROUPS]; /* of the programs of the case that runs */
static unsigned group_count;
static char folder[TEMP_ROOM];

struct program {
	pid_t pid;
	char json[TEMP_ROOM + 16], err[TEMP_ROOM + 16];
	char text[65536]; /* of either, as read last */
};

static bool set_lo(int fd)
{
	struct ifreq r = {.ifr_flags = IFF_UP};
	struct sockaddr_in at = {.sin_family = AF_INET};

	strcpy(r.ifr_name, "lo");
	if (ioctl(fd, SIOCSIFFLAGS, &r))
		return false;
	inet_pton(AF_INET, HOST, &at.sin_addr);
	strcpy(r.ifr_name, "lo:1");
	memcpy(&r.ifr_addr, &at, sizeof(at));
	return !ioctl(fd, SIOCSIFADDR, &r);
}

static int enter(void **state)
{
	int fd;

	(void)state;
	if (!mkdtemp(temp_template(folder, "several")) || geteuid() != 0 ||
	    unshare(CLONE_NEWNET))
		return 0;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	have_namespace = fd >= 0 && set_lo(fd) && !access(QUEUES, R_OK);
	close(fd);
	return 0;
}

static int leave(void **state)
{
	(void)state;
	rmdir(folder);
	return 0;
}

static void run(const char *name, const char *const args[],
		const struct program *p)
{
	const char *build = getenv("TOP_BUILDDIR");
	const char *argv[ARGS_MAX] = {name, "--json", p->json};
	int fd = open(p->err, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	char path[512];

	for (unsigned i = 0; args[i]; i++)
		argv[3 + i] = args[i];
	dup2(fd, STDERR_FILENO);
	snprintf(path, sizeof(path), "%s/%s", build ? build : ".", name);
	execv(path, (char *const *)argv);
	_exit(127);
}

static void start(struct program *p, const char *name, const char *const args[])
{
	memset(p, 0, sizeof(*p));
	snprintf(p->json, sizeof(p->json), "%s/%s.json", folder, name);
	snprintf(p->err, sizeof(p->err), "%s/%s.err", folder, name);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0) {
		setpgid(0, 0);
		run(name, args, p);
	}
	setpgid(p->pid, p->pid);
	groups[group_count++ % GROUPS] = p->pid;
}

/* Nothing is left after a failure either. */
static int clean(void **state)
{
	(void)state;
	for (unsigned i = 0; i < GROUPS; i++)
		if (groups[i] > 0)
			kill(-groups[i], SIGKILL);
	memset(groups, 0, sizeof(groups));
	return 0;
}

static const char *read_text(struct program *p, const char *path)
{
	FILE *f = fopen(path, "r");
	/* Of much text the end. */
	bool cut = f && fseek(f, 1 - (long)sizeof(p->text), SEEK_END) == 0;
	size_t n;

	if (f && !cut)
		rewind(f);
	n = f ? fread(p->text, 1, sizeof(p->text) - 1, f) : 0;

	if (f)
		fclose(f);
	p->text[n] = '\0';
	return p->text;
}

/* Until it stands in the JSON file. */
static void wait_for(struct program *p, const char *what)
{
	const struct timespec pause = {.tv_nsec = 50000000};

	for (unsigned i = 0; i < TRIES; i++) {
		if (strstr(read_text(p, p->json), what))
			return;
		nanosleep(&pause, NULL);
	}
	fail_msg("no %s: %s", what, read_text(p, p->err));
}

/* Its exit code; nothing is left of its files. */
static int end(struct program *p)
{
	int status;

	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	read_text(p, p->json);
	unlink(p->json);
	unlink(p->err);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

static const char *last_line(const char *text)
{
	const char *last = text, *at = text;

	while ((at = strstr(at, "{\"type\":\"ledger\""))) {
		last = at;
		at++;
	}
	return last;
}

/* A SYN from each port; nobody listens. */
static void knock(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(PORT)};
	struct sockaddr_in from;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, HOST, &to.sin_addr);
	from = to;
	from.sin_port = htons(port);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), -1);
	close(fd);
}

static const char *const intercept_args[] = {"--workers", "2", NULL};
static const char *const tcpcopy_args[] = {
	"-x", TRANSFER, "-p",  "36524-36525", "--workers", "2", "-m",
	"64", "--path", "raw", "--stats",     "0.2",	   NULL};

static void test_together(void **state)
{
	static struct program there, here;
	const char *ledger;

	(void)state;
	if (!have_namespace)
		skip();
	start(&there, "intercept", intercept_args);
	wait_for(&there, "\"ready\"");
	start(&here, "tcpcopy", tcpcopy_args);
	wait_for(&here, "\"ready\"");
	for (unsigned i = 0; i < KNOCKS; i++)
		knock((uint16_t)(FIRST_PORT + i));
	wait_for(&here, "\"packets_captured\":40,");
	kill(here.pid, SIGTERM);
	assert_int_equal(end(&here), 0);
	ledger = last_line(here.text);
	assert_non_null(strstr(ledger, "\"final\":true"));
	assert_non_null(strstr(ledger, "\"received\":40,\"dropped\":0,"));
	/* three links of each to each */
	assert_int_equal(count(ledger, "{\"worker\":0,"), 6);
	assert_int_equal(count(ledger, "{\"worker\":1,"), 6);
	kill(there.pid, SIGTERM);
	assert_int_equal(end(&there), 0);
	ledger = last_line(there.text);
	assert_non_null(strstr(ledger, "\"final\":true"));
	assert_non_null(strstr(ledger, "\"links_ended\":{\"count\":12,"));
}

static void test_a_worker_is_missed(void **state)
{
	static const char *const args[] = {"-x", TRANSFER, "-m", "64", NULL};
	static struct program there, here;

	(void)state;
	if (!have_namespace)
		skip();
	start(&there, "intercept", intercept_args);
	wait_for(&there, "\"ready\"");
	start(&here, "tcpcopy", args);
	assert_int_equal(end(&here), 3);
	kill(there.pid, SIGTERM);
	assert_int_equal(end(&there), 0);
}

/* The second queue is another's: all or nothing. */
static void test_a_queue_is_taken(void **state)
{
	static const char *const second[] = {
		"--queue-num", "1", "-p", "40000", "--stats", "0.1", NULL};
	static struct program one, both;

	(void)state;
	if (!have_namespace)
		skip();
	start(&one, "intercept", second);
	wait_for(&one, "\"ledger\"");
	start(&both, "intercept", intercept_args);
	assert_int_equal(end(&both), 3);
	kill(one.pid, SIGTERM);
	assert_int_equal(end(&one), 0);
}

/* The packets that have come into a queue so far. */
static unsigned long queued(unsigned queue)
{
	FILE *f = fopen(QUEUES, "r");
	unsigned long fields[8] = {0}, found = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		char *at = line;

		for (unsigned i = 0; i < 8; i++)
			fields[i] = strtoul(at, &at, 10);
		if (fields[0] == queue)
			found = fields[7];
	}
	if (f)
		fclose(f);
	return found;
}

/* A client of the target, where nobody listens: the reset is queued. */
static void ask_target(unsigned number)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(TARGET_PORT)};
	struct sockaddr_in from = {
		.sin_family = AF_INET,
		.sin_addr = {.s_addr = htonl(0x7f000100u + number)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	inet_pton(AF_INET, HOST, &to.sin_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), -1);
	close(fd);
}

/* The rule of the guard leads to both queues, and both are told that it stands.
 */
static void test_one_guard_for_all(void **state)
{
	static const char *const guarded[] = {
		"--workers", "2", "--guard", "8080", "--stats", "0.1", NULL};
	static struct program there, here;
	const char *ledger;

	(void)state;
	if (!have_namespace)
		skip();
	start(&there, "intercept", guarded);
	wait_for(&there, "\"guard\":{\"armed\":true,");
	for (unsigned i = 1; i <= 32; i++)
		ask_target(i);
	wait_for(&there, "\"packets\":32,");
	assert_int_equal(queued(0) + queued(1), 32);
	assert_true(queued(0) > 0 && queued(1) > 0);
	start(&here, "tcpcopy", tcpcopy_args);
	wait_for(&here, "\"ready\"");
	kill(here.pid, SIGTERM);
	assert_int_equal(end(&here), 0);
	kill(there.pid, SIGTERM);
	assert_int_equal(end(&there), 0);
	ledger = last_line(there.text);
	assert_non_null(strstr(ledger, "\"final\":true"));
	assert_int_equal(count(ledger, "\"guard\":{\"armed\":true,"), 1);
	assert_non_null(strstr(ledger, "\"fallen\":0,"));
}

/* ---- copying ---- */

/* Answers each piece it reads, and counts the bytes. */
static void serve_one(struct pollfd *p, unsigned *count, unsigned *bytes)
{
	char piece[256];
	ssize_t n;

	for (unsigned i = *count; i-- > 1;) {
		if (!p[i].revents)
			continue;
		n = recv(p[i].fd, piece, sizeof(piece), 0);
		if (n > 0) {
			__atomic_fetch_add(bytes, (unsigned)n,
					   __ATOMIC_SEQ_CST);
			send(p[i].fd, "pong", 4, MSG_NOSIGNAL);
			continue;
		}
		close(p[i].fd);
		p[i] = p[--*count];
	}
}

static _Noreturn void serve(uint16_t port, unsigned *bytes)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons(port)};
	static struct pollfd p[256];
	unsigned count = 1;

	inet_pton(AF_INET, HOST, &at.sin_addr);
	p[0] = (struct pollfd){socket(AF_INET, SOCK_STREAM, 0), POLLIN, 0};
	if (bind(p[0].fd, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(p[0].fd, 128))
		_exit(1);
	for (;;) {
		poll(p, count, -1);
		serve_one(p, &count, bytes);
		if (p[0].revents && count < 256)
			p[count++] = (struct pollfd){
				accept(p[0].fd, NULL, NULL), POLLIN, 0};
	}
}

static void start_server(uint16_t port, unsigned *bytes)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		setpgid(0, 0);
		serve(port, bytes);
	}
	setpgid(pid, pid);
	groups[group_count++ % GROUPS] = pid;
}

/* false: nobody listens yet. */
static bool request(unsigned number)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(PORT)};
	struct sockaddr_in from = {
		.sin_family = AF_INET,
		.sin_addr = {.s_addr = htonl(0x7f000100u + number)}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char answer[4];
	bool ok;

	inet_pton(AF_INET, HOST, &to.sin_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	ok = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	     send(fd, "a request", 9, MSG_NOSIGNAL) == 9 &&
	     recv(fd, answer, 4, MSG_WAITALL) == 4;
	close(fd);
	return ok;
}

static void pause_a_little(void)
{
	const struct timespec pause = {.tv_nsec = 50000000};

	nanosleep(&pause, NULL);
}

/* Every request arrives once: whichever worker has captured it, and whichever
 * has its answers. */
static void copy_requests(const char *path)
{
	static const char *const guarded[] = {"--workers", "2",	      "--guard",
					      "8080",	   "--relay", "8080",
					      "--stats",   "0.1",     NULL};
	const char *const copying[] = {
		"-x",	  TRANSFER, "-p",      "36524-36525", "--workers",
		"2",	  "-m",	    "64",      "-c",	      "10.99.0.64/26",
		"--path", path,	    "--stats", "0.2",	      NULL};
	static struct program there, here;
	unsigned *bytes = mmap(NULL, 2 * sizeof(*bytes), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const char *ledger;

	start(&there, "intercept", guarded);
	wait_for(&there, "\"guard\":{\"armed\":true,");
	start_server(TARGET_PORT, &bytes[0]);
	start_server(PORT, &bytes[1]);
	for (unsigned i = 0; !request(1) && i < TRIES; i++)
		pause_a_little();
	start(&here, "tcpcopy", copying);
	wait_for(&here, "\"ready\"");
	for (unsigned i = 0; i < KNOCKS; i++)
		assert_true(request(1 + i));
	for (unsigned i = 0; bytes[0] < 9 * KNOCKS && i < TRIES; i++)
		pause_a_little();
	wait_for(&here, "\"answered\":40,");
	kill(here.pid, SIGTERM);
	assert_int_equal(end(&here), 0);
	assert_int_equal(bytes[0], 9 * KNOCKS);
	ledger = last_line(here.text);
	assert_non_null(strstr(ledger, "\"connections\":{\"captured\":40,"
				       "\"expected\":40,\"not_sampled\":0,"
				       "\"answered\":40,"));
	assert_true(queued(0) > 0 && queued(1) > 0);
	kill(there.pid, SIGTERM);
	assert_int_equal(end(&there), 0);
	ledger = last_line(there.text);
	assert_non_null(strstr(ledger, "\"accepted\":0,"));
	assert_int_equal(!strstr(ledger, "\"inject\":{\"sent\":0,"),
			 !strcmp(path, "relay"));
	munmap(bytes, 2 * sizeof(*bytes));
}

static void test_requests_are_copied(void **state)
{
	(void)state;
	if (!have_namespace)
		skip();
	copy_requests("raw");
}

static void test_requests_are_relayed(void **state)
{
	(void)state;
	if (!have_namespace)
		skip();
	copy_requests("relay");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_together, clean),
		cmocka_unit_test_teardown(test_a_worker_is_missed, clean),
		cmocka_unit_test_teardown(test_a_queue_is_taken, clean),
		cmocka_unit_test_teardown(test_one_guard_for_all, clean),
		cmocka_unit_test_teardown(test_requests_are_copied, clean),
		cmocka_unit_test_teardown(test_requests_are_relayed, clean),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
