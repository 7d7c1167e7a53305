/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The application of the lab, its two sides. `serve` runs on the online and on
 * the target server and logs what every connection received; `load` is the
 * client, and fails when an answer is not exactly what it should be.
 */
#ifndef LAB_DIGEST_APP_H
#define LAB_DIGEST_APP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#define LISTENERS_MAX 4
#define SOURCES_MAX   64

struct address {
	struct sockaddr_storage ss;
	socklen_t len;
};

struct range {
	uint32_t lo, hi;
};

struct serve_config {
	struct address listen[LISTENERS_MAX];
	int listen_count;
	const char *log_path;
	uint32_t answer_percent; /* of the size asked for */
	uint32_t greeting_bytes; /* sent first, 0: none */
	uint32_t push_bytes;	 /* sent unasked for, 0: none */
	uint32_t push_ms;	 /* each so many */
	uint32_t delay_ms;	 /* before each answer, until SIGUSR2 */
	uint32_t close_on;	 /* close instead of answering this request */
	uint32_t close_after;	 /* close when this request is answered */
	uint32_t close_at;	 /* close once so many bytes have come */
	uint32_t idle_close_ms;	 /* close a connection without requests */
	bool backlog_only;	 /* leave connections to the kernel */
	bool mute;		 /* read, never answer */
};

enum load_end { END_FIN, END_HALF, END_RESET, END_AWAIT };

struct load_config {
	struct address to;
	struct address from[SOURCES_MAX];
	int from_count;
	uint32_t connections, concurrent, requests, pipeline;
	struct range request_bytes, answer_bytes;
	uint32_t greeting_bytes;
	uint32_t think_ms;
	uint32_t pause_after; /* answers; then wait for SIGUSR1 */
	uint32_t deadline_s;
	uint32_t seed;
	bool pause, open_together;
	enum load_end end;
};

/* Set by the signals of the same names. */
extern volatile sig_atomic_t got_term, got_usr1, got_usr2;

uint64_t now_ms(void);
int serve(const struct serve_config *cfg);
int load(const struct load_config *cfg);

#endif
