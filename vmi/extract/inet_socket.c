// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sockets of the Internet: TCP, UDP, UDP-Lite and raw ones, of IPv4 and IPv6.
 */
#include <linux/ipv6.h>
#include <linux/netdevice.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/inet_connection_sock.h>
#include <net/inet_sock.h>
#include <net/net_namespace.h>
#include <net/raw.h>
#include <net/sock_reuseport.h>

#include "extract.h"

/* c274af224269 ("inet: introduce inet->inet_flags", v6.6), for what were bits and cmsg_flags. */
struct inet_sock___flags {
	unsigned long inet_flags;
};

/* Bits here, and elsewhere whole bytes or words. */
struct inet_sock___bits {
	unsigned int freebind;
	unsigned int hdrincl;
	unsigned int transparent;
	unsigned int nodefrag;
	unsigned int recverr;
	unsigned int cmsg_flags;
	unsigned int tos;
	int uc_ttl;
};

enum {
	/* Of inet_flags (net/inet_sock.h); the first nine are those of cmsg_flags, too. */
	CMSG_FLAGS = 0x1ff,
	RECVERR_BIT = 9,
	FREEBIND_BIT = 11,
	HDRINCL_BIT = 12,
	TRANSPARENT_BIT = 15,
	NODEFRAG_BIT = 17,
	/* Of udp_flags (linux/udp.h). */
	UDP_CORK_BIT = 0,
	MAX_DEVICES = 1 << 20,
};

/* a0002127cd74 ("udp: move udp->no_check6_tx to udp->udp_flags" and the like, v6.7) */
struct udp_sock___flags {
	unsigned long udp_flags;
};

struct udp_sock___bits {
	unsigned int corkflag;
	unsigned int encap_type;
	int pending;
};

struct ipv6_pinfo___rx {
	struct {
		unsigned int all;
	} rxopt;
};

LLV_SHARED bool ovm_sock_is_inet(const struct sock *sk)
{
	u16 family = sk->__sk_common.skc_family;

	return family == AF_INET || family == AF_INET6;
}

static u16 swapped(u16 value)
{
	return value >> 8 | value << 8;
}

static void addresses(const struct sock *sk, struct ovm_rec_inet __host *rec)
{
	const struct inet_sock *inet = (const struct inet_sock *)sk;

	rec->src_port = swapped(inet->inet_sport);
	rec->dst_port = swapped(sk->__sk_common.skc_dport);
	if (sk->__sk_common.skc_family == AF_INET6) {
		llv_copy(rec->src, &sk->__sk_common.skc_v6_rcv_saddr);
		llv_copy(rec->dst, &sk->__sk_common.skc_v6_daddr);
		rec->v6only = sk->__sk_common.skc_ipv6only;
		return;
	}
	llv_copy_part(rec->src, &sk->__sk_common.skc_rcv_saddr, 4);
	llv_copy_part(rec->dst, &sk->__sk_common.skc_daddr, 4);
}

/* The name of the device that a socket is bound to; left empty if it is gone. */
static void device(const struct sock *sk, struct ovm_rec_inet __host *rec)
{
	const struct net *net = sk->__sk_common.skc_net.net;
	int index = sk->__sk_common.skc_bound_dev_if;
	const struct net_device *dev;
	unsigned int nr = 0;

	if (!index)
		return;
	list_for_each_entry(dev, &net->dev_base_head, dev_list) {
		if (++nr > MAX_DEVICES)
			llv_fail(LLV_CORRUPT, net, "list of network devices does not end");
		if (dev->ifindex != index)
			continue;
		llv_strcpy(rec->device, dev->name);
		return;
	}
}

#define FLAG(flags, bit)	((flags) >> (bit) & 1)
#define LOST(rec, what, is_set) ((rec)->lost |= (is_set) ? (u32)(what) : 0)

