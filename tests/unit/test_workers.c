// SPDX-License-Identifier: BSD-2-Clause
/* A head and its workers, real ones: each case runs in a child, whose report
 * and log go to a pipe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../helpers/temp_file.h"
#include "base/workers.h"

#define COUNT	3
#define WAIT_MS 20000

/* What a worker does, besides serving until it is told to stop. */
enum act {
	ACT_SERVE,
	ACT_REFUSE, /* the last one does not start */
	ACT_DIE,    /* the same */
	ACT_TELL,   /* the last one, when it is ready, ends the head */
	ACT_CRASH,  /* the first one, once it is asked for a report */
	ACT_HANG,   /* the same */
	ACT_TIRE    /* crashes when it is asked for the third time */
};

struct life {
	enum act act;
	int out; /* lines for the test */
};

struct account {
	unsigned reports, pid;
	bool final;
};

struct one {
	const struct life *life;
	struct service *service;
	struct account account;
	unsigned index;
	uv_loop_t loop;
};

static void tell(struct one *o, bool final)
{
	o->account.reports++;
	o->account.pid = (unsigned)getpid();
	o->account.final = final;
	service_give_account(o->service, &o->account, sizeof(o->account));
}

static void on_report(void *ctx)
{
	struct one *o = ctx;

	if (o->index == 0 && o->life->act == ACT_CRASH)
		raise(SIGKILL);
	if (o->index == 0 && o->life->act == ACT_TIRE &&
	    o->account.reports == 2)
		raise(SIGKILL);
	if (o->index == 0 && o->life->act == ACT_HANG)
		dprintf(o->life->out, "hangs %d\n", getpid());
	while (o->index == 0 && o->life->act == ACT_HANG)
		usleep(100000);
	tell(o, false);
}

static void on_stop(void *ctx)
{
	struct one *o = ctx;

	tell(o, true);
	uv_stop(&o->loop);
}

static int serve(void *ctx, struct service *s, unsigned index)
{
	static struct one o;
	const struct service_calls calls = {.report = on_report,
					    .stop = on_stop};

	o = (struct one){.life = ctx, .service = s, .index = index};
	if (o.life->act == ACT_REFUSE && index == COUNT - 1)
		return 3;
	if (o.life->act == ACT_DIE && index == COUNT - 1)
		raise(SIGKILL);
	uv_loop_init(&o.loop);
	service_run_on(s, &o.loop, s->options, &calls, &o);
	/* Who has given them up may not send signals. */
	if (o.life->act != ACT_TELL && service_drop_privileges(s, -1))
		return 4;
	service_ready(s);
	if (o.life->act == ACT_TELL && index == COUNT - 1)
		kill(getppid(), SIGTERM);
	uv_run(&o.loop, UV_RUN_DEFAULT);
	service_leave_loop(s);
	uv_run(&o.loop, UV_RUN_DEFAULT);
	uv_loop_close(&o.loop);
	return 0;
}

static void report(void *ctx, struct service *s, const void *const accounts[],
		   bool final)
{
	const struct life *life = ctx;

	(void)s;
	dprintf(life->out, "report %d", final);
	for (unsigned i = 0; i < COUNT; i++) {
		const struct account *a = accounts[i];

		dprintf(life->out, " %u:%u:%d", a->pid, a->reports, a->final);
	}
	dprintf(life->out, "\n");
}

/* ---- the test's end ---- */

struct run {
	pid_t head;
	int in;
	char text[4096];
};

static pid_t group; /* of the processes of the case that runs */

static void head_lives(struct life *life, uint64_t stats_us)
{
	struct service_options options;
	const struct workers_spec spec = {
		.program = "test",
		.options = &options,
		.count = COUNT,
		.account_bytes = sizeof(struct account),
		.serve = serve,
		.report = report,
		.ctx = life,
	};

	service_options_init(&options);
	options.log_level = LOG_LEVEL_INFO;
	options.stats_us = stats_us;
	_exit(workers_run(&spec));
}

static void begin_with(struct run *r, enum act act, uint64_t stats_us)
{
	struct life life = {.act = act};
	int fds[2];

	memset(r, 0, sizeof(*r));
	assert_int_equal(pipe(fds), 0);
	life.out = fds[1];
	r->in = fds[0];
	r->head = fork();
	assert_true(r->head >= 0);
	if (r->head == 0) {
		setpgid(0, 0);
		close(fds[0]);
		dup2(fds[1], STDERR_FILENO);
		head_lives(&life, stats_us);
	}
	setpgid(r->head, r->head);
	group = r->head;
	close(fds[1]);
}

/* The first report says that all are ready. */
static void begin(struct run *r, enum act act)
{
	begin_with(r, act, 100000);
}

/* Nothing is left after a failure either. */
static int clean(void **state)
{
	(void)state;
	if (group > 0)
		kill(-group, SIGKILL);
	group = 0;
	return 0;
}

