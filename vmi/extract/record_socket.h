/* SPDX-License-Identifier: GPL-2.0-only */
/* Records of sockets and what waits in them. See record.h. */
#ifndef OVM_VMI_EXTRACT_RECORD_SOCKET_H
#define OVM_VMI_EXTRACT_RECORD_SOCKET_H

#include "record_base.h"

struct ovm_rec_file;

/* A part of a message; those of one message follow each other. */
struct ovm_rec_piece {
	struct ovm_rec_piece __host *next;
	struct ovm_rec_bytes bytes;
};

/* A file that comes with a message (SCM_RIGHTS). */
struct ovm_rec_passed {
	struct ovm_rec_passed __host *next;
	__u64 identity;
	struct ovm_rec_file __host *file;
};

/* What waits in a socket's receive queue: a message; of streams, a part of what was written. */
struct ovm_rec_packet {
	struct ovm_rec_packet __host *next;
	struct ovm_rec_piece __host *pieces;
	__u64 len; /* bytes in all pieces */
	/* Files that come with it, in their order. */
	struct ovm_rec_passed __host *passed;
	__u32 nr_passed;
	/* Identity of the struct sock that sent it, and whether that one has a name. */
	__u64 sender;
	__u8 sender_named;
};

/* A connection that waits in a listening socket's queue to be accepted. */
struct ovm_rec_connection {
	struct ovm_rec_connection __host *next;
	__u64 client;	  /* identity of the struct sock that connected */
	__u64 client_ino; /* its inode number; 0: it is closed by now */
	__u32 nr_packets; /* what it has sent already */
};

/* A time-out as setsockopt(2) has it; zero: none. */
struct ovm_rec_sock_timeout {
	__u64 sec, usec;
};

/* Options that sockets of all families have; numbers are those of getsockopt(2). */
struct ovm_rec_sock_opts {
	__u32 sndbuf, rcvbuf;
	__s32 rcvlowat, peek_off;
	__u32 priority, mark;
	struct ovm_rec_sock_timeout snd_timeout, rcv_timeout;
	__u8 reuseaddr, reuseport, dontroute, no_check, broadcast, keepalive, oobinline;
	__u8 passcred, passsec, passpidfd;
	__u8 linger;
	__u32 linger_seconds;
	/* Whether the kernel has SO_BUF_LOCK, and its value. */
	__u8 has_buf_lock;
	__u32 buf_lock;
	__s32 bound_dev; /* number of a network device; 0: none */
	/* A filter is attached; without instructions (8 bytes each, struct sock_filter), it is
	 * not one of classic BPF. */
	__u8 has_filter;
	struct ovm_rec_bytes filter;
};

/* What only Unix sockets have. */
struct ovm_rec_unix {
	/* sun_path as bind(2) got it: a path with its NUL; a NUL and an abstract name; or empty. */
	struct ovm_rec_bytes name;
	/* The socket's place in the file system; synthetic, NULL without a path. */
	struct ovm_rec_file __host *bound;
	/* The socket it is connected to: identity of its struct sock, 0: none; its inode number,
	 * 0 when nobody has accepted it yet or it is closed; its name. */
	__u64 peer, peer_ino;
	struct ovm_rec_bytes peer_name;
	struct ovm_rec_connection __host *connections;
	__u8 has_oob; /* there is a byte sent with MSG_OOB */
};

enum {
	/* sk_lock.owned of a socket that this tool holds (vmi/hold.h): "ovm". */
	OVM_REC_HELD = 0x6d766f,
	OVM_REC_ICMP_FILTER_WORDS = 8,
	OVM_REC_DEVICE_LEN = 16,
};

/* Options with another than their first value that images have no place for. */
enum ovm_rec_lost_option {
	OVM_REC_LOST_TOS = 1 << 0,
	OVM_REC_LOST_TTL = 1 << 1,
	OVM_REC_LOST_TRANSPARENT = 1 << 2,
	OVM_REC_LOST_RECVERR = 1 << 3,
	OVM_REC_LOST_CMSG = 1 << 4, /* IP_PKTINFO and the like, IPV6_RECVPKTINFO and the like */
	OVM_REC_LOST_MULTICAST = 1 << 5,
	OVM_REC_LOST_USER_TIMEOUT = 1 << 6,
	OVM_REC_LOST_DEFER_ACCEPT = 1 << 7,
	OVM_REC_LOST_FASTOPEN = 1 << 8,
	OVM_REC_LOST_MAXSEG = 1 << 9,
	OVM_REC_LOST_LINGER2 = 1 << 10,
	OVM_REC_LOST_NOTSENT_LOWAT = 1 << 11,
	OVM_REC_LOST_CONGESTION = 1 << 12,
};

