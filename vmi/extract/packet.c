// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packet sockets: what they are bound to, their options, the addresses they have joined.
 */
#include <linux/if_packet.h>
#include <linux/netdevice.h>
#include <net/sock.h>

#include "extract.h"

/* Private to net/packet/internal.h, all of these. */
struct packet_ring_buffer___ovm {
	void *pg_vec;
};

struct packet_mclist___ovm {
	struct packet_mclist___ovm *next;
	int ifindex;
	int count;
	unsigned short type;
	unsigned short alen;
	unsigned char addr[MAX_ADDR_LEN];
};

struct packet_fanout___ovm {
	u16 id;
	u8 type;
	u8 flags;
};

enum packet_sock_flags___ovm {
	PACKET_SOCK_ORIGDEV,
	PACKET_SOCK_AUXDATA,
	PACKET_SOCK_TX_HAS_OFF,
	PACKET_SOCK_TP_LOSS,
	PACKET_SOCK_HAS_VNET_HDR,
	PACKET_SOCK_RUNNING,
	PACKET_SOCK_QDISC_BYPASS,
};

struct packet_sock___ovm {
	struct packet_fanout___ovm *fanout;
	struct packet_ring_buffer___ovm rx_ring, tx_ring;
	int copy_thresh;
	spinlock_t bind_lock;
	int ifindex;
	__be16 num;
	struct packet_mclist___ovm *mclist;
	enum tpacket_versions tp_version;
	unsigned int tp_reserve, tp_tstamp;
	struct packet_type prot_hook;
};

/* Bits of a word since ee5675ecdf7a ("net/packet: convert po->... to atomic flags", v6.4). */
struct packet_sock___flags {
	unsigned long flags;
};

struct packet_sock___bits {
	unsigned int running, auxdata, origdev, has_vnet_hdr, tp_loss, tp_tx_has_off;
};

/* dfc39d4026fb ("net/packet: support mergeable feature of virtio", v6.6): a size, not a bit. */
struct packet_sock___vnet {
	u8 vnet_hdr_sz;
};

/* Until a flag took its place (105a201ebf33, v6.7). */
struct packet_sock___xmit {
	void *xmit;
};

enum {
	MAX_MEMBERSHIPS = 1 << 16,
	/* struct virtio_net_hdr */
	VNET_HDR_SIZE = 10,
};

#define HAS_FLAG(flags, name)                                   \
	(llv_enum_exists(enum packet_sock_flags___ovm, name) && \
	 (flags) >> (llv_enum_value(enum packet_sock_flags___ovm, name) & 63) & 1)

static void switches(const struct sock *sk, struct ovm_rec_packet_socket __host *rec)
{
	if (llv_field_exists(struct packet_sock___flags, flags)) {
		u64 flags = ((const struct packet_sock___flags *)sk)->flags;

		rec->running = HAS_FLAG(flags, PACKET_SOCK_RUNNING);
		rec->aux_data = HAS_FLAG(flags, PACKET_SOCK_AUXDATA);
		rec->orig_dev = HAS_FLAG(flags, PACKET_SOCK_ORIGDEV);
		rec->loss = HAS_FLAG(flags, PACKET_SOCK_TP_LOSS);
		rec->tx_has_off = HAS_FLAG(flags, PACKET_SOCK_TX_HAS_OFF);
		rec->qdisc_bypass = HAS_FLAG(flags, PACKET_SOCK_QDISC_BYPASS);
		if (HAS_FLAG(flags, PACKET_SOCK_HAS_VNET_HDR))
			rec->vnet_hdr_size = VNET_HDR_SIZE;
	} else {
		const struct packet_sock___bits *bits = (const struct packet_sock___bits *)sk;

		rec->running = bits->running != 0;
		rec->aux_data = bits->auxdata;
		rec->orig_dev = bits->origdev;
		rec->loss = bits->tp_loss;
		rec->tx_has_off = bits->tp_tx_has_off;
		if (bits->has_vnet_hdr)
			rec->vnet_hdr_size = VNET_HDR_SIZE;
	}
	if (llv_field_exists(struct packet_sock___vnet, vnet_hdr_sz))
		rec->vnet_hdr_size = ((const struct packet_sock___vnet *)sk)->vnet_hdr_sz;
	if (llv_field_exists(struct packet_sock___xmit, xmit))
		rec->qdisc_bypass = OVM_IDENTITY(((const struct packet_sock___xmit *)sk)->xmit) ==
				    llv_symbol("packet_direct_xmit");
}

static void memberships(const struct packet_sock___ovm *po,
			struct ovm_rec_packet_socket __host *rec)
{
	struct ovm_rec_packet_membership __host *__host *link = &rec->memberships;
	const struct packet_mclist___ovm *ml;
	unsigned int nr = 0;

	for (ml = po->mclist; ml; ml = ml->next) {
		struct ovm_rec_packet_membership __host *m =
			llv_new(struct ovm_rec_packet_membership);

		if (nr++ >= MAX_MEMBERSHIPS || ml->alen > MAX_ADDR_LEN)
			llv_fail(LLV_CORRUPT, ml, "list of a packet socket is out of range");
		m->ifindex = ml->ifindex;
		m->count = ml->count;
		m->type = ml->type;
		llv_bytes(&m->address, (u64)&ml->addr[0], ml->alen);
		*link = m;
		link = &m->next;
	}
}

static void fanout(const struct packet_fanout___ovm *group,
		   struct ovm_rec_packet_socket __host *rec)
{
	if (!group)
		return;
	rec->has_fanout = 1;
	rec->fanout_id = group->id;
	rec->fanout_type = group->type;
	rec->fanout_flags = group->flags;
}

LLV_SHARED void ovm_packet_socket(const struct sock *sk, struct ovm_rec_socket __host *socket)
{
	const struct packet_sock___ovm *po = (const struct packet_sock___ovm *)sk;
	struct ovm_rec_packet_socket __host *rec = llv_new(struct ovm_rec_packet_socket);

	socket->packet_socket = rec;
	rec->ifindex = po->ifindex;
	rec->protocol = (u16)po->num;
	rec->version = po->tp_version;
	rec->reserve = po->tp_reserve;
	rec->timestamp = po->tp_tstamp;
	rec->copy_thresh = po->copy_thresh;
	rec->has_rings = po->rx_ring.pg_vec || po->tx_ring.pg_vec;
	rec->ignore_outgoing = po->prot_hook.ignore_outgoing;
	switches(sk, rec);
	memberships(po, rec);
	fanout(po->fanout, rec);
}

LLV_SHARED bool ovm_has_packet_sockets(void)
{
	return llv_type_exists(struct packet_sock___ovm);
}

LLV_SHARED bool ovm_packet_socket_held(const struct sock *sk)
{
	return ovm_spin_held(&((const struct packet_sock___ovm *)sk)->bind_lock);
}
