// SPDX-License-Identifier: BSD-2-Clause
#include "io/capture_filter.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/split_filter.h"

#define SNAP_BYTES 262144
#define PREFIX_LEN 4
/* linux/filter.h and pcap/bpf.h describe one and the same instruction. */
_Static_assert(sizeof(struct bpf_insn) == sizeof(struct sock_filter),
	       "BPF instructions differ");

char *capture_filter_text(const struct endpoint *sources, size_t count,
			  const char *extra)
{
	char addr[ADDR_TEXT_MAX], *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	if (extra)
		fprintf(out, "(%s) and ", extra);
	fputs("(", out);
	for (size_t i = 0; i < count; i++) {
		const struct endpoint *s = &sources[i];

		fputs(i ? " or (" : "(", out);
		if (!addr_is_none(&s->addr))
			fprintf(out, "dst host %s and ",
				addr_text(&s->addr, addr));
		fprintf(out, "tcp dst port %u)", s->port);
	}
	fputs(")", out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

/* Drops what is outgoing, and what is not to this host. */
static void write_prefix(struct sock_filter *code, bool other_hosts)
{
	const struct sock_filter prefix[PREFIX_LEN] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			 other_hosts ? PACKET_OUTGOING : PACKET_OTHERHOST, 0,
			 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};

	memcpy(code, prefix, sizeof(prefix));
}

static int copy_program(struct sock_fprog *out, const struct bpf_program *bpf,
			bool other_hosts, const struct split *split, char *err,
			size_t err_bytes)
{
	struct sock_filter ours[SPLIT_FILTER_MAX];
	size_t ours_len = split_filter(ours, split);
	size_t before = PREFIX_LEN + ours_len;
	size_t count = before + bpf->bf_len;
	struct sock_filter *code;

	if (count > BPF_MAXINSNS) {
		snprintf(err, err_bytes, "the filter is too long");
		return -EINVAL;
	}
	code = calloc(count, sizeof(*code));
	if (!code)
		return -ENOMEM;
	write_prefix(code, other_hosts);
	memcpy(code + PREFIX_LEN, ours, ours_len * sizeof(*code));
	memcpy(code + before, bpf->bf_insns, bpf->bf_len * sizeof(*code));
	*out = (struct sock_fprog){.len = (unsigned short)count,
				   .filter = code};
	return 0;
}

int capture_filter_compile(struct sock_fprog *out, const char *text,
			   bool other_hosts, const struct split *split,
			   char *err, size_t err_bytes)
{
	struct bpf_program bpf;
	pcap_t *dead = pcap_open_dead(DLT_RAW, SNAP_BYTES);
	int rc;

	if (!dead)
		return -ENOMEM;
	if (pcap_compile(dead, &bpf, text, 1, PCAP_NETMASK_UNKNOWN)) {
		snprintf(err, err_bytes, "%s", pcap_geterr(dead));
		pcap_close(dead);
		return -EINVAL;
	}
	rc = copy_program(out, &bpf, other_hosts, split, err, err_bytes);
	pcap_freecode(&bpf);
	pcap_close(dead);
	return rc;
}

void capture_filter_free(struct sock_fprog *prog)
{
	free(prog->filter);
	prog->filter = NULL;
}
