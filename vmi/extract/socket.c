// SPDX-License-Identifier: GPL-2.0-only
/*
 * What sockets of all families have: state, options, filters.
 */
#include <linux/clocksource.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/net.h>
#include <net/af_unix.h>
#include <net/sock.h>

#include "extract.h"

/* "af_unix: Move SOCK_PASS{CRED,PIDFD,SEC} to struct sock." (v6.16). Bits, which fit here. */
struct sock___scm {
	unsigned int sk_scm_credentials;
	unsigned int sk_scm_security;
	unsigned int sk_scm_pidfd;
};

/* Bits here and whole bytes there: all fit into these. */
struct sock___wide {
	unsigned int sk_no_check_tx;
	unsigned int sk_userlocks;
	unsigned int sk_shutdown;
	unsigned int sk_type;
	unsigned int sk_protocol;
};

struct sock_common___wide {
	unsigned int skc_reuse;
	unsigned int skc_reuseport;
};

/* Since v5.15, as SO_BUF_LOCK (04190bf8944d), which leaves no trace in types. */
struct unix_sock___oob {
	struct sk_buff *oob_skb;
};

enum {
	/* Bits of struct socket.flags (linux/net.h). */
	PASSCRED_BIT = 3,
	PASSSEC_BIT = 4,
	PASSPIDFD_BIT = 7, /* 5e2ff6704a27 ("scm: add SO_PASSPIDFD and SCM_PIDFD", v6.5) */
	NS_PER_S = 1000000000,
	US_PER_S = 1000000,
	MAX_HZ = 10000,
	FILTER_INSN_SIZE = 8,
	MAX_FILTER_INSNS = 4096,
};

extern struct clocksource clocksource_jiffies;

/* From how long the kernel takes a tick to be. */
LLV_SHARED __u64 ovm_ticks_per_second(void)
{
	u32 shift = clocksource_jiffies.shift;
	u64 tick = shift < 32 ? clocksource_jiffies.mult >> shift : 0;
	u64 hz = tick ? (NS_PER_S + tick / 2) / tick : 0;

	if (!hz || hz > MAX_HZ)
		llv_fail(LLV_CORRUPT, &clocksource_jiffies, "length of a tick is out of range");
	return hz;
}

static void timeout(long ticks, u64 hz, struct ovm_rec_sock_timeout __host *rec)
{
	if (ticks == MAX_SCHEDULE_TIMEOUT || ticks < 0)
		return;
	rec->sec = (u64)ticks / hz;
	rec->usec = (u64)ticks % hz * US_PER_S / hz;
}

/* Classic BPF as it was attached; the kernel keeps it beside what it made of it. */
static void filter(const struct sock *sk, struct ovm_rec_sock_opts __host *rec)
{
	const struct sk_filter *attached = sk->sk_filter;

	rec->has_filter = attached != NULL;
	if (!attached || !attached->prog->orig_prog)
		return;
	const struct sock_fprog_kern *prog = attached->prog->orig_prog;

	if (prog->len > MAX_FILTER_INSNS)
		llv_fail(LLV_CORRUPT, prog, "socket filter is too long");
	llv_bytes(&rec->filter, prog->filter, (u64)prog->len * FILTER_INSN_SIZE);
}

static void passed(const struct sock *sk, struct ovm_rec_sock_opts __host *rec)
{
	if (llv_field_exists(struct sock___scm, sk_scm_credentials)) {
		const struct sock___scm *scm = (const struct sock___scm *)sk;

		rec->passcred = scm->sk_scm_credentials;
		rec->passsec = scm->sk_scm_security;
		rec->passpidfd = scm->sk_scm_pidfd;
		return;
	}
	u64 flags = sk->sk_socket->flags;

	rec->passcred = flags >> PASSCRED_BIT & 1;
	rec->passsec = flags >> PASSSEC_BIT & 1;
	rec->passpidfd = flags >> PASSPIDFD_BIT & 1;
}

#define HAS_FLAG(flags, name) ((flags) >> (llv_enum_value(enum sock_flags, name) & 63) & 1)

