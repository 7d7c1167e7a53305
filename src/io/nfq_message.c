// SPDX-License-Identifier: BSD-2-Clause
#include "io/nfq_message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <linux/if_ether.h>
#include <linux/netlink.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>

#define TYPE_PACKET ((NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_PACKET)

/* Netlink pads every message and attribute to four bytes; the last one of a
 * buffer may lack its padding. */
static void skip_padding(struct reader *r, size_t len)
{
	size_t pad = -len & (NLMSG_ALIGNTO - 1);

	reader_take(r, pad < r->left_bytes ? pad : r->left_bytes);
}

/* The next attribute's content, or NULL at the end and on nonsense. */
static const uint8_t *next_attr(struct reader *r, unsigned *type, size_t *len)
{
	struct nlattr attr;
	const uint8_t *p;

	if (r->left_bytes < sizeof(attr))
		return NULL;
	memcpy(&attr, reader_take(r, sizeof(attr)), sizeof(attr));
	if (attr.nla_len < sizeof(attr)) {
		r->failed = true;
		return NULL;
	}
	*type = attr.nla_type & NLA_TYPE_MASK;
	*len = attr.nla_len - sizeof(attr);
	p = reader_take(r, *len);
	skip_padding(r, attr.nla_len);
	return p;
}

struct packet_attrs {
	bool has_hdr;
	uint16_t protocol;
	uint32_t original_len; /* 0: nothing was cut off */
};

static void on_packet_attr(struct nfq_message *m, struct packet_attrs *a,
			   unsigned type, const uint8_t *p, size_t len)
{
	switch (type) {
	case NFQA_PACKET_HDR:
		if (len < sizeof(struct nfqnl_msg_packet_hdr))
			return;
		a->has_hdr = true;
		m->id = load_be32(p);
		a->protocol = load_be16(p + 4);
		return;
	case NFQA_IFINDEX_OUTDEV:
		if (len >= 4)
			m->out_ifindex = load_be32(p);
		return;
	case NFQA_CAP_LEN:
		if (len >= 4)
			a->original_len = load_be32(p);
		return;
	case NFQA_PAYLOAD:
		m->l3 = p;
		m->cap_len = len;
		return;
	default:
		return;
	}
}

static bool is_ip(uint16_t protocol, const uint8_t *l3, size_t len)
{
	if (len == 0)
		return false;
	return (protocol == ETH_P_IP && l3[0] >> 4 == 4) ||
	       (protocol == ETH_P_IPV6 && l3[0] >> 4 == 6);
}

static int parse_packet(struct nfq_message *m, struct reader body)
{
	struct packet_attrs a = {0};
	const uint8_t *p;
	unsigned type;
	size_t len;

	reader_take(&body, sizeof(struct nfgenmsg));
	while ((p = next_attr(&body, &type, &len)))
		on_packet_attr(m, &a, type, p, len);
	if (!a.has_hdr)
		return -EPROTO;

	m->type = NFQ_MESSAGE_PACKET;
	if (body.failed || !is_ip(a.protocol, m->l3, m->cap_len))
		m->cap_len = 0;
	m->wire_len = a.original_len > m->cap_len ? a.original_len : m->cap_len;
	return 1;
}

static int parse_error(struct nfq_message *m, struct reader body)
{
	const uint8_t *p = reader_take(&body, sizeof(int));

	if (!p)
		return -EPROTO;
	m->type = NFQ_MESSAGE_ERROR;
	memcpy(&m->error, p, sizeof(m->error));
	return 1;
}

int nfq_message_next(struct reader *r, struct nfq_message *m)
{
	struct nlmsghdr head;
	const uint8_t *p;
	struct reader body;

	if (r->left_bytes == 0)
		return 0;
	p = reader_take(r, sizeof(head));
	if (!p)
		return -EPROTO;
	memcpy(&head, p, sizeof(head));
	if (head.nlmsg_len < sizeof(head))
		return -EPROTO;
	p = reader_take(r, head.nlmsg_len - sizeof(head));
	if (!p)
		return -EPROTO;
	skip_padding(r, head.nlmsg_len);

	body = reader_of(p, head.nlmsg_len - sizeof(head));
	*m = (struct nfq_message){.type = NFQ_MESSAGE_OTHER,
				  .seq = head.nlmsg_seq};
	if (head.nlmsg_type == TYPE_PACKET)
		return parse_packet(m, body);
	if (head.nlmsg_type == NLMSG_ERROR)
		return parse_error(m, body);
	return 1;
}

bool nfq_proc_parse(struct nfq_proc_line *out, const char *line)
{
	return sscanf(line,
		      "%" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32
		      " %" SCNu32 " %" SCNu32 " %" SCNu32,
		      &out->queue_num, &out->portid, &out->queued,
		      &out->copy_mode, &out->copy_range, &out->queue_dropped,
		      &out->user_dropped, &out->id_sequence) == 8;
}