/* What only TCP sockets have. */
struct ovm_rec_tcp {
	__u32 keepidle, keepintvl, keepcnt; /* s, s, number */
	__u8 nodelay, cork;
	/* TLS and the like; MD5 or AO keys; MPTCP; a byte sent with MSG_OOB; TCP Fast Open goes on;
	 * TCP_REPAIR. */
	__u8 layered, authenticated, multipath, urgent, opening, repair;
	/* Of a listening socket: connections that wait to be accepted. */
	__u32 nr_connections;

	/* Of a socket that has a peer, or had one. Sequence numbers are the kernel's. */
	__u32 copied_seq, rcv_nxt, snd_una, snd_nxt, write_seq;
	__u32 snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup;
	/* Timestamps are CLOCK_MONOTONIC in ms, or us, and this. */
	__u32 tsoffset;
	__u8 usec_timestamps;
	__u8 timestamps, sack, window_scaling, ecn, syn_data;
	__u8 snd_wscale, rcv_wscale;
	__u16 mss_clamp;
	/* Bytes that wait to be read, in the socket's packets; and bytes that are not acknowledged
	 * or not sent, in @sent. */
	__u32 in_len, out_len;
	struct ovm_rec_packet __host *sent;
	__u8 fin_queued; /* behind these */
};

/* What only sockets of IPv4 and IPv6 have. */
struct ovm_rec_inet {
	__u16 src_port, dst_port; /* 0: none */
	/* As on the wire; of IPv4, the first four bytes. */
	__u8 src[16], dst[16];
	__u8 v6only, freebind, hdrincl, nodefrag;
	char device[OVM_REC_DEVICE_LEN]; /* that it is bound to, or empty */
	__u32 lost;			 /* OVM_REC_LOST_* */
	__u8 chooses;			 /* a program chooses among the sockets of its port */
	/* Not of TCP: messages that wait; whether it holds a message back, or unwraps them. */
	__u32 nr_waiting;
	__u8 corked, encapsulates;
	/* Raw sockets of ICMP only. */
	__u32 icmp_filter_words;
	__u32 icmp_filter[OVM_REC_ICMP_FILTER_WORDS];
	struct ovm_rec_tcp __host *tcp; /* TCP only */
};

/* What only netlink sockets have; the state is 1 if it is connected. */
struct ovm_rec_netlink {
	__u32 portid; /* 0: not bound */
	__u32 dst_portid, dst_group;
	/* The first 64 groups that it has joined: bit N - 1 is group N; and whether of others. */
	__u64 groups;
	__u8 has_more_groups;
	__u8 in_dump; /* the answer to a request is not sent whole */
	__u64 flags;  /* options: bit N is the kernel's NETLINK_F_* number N */
};

/* PACKET_ADD_MEMBERSHIP */
struct ovm_rec_packet_membership {
	struct ovm_rec_packet_membership __host *next;
	__s32 ifindex;
	__s32 count; /* how often it was joined */
	__u16 type;  /* PACKET_MR_* */
	struct ovm_rec_bytes address;
};

/* What only packet sockets have; options as of packet(7). */
struct ovm_rec_packet_socket {
	__u16 protocol; /* in network byte order, as socket(2) takes it */
	__s32 ifindex;	/* 0: all; negative: of a device that is gone */
	__u8 running;	/* it receives: the device is up */
	__u32 version, reserve, timestamp;
	__s32 copy_thresh;
	__u8 aux_data, orig_dev, loss, tx_has_off, qdisc_bypass, ignore_outgoing;
	__u8 vnet_hdr_size; /* 0: off */
	__u8 has_rings;
	__u8 has_fanout;
	__u16 fanout_id;
	__u8 fanout_type, fanout_flags;
	struct ovm_rec_packet_membership __host *memberships;
};

struct ovm_rec_socket {
	__u64 sk;  /* identity of the struct sock */
	__u64 net; /* identity of its network namespace */
	__u16 family, type, protocol;
	__u8 state;    /* TCP_*, also for other families */
	__u8 shutdown; /* 1: of receiving, 2: of sending */
	__s32 err;     /* a pending error, which the next call would return */
	__u32 max_backlog;
	__u32 unread; /* bytes of memory in the queues of others that it has sent to */
	struct ovm_rec_sock_opts opts;
	/* Content of the receive queue, for those families that are read. */
	struct ovm_rec_packet __host *packets;
	__u32 nr_waiting; /* packets in it */
	/* What is behind the families that have it, else NULL. */
	struct ovm_rec_unix __host *unix_socket;
	struct ovm_rec_inet __host *inet;
	struct ovm_rec_netlink __host *netlink;
	struct ovm_rec_packet_socket __host *packet_socket;
};

#endif /* OVM_VMI_EXTRACT_RECORD_SOCKET_H */