static void flags(const struct sock *sk, struct ovm_rec_sock_opts __host *rec)
{
	const struct sock_common___wide *common =
		(const struct sock_common___wide *)&sk->__sk_common;
	u64 bits = sk->sk_flags;

	rec->dontroute = HAS_FLAG(bits, SOCK_LOCALROUTE);
	rec->broadcast = HAS_FLAG(bits, SOCK_BROADCAST);
	rec->keepalive = HAS_FLAG(bits, SOCK_KEEPOPEN);
	rec->oobinline = HAS_FLAG(bits, SOCK_URGINLINE);
	rec->linger = HAS_FLAG(bits, SOCK_LINGER);
	rec->reuseaddr = common->skc_reuse != 0;
	rec->reuseport = common->skc_reuseport;
	rec->no_check = ((const struct sock___wide *)sk)->sk_no_check_tx;
}

static void options(const struct sock *sk, struct ovm_rec_sock_opts __host *rec)
{
	u64 hz = ovm_ticks_per_second();

	rec->sndbuf = sk->sk_sndbuf;
	rec->rcvbuf = sk->sk_rcvbuf;
	rec->rcvlowat = sk->sk_rcvlowat;
	rec->peek_off = sk->sk_peek_off;
	rec->priority = sk->sk_priority;
	rec->mark = sk->sk_mark;
	rec->bound_dev = sk->__sk_common.skc_bound_dev_if;
	rec->has_buf_lock = llv_field_exists(struct unix_sock___oob, oob_skb);
	rec->buf_lock = ((const struct sock___wide *)sk)->sk_userlocks &
			(SOCK_SNDBUF_LOCK | SOCK_RCVBUF_LOCK);
	timeout(sk->sk_sndtimeo, hz, &rec->snd_timeout);
	timeout(sk->sk_rcvtimeo, hz, &rec->rcv_timeout);
	rec->linger_seconds = sk->sk_lingertime / hz;
	flags(sk, rec);
	passed(sk, rec);
	filter(sk, rec);
}

LLV_SHARED const struct sock *ovm_inode_sock(const struct inode *inode)
{
	if (inode->i_sb->s_magic != SOCKFS_MAGIC)
		return NULL;
	const struct socket_alloc *alloc = container_of(inode, struct socket_alloc, vfs_inode);

	return alloc->socket.sk;
}

LLV_SHARED __u64 ovm_sock_ino(const struct sock *sk)
{
	const struct socket *socket = sk->sk_socket;

	if (!socket)
		return 0;
	return container_of(socket, struct socket_alloc, socket)->vfs_inode.i_ino;
}

LLV_SHARED struct ovm_rec_socket __host *ovm_socket(struct ovm_files __host *files,
						    const struct sock *sk)
{
	struct ovm_rec_socket __host *rec = llv_new(struct ovm_rec_socket);
	const struct sock___wide *wide = (const struct sock___wide *)sk;

	rec->sk = OVM_IDENTITY(sk);
	rec->net = OVM_IDENTITY(sk->__sk_common.skc_net.net);
	rec->family = sk->__sk_common.skc_family;
	rec->type = wide->sk_type;
	rec->protocol = wide->sk_protocol;
	rec->state = sk->__sk_common.skc_state;
	rec->shutdown = wide->sk_shutdown;
	rec->err = sk->sk_err;
	rec->max_backlog = sk->sk_max_ack_backlog;
	/* The socket itself counts for one. */
	rec->unread = sk->sk_wmem_alloc.refs.counter - 1;
	if (!sk->sk_socket)
		llv_fail(LLV_CORRUPT, sk, "socket of an open file has no owner");
	options(sk, &rec->opts);
	rec->nr_waiting = sk->sk_receive_queue.qlen;
	if (rec->family == AF_UNIX && llv_type_exists(struct unix_sock))
		ovm_unix_socket(files, sk, rec);
	if (ovm_sock_is_inet(sk))
		ovm_inet_socket(sk, rec);
	if (rec->family == AF_NETLINK && ovm_has_netlink_sockets())
		ovm_netlink_socket(sk, rec);
	if (rec->family == AF_PACKET && ovm_has_packet_sockets())
		ovm_packet_socket(sk, rec);
	return rec;
}