static void ip_options(const struct sock *sk, struct ovm_rec_inet __host *rec)
{
	const struct inet_sock___bits *bits = (const struct inet_sock___bits *)sk;

	if (llv_field_exists(struct inet_sock___flags, inet_flags)) {
		u64 flags = ((const struct inet_sock___flags *)sk)->inet_flags;

		rec->freebind = FLAG(flags, FREEBIND_BIT);
		rec->hdrincl = FLAG(flags, HDRINCL_BIT);
		rec->nodefrag = FLAG(flags, NODEFRAG_BIT);
		LOST(rec, OVM_REC_LOST_TRANSPARENT, FLAG(flags, TRANSPARENT_BIT));
		LOST(rec, OVM_REC_LOST_RECVERR, FLAG(flags, RECVERR_BIT));
		LOST(rec, OVM_REC_LOST_CMSG, flags & CMSG_FLAGS);
	} else {
		rec->freebind = bits->freebind;
		rec->hdrincl = bits->hdrincl;
		rec->nodefrag = bits->nodefrag;
		LOST(rec, OVM_REC_LOST_TRANSPARENT, bits->transparent);
		LOST(rec, OVM_REC_LOST_RECVERR, bits->recverr);
		LOST(rec, OVM_REC_LOST_CMSG, bits->cmsg_flags & CMSG_FLAGS);
	}
	LOST(rec, OVM_REC_LOST_TOS, bits->tos);
	LOST(rec, OVM_REC_LOST_TTL, bits->uc_ttl != -1);
	LOST(rec, OVM_REC_LOST_MULTICAST, ((const struct inet_sock *)sk)->mc_list);
}

static void ipv6_options(const struct sock *sk, struct ovm_rec_inet __host *rec)
{
	const struct ipv6_pinfo *np = ((const struct inet_sock *)sk)->pinet6;

	if (sk->__sk_common.skc_family != AF_INET6 || !np)
		return;
	LOST(rec, OVM_REC_LOST_CMSG, ((const struct ipv6_pinfo___rx *)np)->rxopt.all);
	LOST(rec, OVM_REC_LOST_MULTICAST, np->ipv6_mc_list);
	LOST(rec, OVM_REC_LOST_TOS, np->tclass);
}

static void udp(const struct sock *sk, struct ovm_rec_inet __host *rec)
{
	const struct udp_sock___bits *bits = (const struct udp_sock___bits *)sk;

	rec->nr_waiting += ((const struct udp_sock *)sk)->reader_queue.qlen;
	rec->encapsulates = bits->encap_type != 0;
	rec->corked = bits->pending != 0;
	if (llv_field_exists(struct udp_sock___flags, udp_flags))
		rec->corked |= FLAG(((const struct udp_sock___flags *)sk)->udp_flags, UDP_CORK_BIT);
	if (llv_field_exists(struct udp_sock___bits, corkflag))
		rec->corked |= bits->corkflag;
}

/* Which ICMP messages a raw socket doesn't get. */
static void raw(const struct sock *sk, u16 protocol, struct ovm_rec_inet __host *rec)
{
	bool is_v6 = sk->__sk_common.skc_family == AF_INET6;

	if (is_v6 && protocol == IPPROTO_ICMPV6) {
		llv_copy(rec->icmp_filter, &((const struct raw6_sock *)sk)->filter);
		rec->icmp_filter_words = OVM_REC_ICMP_FILTER_WORDS;
	} else if (!is_v6 && protocol == IPPROTO_ICMP) {
		rec->icmp_filter[0] = ((const struct raw_sock *)sk)->filter.data;
		rec->icmp_filter_words = 1;
	}
}

LLV_SHARED void ovm_inet_socket(const struct sock *sk, struct ovm_rec_socket __host *rec)
{
	struct ovm_rec_inet __host *inet = llv_new(struct ovm_rec_inet);

	rec->inet = inet;
	addresses(sk, inet);
	device(sk, inet);
	ip_options(sk, inet);
	ipv6_options(sk, inet);
	inet->chooses = sk->sk_reuseport_cb && sk->sk_reuseport_cb->prog;
	if (rec->type == SOCK_STREAM && rec->protocol == IPPROTO_TCP) {
		ovm_tcp_socket(sk, rec);
		return;
	}
	inet->nr_waiting = sk->sk_receive_queue.qlen;
	if (rec->type == SOCK_RAW)
		raw(sk, rec->protocol, inet);
	else if (rec->type == SOCK_DGRAM &&
		 (rec->protocol == IPPROTO_UDP || rec->protocol == IPPROTO_UDPLITE))
		udp(sk, inet);
}

/*
 * Of a socket, sk_lock.slock is held for a moment by whoever works on it, and owned is set for as
 * long as a system call does so.
 */
LLV_SHARED bool ovm_inet_socket_held(const struct sock *sk)
{
	int owned = sk->sk_lock.owned;

	return ovm_spin_held(&sk->sk_lock.slock) || (owned && owned != OVM_REC_HELD) ||
	       ovm_spin_held(&sk->sk_receive_queue.lock);
}

LLV_SHARED bool ovm_inet_socket_is_ours(const struct sock *sk)
{
	return sk->sk_lock.owned == OVM_REC_HELD;
}