/* The next piece of text. false: all who could write have ended. */
static bool more(struct run *r)
{
	struct pollfd p = {.fd = r->in, .events = POLLIN};
	size_t len = strlen(r->text);
	ssize_t n;

	if (len > sizeof(r->text) / 2) {
		memmove(r->text, r->text + len / 2, len - len / 2 + 1);
		len -= len / 2;
	}
	if (poll(&p, 1, WAIT_MS) <= 0)
		fail_msg("nothing more came: %s", r->text);
	n = read(r->in, r->text + len, sizeof(r->text) - len - 1);
	assert_true(n >= 0);
	r->text[len + (size_t)n] = '\0';
	return n > 0;
}

/* The whole line that has it. */
static const char *wait_for(struct run *r, const char *text)
{
	const char *at;

	while (!(at = strstr(r->text, text)) || !strchr(at + 1, '\n'))
		assert_true(more(r));
	return at;
}

/* The exit code, once the head and all workers have ended. */
static int end(struct run *r)
{
	int status;

	while (more(r))
		;
	assert_int_equal(waitpid(r->head, &status, 0), r->head);
	close(r->in);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static const char *last_report(const struct run *r)
{
	const char *last = NULL, *at = r->text;

	while ((at = strstr(at, "report "))) {
		last = at;
		at++;
	}
	assert_non_null(last);
	return last;
}

static unsigned read_accounts(const char *line, struct account out[COUNT])
{
	int final, at, own;
	unsigned n = 0;

	assert_int_equal(sscanf(line, "report %d%n", &final, &at), 1);
	for (; n < COUNT; n++) {
		int len;

		assert_int_equal(sscanf(line + at, " %u:%u:%d%n", &out[n].pid,
					&out[n].reports, &own, &len),
				 3);
		out[n].final = own;
		at += len;
	}
	return (unsigned) final;
}

static void assert_final(const struct run *r)
{
	struct account a[COUNT];

	assert_int_equal(read_accounts(last_report(r), a), 1);
	for (unsigned i = 0; i < COUNT; i++) {
		assert_true(a[i].final);
		assert_int_not_equal(a[i].pid, a[(i + 1) % COUNT].pid);
		assert_int_not_equal(a[i].pid, r->head);
	}
}

static void test_reports_and_an_end(void **state)
{
	struct account a[COUNT];
	struct run r;

	(void)state;
	begin(&r, ACT_SERVE);
	read_accounts(wait_for(&r, "report 0"), a);
	for (unsigned i = 0; i < COUNT; i++)
		assert_true(a[i].reports == 1 && !a[i].final);
	kill(r.head, SIGUSR1);
	kill(r.head, SIGHUP);
	kill(r.head, SIGTERM);
	assert_int_equal(end(&r), 0);
	assert_final(&r);
}

/* A service manager's signal is for all processes at once. */
static void test_told_together(void **state)
{
	struct account a[COUNT];
	struct run r;

	(void)state;
	begin(&r, ACT_SERVE);
	read_accounts(wait_for(&r, "report 0"), a);
	for (unsigned i = 0; i < COUNT; i++)
		kill((pid_t)a[i].pid, SIGTERM);
	kill(r.head, SIGTERM);
	assert_int_equal(end(&r), 0);
	assert_final(&r);
}

static void test_one_cannot_start(void **state)
{
	struct run r;

	(void)state;
	begin(&r, ACT_REFUSE);
	assert_int_equal(end(&r), 3);
	assert_string_equal(r.text, "");
}

static void test_one_is_killed_before_it_serves(void **state)
{
	struct run r;

	(void)state;
	begin(&r, ACT_DIE);
	assert_int_equal(end(&r), 1);
	assert_string_equal(r.text,
			    "test: --workers: one has ended by signal 9\n");
}

/* Between the start and the loop, too, an end is a regular one. */
static void test_told_as_soon_as_all_are_ready(void **state)
{
	struct run r;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		begin(&r, ACT_TELL);
		if (end(&r) != 0)
			fail_msg("%u: %s", i, r.text);
	}
}

/* The last report, in which the others' accounts are final. */
static void assert_last_without_the_first(struct run *r,
					  struct account a[COUNT])
{
	assert_int_equal(read_accounts(last_report(r), a), 1);
	assert_false(a[0].final);
	assert_true(a[1].final && a[2].final);
}

static void test_one_crashes(void **state)
{
	struct account a[COUNT];
	struct run r;

	(void)state;
	begin(&r, ACT_CRASH);
	assert_int_equal(end(&r), 1);
	assert_last_without_the_first(&r, a);
}

