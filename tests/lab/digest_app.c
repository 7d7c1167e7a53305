// SPDX-License-Identifier: BSD-2-Clause
#include <arpa/inet.h>
#include <getopt.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <sodium/core.h>

#include "digest_app.h"
#include "frame.h"

volatile sig_atomic_t got_term, got_usr1, got_usr2;

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void die(const char *what, const char *value)
{
	fprintf(stderr, "digest_app: %s: %s\n", what, value);
	exit(2);
}

/* ADDR:PORT, [ADDR]:PORT, or a bare address when there is no port. */
static struct address parse_address(const char *text, bool with_port)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				 .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	struct address a = {.len = 0};
	char host[128];
	const char *port = NULL;

	snprintf(host, sizeof(host), "%s", text[0] == '[' ? text + 1 : text);
	if (with_port) {
		char *colon = strrchr(host, ':');

		if (!colon || colon == host)
			die("no ADDR:PORT", text);
		port = text + strlen(text) - strlen(colon + 1);
		if (colon[-1] == ']')
			colon--;
		*colon = '\0';
	}
	if (getaddrinfo(host, port, &hints, &found))
		die("no numeric address", text);
	memcpy(&a.ss, found->ai_addr, found->ai_addrlen);
	a.len = found->ai_addrlen;
	freeaddrinfo(found);
	return a;
}

static uint32_t parse_number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || end == text || n > UINT32_MAX)
		die("no number", text);
	return (uint32_t)n;
}

static struct range parse_range(const char *text)
{
	char lo[32];
	const char *dash = strchr(text, '-');
	struct range r;

	snprintf(lo, sizeof(lo), "%.*s",
		 dash ? (int)(dash - text) : (int)sizeof(lo) - 1, text);
	r.lo = parse_number(lo);
	r.hi = dash ? parse_number(dash + 1) : r.lo;
	if (r.lo < FRAME_HEADER_BYTES || r.hi < r.lo || r.hi > FRAME_MAX_BYTES)
		die("no size or range of sizes, 24 at least", text);
	return r;
}

/* BYTES,MS */
static void parse_push(struct serve_config *cfg, char *text)
{
	char *ms = strchr(text, ',');

	if (!ms)
		die("no BYTES,MS", text);
	*ms++ = '\0';
	cfg->push_bytes = parse_range(text).lo;
	cfg->push_ms = parse_number(ms);
	if (!cfg->push_ms)
		die("no time between pushes", ms);
}

static void parse_sources(struct load_config *cfg, char *list)
{
	char *save = NULL;

	for (char *s = strtok_r(list, ",", &save); s;
	     s = strtok_r(NULL, ",", &save)) {
		if (cfg->from_count == SOURCES_MAX)
			die("too many sources", s);
		cfg->from[cfg->from_count++] = parse_address(s, false);
	}
}

static enum load_end parse_end(const char *text)
{
	if (!strcmp(text, "fin"))
		return END_FIN;
	if (!strcmp(text, "half"))
		return END_HALF;
	if (!strcmp(text, "reset"))
		return END_RESET;
	if (!strcmp(text, "await"))
		return END_AWAIT;
	die("no way to end", text);
	return END_FIN;
}

static int run_serve(int argc, char **argv)
{
	static const struct option opts[] = {
		{"listen", required_argument, NULL, 'l'},
		{"log", required_argument, NULL, 'o'},
		{"answer-scale", required_argument, NULL, 's'},
		{"greeting", required_argument, NULL, 'g'},
		{"push", required_argument, NULL, 'p'},
		{"delay-ms", required_argument, NULL, 'd'},
		{"close-on", required_argument, NULL, 'c'},
		{"close-after", required_argument, NULL, 'A'},
		{"close-at", required_argument, NULL, 'a'},
		{"idle-close-ms", required_argument, NULL, 'i'},
		{"mute", no_argument, NULL, 'm'},
		{"backlog-only", no_argument, NULL, 'b'},
		{NULL, 0, NULL, 0}};
	struct serve_config cfg = {.answer_percent = 100};

	for (int o; (o = getopt_long(argc, argv, "", opts, NULL)) != -1;) {
		if (o == 'l' && cfg.listen_count < LISTENERS_MAX)
			cfg.listen[cfg.listen_count++] =
				parse_address(optarg, true);
		else if (o == 'o')
			cfg.log_path = optarg;
		else if (o == 's')
			cfg.answer_percent = parse_number(optarg);
		else if (o == 'g')
			cfg.greeting_bytes = parse_number(optarg);
		else if (o == 'p')
			parse_push(&cfg, optarg);
		else if (o == 'd')
			cfg.delay_ms = parse_number(optarg);
		else if (o == 'c')
			cfg.close_on = parse_number(optarg);
		else if (o == 'A')
			cfg.close_after = parse_number(optarg);
		else if (o == 'a')
			cfg.close_at = parse_number(optarg);
		else if (o == 'i')
			cfg.idle_close_ms = parse_number(optarg);
		else if (o == 'b')
			cfg.backlog_only = true;
		else if (o == 'm')
			cfg.mute = true;
		else
			return 2;
	}
	if (!cfg.listen_count || !cfg.log_path)
		die("serve needs", "--listen and --log");
	return serve(&cfg);
}

