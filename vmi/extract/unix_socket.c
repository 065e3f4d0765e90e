// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unix sockets: names, peers, connections that wait to be accepted, what waits to be read.
 */
#include <linux/skbuff.h>
#include <linux/un.h>
#include <net/af_unix.h>
#include <net/scm.h>
#include <net/tcp_states.h>

#include "extract.h"

/* 314001f0bf92 ("af_unix: Add OOB support", v5.15), if configured. */
struct unix_sock___oob {
	struct sk_buff *oob_skb;
};

enum {
	/* Of struct sockaddr_un: the family comes first. */
	NAME_OFFSET = 2,
	/* A path as long as fits has its NUL behind it. */
	NAME_MAX_LEN = 109,
};

static const struct unix_sock *unix_of(const struct sock *sk)
{
	return (const struct unix_sock *)sk;
}

static void name_of(const struct sock *sk, struct ovm_rec_bytes __host *name)
{
	const struct unix_address *address = unix_of(sk)->addr;

	if (!address)
		return;
	u32 len = address->len;

	if (len < NAME_OFFSET || len > NAME_OFFSET + NAME_MAX_LEN)
		llv_fail(LLV_CORRUPT, address, "name of a socket has an impossible length");
	llv_bytes(name, (u64)&address->name[0] + NAME_OFFSET, len - NAME_OFFSET);
}

static void peer(const struct sock *sk, struct ovm_rec_unix __host *rec)
{
	const struct sock *other = unix_of(sk)->peer;

	if (!other)
		return;
	rec->peer = OVM_IDENTITY(other);
	rec->peer_ino = ovm_sock_ino(other);
	name_of(other, &rec->peer_name);
}

/* What waits in a listening socket's queue belongs to the ends that accept(2) will return. */
static void connections(const struct sock *sk, struct ovm_rec_unix __host *rec)
{
	struct ovm_rec_connection __host *__host *link = &rec->connections;
	struct ovm_rec_connection __host *connection;
	const struct sk_buff_head *queue = &sk->sk_receive_queue;
	const struct sk_buff *skb = NULL;
	__u64 nr = 0;

	while ((skb = ovm_next_packet(queue, skb, nr++))) {
		const struct sock *end = skb->sk, *client = unix_of(end)->peer;

		connection = llv_new(struct ovm_rec_connection);
		connection->nr_packets = end->sk_receive_queue.qlen;
		connection->client = OVM_IDENTITY(client);
		if (client)
			connection->client_ino = ovm_sock_ino(client);
		*link = connection;
		link = &connection->next;
	}
}

static void sender(const struct sk_buff *skb, struct ovm_rec_packet __host *packet)
{
	const struct sock *from = skb->sk;

	packet->sender = OVM_IDENTITY(from);
	packet->sender_named = from && unix_of(from)->addr;
}

/* UNIXCB(): what a packet has of its family. */
static const struct unix_skb_parms *parms_of(const struct sk_buff *skb)
{
	return (const struct unix_skb_parms *)((u64)skb + llv_offsetof(struct sk_buff, cb));
}

static void content(const struct sock *sk, struct ovm_rec_socket __host *rec)
{
	struct ovm_rec_packet __host *__host *link = &rec->packets;
	const struct sk_buff_head *queue = &sk->sk_receive_queue;
	const struct sk_buff *skb = NULL;
	bool is_stream = rec->type == SOCK_STREAM;
	__u64 nr = 0;

	while ((skb = ovm_next_packet(queue, skb, nr++))) {
		const struct unix_skb_parms *parms = parms_of(skb);
		u32 consumed = is_stream ? parms->consumed : 0;

		/* Read to its end, and still there. */
		if (is_stream && consumed >= skb->len)
			continue;
		struct ovm_rec_packet __host *packet = ovm_packet(skb, consumed);

		ovm_packet_passed(parms->fp, packet);
		sender(skb, packet);
		*link = packet;
		link = &packet->next;
	}
}

static bool has_oob(const struct sock *sk)
{
	return llv_field_exists(struct unix_sock___oob, oob_skb) &&
	       ((const struct unix_sock___oob *)sk)->oob_skb;
}

LLV_SHARED void ovm_unix_socket(struct ovm_files __host *files, const struct sock *sk,
				struct ovm_rec_socket __host *rec)
{
	struct ovm_rec_unix __host *socket = llv_new(struct ovm_rec_unix);
	const struct unix_sock *u = unix_of(sk);

	rec->unix_socket = socket;
	name_of(sk, &socket->name);
	if (u->path.dentry)
		socket->bound = ovm_path_record(files, &u->path, OVM_REC_FILE_SOCKET);
	peer(sk, socket);
	socket->has_oob = has_oob(sk);
	if (rec->state == TCP_LISTEN)
		connections(sk, socket);
	else
		content(sk, rec);
}

LLV_SHARED bool ovm_unix_socket_held(const struct sock *sk)
{
	const struct unix_sock *u = unix_of(sk);

	if (sk->__sk_common.skc_family != AF_UNIX || !llv_type_exists(struct unix_sock))
		return false;
	return ovm_spin_held(&u->lock) || ovm_mutex_held(&u->iolock) ||
	       ovm_mutex_held(&u->bindlock) || ovm_spin_held(&sk->sk_receive_queue.lock);
}

LLV_SHARED const struct scm_fp_list *ovm_unix_socket_passed(const struct sk_buff *skb)
{
	return parms_of(skb)->fp;
}