/* Its account is kept up even if nobody wants a report. */
static void test_a_crash_leaves_an_account(void **state)
{
	struct account a[COUNT];
	struct run r;

	(void)state;
	begin_with(&r, ACT_TIRE, 0);
	assert_int_equal(end(&r), 1);
	assert_null(strstr(r.text, "report 0"));
	assert_non_null(strstr(r.text, "worker 0 has ended by signal 9"));
	assert_last_without_the_first(&r, a);
	assert_int_equal(a[0].reports, 2);
}

/* The others' reports go on. */
static void test_one_does_not_answer(void **state)
{
	struct account a[COUNT];
	struct run r;
	int pid;

	(void)state;
	begin(&r, ACT_HANG);
	assert_int_equal(sscanf(wait_for(&r, "hangs"), "hangs %d", &pid), 1);
	wait_for(&r, "report 0");
	wait_for(&r, "worker 0 does not answer");
	kill(r.head, SIGTERM);
	kill(pid, SIGKILL);
	assert_int_equal(end(&r), 1);
	assert_last_without_the_first(&r, a);
}

/* By hand, and not by a manager: then it is all the same an end. */
static void test_one_is_told_to_end(void **state)
{
	struct account a[COUNT];
	struct run r;

	(void)state;
	begin(&r, ACT_SERVE);
	read_accounts(wait_for(&r, "report 0"), a);
	kill((pid_t)a[1].pid, SIGTERM);
	assert_int_equal(end(&r), 0);
	assert_final(&r);
	assert_non_null(strstr(r.text, "worker 1 was told to end"));
}

static void test_the_head_is_killed(void **state)
{
	struct run r;

	(void)state;
	begin(&r, ACT_SERVE);
	wait_for(&r, "report 0");
	kill(r.head, SIGKILL);
	/* That the pipe ends says that all workers have ended. */
	assert_int_equal(end(&r), -SIGKILL);
}

/* ---- the watchdog ---- */

static int watched_by(char path[TEMP_ROOM])
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	assert_non_null(mkdtemp(temp_template(path, "workers")));
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	setenv("NOTIFY_SOCKET", at.sun_path, 1);
	setenv("WATCHDOG_USEC", "400000", 1);
	return fd;
}

static void forget_manager(const char *path, int fd)
{
	char name[TEMP_ROOM + 8];

	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	snprintf(name, sizeof(name), "%s/s", path);
	unlink(name);
	rmdir(path);
	close(fd);
}

static bool hears(int fd, const char *what, int within_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char said[64];

	while (poll(&p, 1, within_ms) > 0) {
		ssize_t n = recv(fd, said, sizeof(said) - 1, 0);

		assert_true(n > 0);
		said[n] = '\0';
		if (!strcmp(said, what))
			return true;
	}
	return false;
}

static void test_a_hanging_one_is_not_covered_up(void **state)
{
	char path[TEMP_ROOM];
	int fd = watched_by(path);
	unsigned heard = 0;
	struct run r;
	int pid;

	(void)state;
	begin(&r, ACT_HANG);
	assert_true(hears(fd, "READY=1", WAIT_MS));
	/* It hangs as soon as it is asked for its report. */
	while (hears(fd, "WATCHDOG=1", 3000))
		assert_true(++heard < 20);
	assert_int_equal(sscanf(wait_for(&r, "hangs"), "hangs %d", &pid), 1);
	/* The head then ends as with any that has crashed. */
	kill(pid, SIGKILL);
	assert_int_equal(end(&r), 1);
	forget_manager(path, fd);
}

static void test_all_well_is_said(void **state)
{
	char path[TEMP_ROOM];
	int fd = watched_by(path);
	struct run r;

	(void)state;
	begin(&r, ACT_SERVE);
	assert_true(hears(fd, "READY=1", WAIT_MS));
	for (unsigned i = 0; i < 3; i++)
		assert_true(hears(fd, "WATCHDOG=1", WAIT_MS));
	kill(r.head, SIGTERM);
	assert_true(hears(fd, "STOPPING=1", WAIT_MS));
	assert_int_equal(end(&r), 0);
	forget_manager(path, fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_reports_and_an_end, clean),
		cmocka_unit_test_teardown(test_told_together, clean),
		cmocka_unit_test_teardown(test_one_cannot_start, clean),
		cmocka_unit_test_teardown(test_one_is_killed_before_it_serves,
					  clean),
		cmocka_unit_test_teardown(test_told_as_soon_as_all_are_ready,
					  clean),
		cmocka_unit_test_teardown(test_one_crashes, clean),
		cmocka_unit_test_teardown(test_a_crash_leaves_an_account,
					  clean),
		cmocka_unit_test_teardown(test_one_does_not_answer, clean),
		cmocka_unit_test_teardown(test_one_is_told_to_end, clean),
		cmocka_unit_test_teardown(test_the_head_is_killed, clean),
		cmocka_unit_test_teardown(test_a_hanging_one_is_not_covered_up,
					  clean),
		cmocka_unit_test_teardown(test_all_well_is_said, clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
