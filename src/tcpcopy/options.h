/* SPDX-License-Identifier: BSD-2-Clause */
/* What the user asked for. */
#ifndef TCPCOPY_OPTIONS_H
#define TCPCOPY_OPTIONS_H

#include "base/service.h"
#include "io/capture_live.h"
#include "io/link_key.h"
#include "tcpcopy/clients.h"
#include "tcpcopy/transfer.h"

#define DEVICES_MAX	16
#define DEVICE_NAME_MAX 16 /* with the terminator */
#define DEFAULT_PORT	36524

enum tcpcopy_path {
	PATH_AUTO, /* link where it can be, else raw */
	PATH_LINK, /* frames to the next hop */
	PATH_RAW,  /* raw sockets */
	PATH_RELAY /* inside the links */
};

struct tcpcopy_options {
	struct service_options service;
	struct transfer transfer;
	struct endpoint intercepts[REPLAY_GROUPS_MAX];
	size_t intercept_count; /* 0: one on each target's address */
	struct clients clients;
	struct ip_addr local_v4, local_v6; /* addr_is_none(): the host's own */
	/* As in "-n 2", each in the unit of the command line. */
	unsigned copies, port_slice, sample_percent;
	unsigned memory_mb, mtu_bytes, mss_bytes, links, skip_idle_ms;
	uint16_t port, port_last; /* of intercept's workers */
	unsigned buffer_mb; /* 0: as memory_mb allows, see plan_memory() */
	unsigned nice_steps;
	/* 0: no limit */
	unsigned max_sessions, max_cpu_percent;
	uint64_t max_packets, max_megabits; /* a second */
	uint64_t timeout_us, idle_us, max_hold_us;
	bool resend;
	enum tcpcopy_path path;
	const char *file; /* NULL: live */
	double accelerate;
	bool capture_pcap;
	char devices[DEVICES_MAX][DEVICE_NAME_MAX];
	size_t device_count; /* 0: all */
	const char *filter;
	struct link_key *key;  /* owned; NULL: none */
	const char *dry_run;   /* NULL: packets are sent */
	struct endpoint trace; /* addr_is_none(): nobody; port 0: any */
	/* Of --workers there is the count; the rest is for whoever starts
	 * them. */
	struct split split;
	struct capture_groups
		*groups; /* one a device; NULL: a single process */
	uint64_t *syns;	 /* see struct replay_config */

	const char *intercepts_text; /* while parsing */
	unsigned char given[512];    /* ids of options that were given */
};

extern const struct opts_program tcpcopy_program;

/* false: fault says what is wrong. With --help or --version the rest is not
 * looked at. */
bool tcpcopy_options_parse(struct tcpcopy_options *o, int argc, char **argv,
			   struct opts_fault *fault);
/* After a fault as well. */
void tcpcopy_options_free(struct tcpcopy_options *o);

#endif