static void load_option(struct load_config *cfg, int o, char *arg)
{
	switch (o) {
	case 't':
		cfg->to = parse_address(arg, true);
		return;
	case 'f':
		parse_sources(cfg, arg);
		return;
	case 'c':
		cfg->connections = parse_number(arg);
		return;
	case 'C':
		cfg->concurrent = parse_number(arg);
		return;
	case 'r':
		cfg->requests = parse_number(arg);
		return;
	case 'p':
		cfg->pipeline = parse_number(arg);
		return;
	case 'q':
		cfg->request_bytes = parse_range(arg);
		return;
	case 'a':
		cfg->answer_bytes = parse_range(arg);
		return;
	case 'g':
		cfg->greeting_bytes = parse_number(arg);
		return;
	case 'T':
		cfg->think_ms = parse_number(arg);
		return;
	case 'P':
		cfg->pause = true;
		cfg->pause_after = parse_number(arg);
		return;
	case 'D':
		cfg->deadline_s = parse_number(arg);
		return;
	case 's':
		cfg->seed = parse_number(arg);
		return;
	case 'e':
		cfg->end = parse_end(arg);
		return;
	case 'o':
		cfg->open_together = true;
		return;
	default:
		exit(2);
	}
}

static int run_load(int argc, char **argv)
{
	static const struct option opts[] = {
		{"to", required_argument, NULL, 't'},
		{"from", required_argument, NULL, 'f'},
		{"connections", required_argument, NULL, 'c'},
		{"concurrent", required_argument, NULL, 'C'},
		{"requests", required_argument, NULL, 'r'},
		{"pipeline", required_argument, NULL, 'p'},
		{"request-size", required_argument, NULL, 'q'},
		{"answer-size", required_argument, NULL, 'a'},
		{"greeting", required_argument, NULL, 'g'},
		{"think-ms", required_argument, NULL, 'T'},
		{"pause-after", required_argument, NULL, 'P'},
		{"deadline", required_argument, NULL, 'D'},
		{"seed", required_argument, NULL, 's'},
		{"end", required_argument, NULL, 'e'},
		{"open-together", no_argument, NULL, 'o'},
		{NULL, 0, NULL, 0}};
	struct load_config cfg = {.connections = 1,
				  .concurrent = 1,
				  .requests = 1,
				  .pipeline = 1,
				  .request_bytes = {100, 100},
				  .answer_bytes = {500, 500},
				  .deadline_s = 120,
				  .seed = 1};

	for (int o; (o = getopt_long(argc, argv, "", opts, NULL)) != -1;)
		load_option(&cfg, o, optarg);
	if (!cfg.to.len || !cfg.connections || !cfg.pipeline)
		die("load needs", "--to, and at least one of everything");
	if (cfg.open_together || cfg.pause || !cfg.concurrent ||
	    cfg.concurrent > cfg.connections)
		cfg.concurrent = cfg.connections;
	return load(&cfg);
}

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		got_usr1 = 1;
	else if (sig == SIGUSR2)
		got_usr2 = 1;
	else
		got_term = 1;
}

/* The signals are let in only while we wait for events. */
static void setup_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGUSR1);
	sigaddset(&blocked, SIGUSR2);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
	struct rlimit files;

	if (argc < 2)
		die("usage", "digest_app serve|load OPTIONS");
	if (sodium_init() < 0)
		die("libsodium", "does not start");
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	setup_signals();
	frame_setup();
	if (!strcmp(argv[1], "serve"))
		return run_serve(argc - 1, argv + 1);
	if (!strcmp(argv[1], "load"))
		return run_load(argc - 1, argv + 1);
	die("unknown command", argv[1]);
}
