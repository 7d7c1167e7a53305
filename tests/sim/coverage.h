/* SPDX-License-Identifier: BSD-2-Clause */
/* What a run has seen: faults that the world made, paths that the core took.
 * With --require-coverage none may be zero. */
#ifndef SIM_COVERAGE_H
#define SIM_COVERAGE_H

#include <stdint.h>
#include <stdio.h>

#include "core/divert.h"
#include "core/ledger.h"

#define SIM_COVERAGE(X)                                                        \
	X(connections, "connections captured")                                 \
	X(ipv6, "of these over IPv6")                                          \
	X(pipelined, "with pipelined requests")                                \
	X(server_first, "where the server speaks first")                       \
	X(uploads, "with a large upload")                                      \
	X(split_uploads, "where the server spoke during an upload")            \
	X(half_closed, "half closed by the client")                            \
	X(long_waits, "clients that waited for about the timeout")             \
	X(client_resets, "reset by the client")                                \
	X(left_open, "left open by the client")                                \
	X(port_reuse, "on the tuple of an earlier one")                        \
	X(fresh, "begun after the last fault")                                 \
	X(few_ports, "worlds of a few ports used over and over")               \
	X(tuples_lingering, "copies on a tuple that still lingered")           \
	X(joined_late, "captured from the middle on")                          \
	X(tls_seen, "of TLS")                                                  \
	X(captured_again, "client retransmissions captured")                   \
	X(captured_merged, "captured packets merged by GRO")                   \
	X(capture_lost, "captured packets lost")                               \
	X(capture_doubled, "captured packets seen twice")                      \
	X(capture_reordered, "captured packets out of order")                  \
	X(capture_noise, "other packets captured")                             \
	X(capture_batches, "batches of captured packets")                      \
	X(net_lost, "packets to the target lost")                              \
	X(net_doubled, "packets to the target doubled")                        \
	X(net_reordered, "packets to the target reordered")                    \
	X(queue_lost, "answers lost before intercept")                         \
	X(queue_doubled, "answers doubled")                                    \
	X(queue_reordered, "answers reordered")                                \
	X(link_resets, "links reset")                                          \
	X(link_stalls, "links stalled")                                        \
	X(link_silences, "times that a link fell silent")                      \
	X(links_full, "times that a link took no packets")                     \
	X(large_packets, "packets of several segments by a link")              \
	X(cut_packets, "of these too long for the target, cut there")          \
	X(local_acks, "ACKs of answers by intercept")                          \
	X(link_outages, "times that all links were down for long")             \
	X(intercept_restarts, "restarts of intercept")                         \
	X(disarmed, "times that a guard did not stand")                        \
	X(tcpcopy_restarts, "restarts of tcpcopy")                             \
	X(retransmissions, "segments sent again after a timeout")              \
	X(fast_retransmissions, "segments sent again before a timeout")        \
	X(syn_retransmissions, "SYNs sent again")                              \
	X(window_probes, "probes of a closed window")                          \
	X(windows_closed, "windows closed by the target")                      \
	X(resets_sent, "resets sent to the target")                            \
	X(challenges, "challenge ACKs of the target")                          \
	X(memory_given_back, "pieces of memory given back")                    \
	X(time_wait_reused, "SYNs accepted in TIME_WAIT")                      \
	X(target_closed_first, "connections that the target closed first")     \
	X(target_reset_first, "connections that the target reset")             \
	X(target_refused, "SYNs that the target refused")                      \
	X(target_resent, "segments that the target sent again")                \
	X(early_violations, "turns that did leave before their answer")        \
	X(passed_packets, "packets to the passlist let out")                   \
	X(stranger_packets, "packets to strangers dropped")                    \
	X(two_targets, "worlds with two targets")                              \
	X(by_port, "worlds with two workers of intercept by port")             \
	X(another_hello, "of these, where one said otherwise later")           \
	X(several_copies, "worlds with several copies")                        \
	X(sampled_worlds, "worlds with sampling")                              \
	X(listed_clients, "worlds with a list of clients")                     \
	X(shutdowns, "worlds that end with a shutdown")                        \
	X(memory_short, "worlds short of memory")

enum cover {
#define X(name, text) COVER_##name,
	SIM_COVERAGE(X)
#undef X
#define X(name, text) COVER_LEDGER_##name,
		LEDGER_COUNTERS(X)
#undef X
#define X(id, key, text) COVER_LOST_##key,
			LEDGER_LOSSES(X)
#undef X
#define X(name, text) COVER_DIVERT_##name,
				DIVERT_COUNTERS(X)
#undef X
					COVER_COUNT
};

#define SIM_COVER(sim, name) ((sim)->coverage[COVER_##name]++)

void coverage_add_ledger(uint64_t *coverage, const struct ledger *l);
void coverage_add_divert(uint64_t *coverage, const struct divert_counters *c);
/* Prints all of it; returns how many that must not be zero are. */
unsigned coverage_print(const uint64_t *coverage, FILE *out);

#endif
