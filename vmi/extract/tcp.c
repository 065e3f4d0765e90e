// SPDX-License-Identifier: GPL-2.0-only
/*
 * TCP: options, sequence numbers, and what is on its way in both directions.
 *
 * Received data, from copied_seq to rcv_nxt, is in sk_receive_queue; what came out of order is not
 * acknowledged for good, and will be sent again. Data to be sent, from snd_una to write_seq, begins
 * in tcp_rtx_queue, a red-black tree by sequence number of what was sent, and goes on in
 * sk_write_queue. A FIN takes one number at the end, and no byte.
 */
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <net/inet_connection_sock.h>
#include <net/net_namespace.h>
#include <net/tcp.h>

#include "extract.h"
#include "rbtree.h"

enum {
	MAX_PACKETS = 1 << 20,
	/* net/tcp.h, linux/tcp.h */
	NAGLE_OFF = 1,
	NAGLE_CORK = 2,
	ECN_OK = 1,
	FLAG_FIN = 1,
	URG_READ = 0x0400,
};

/* "tcp: add optional usec resolution to TCP TS" (614e8316aa4c, v6.7). */
struct tcp_sock___usec {
	unsigned int tcp_usec_ts;
};

struct tcp_sock___wide {
	unsigned int nonagle;
	unsigned int repair;
	unsigned int urg_data;
	unsigned int ecn_flags;
	unsigned int keepalive_probes;
	unsigned int keepalive_time;
	unsigned int keepalive_intvl;
	int linger2;
	unsigned int notsent_lowat;
	unsigned int syn_data_acked;
};

struct tcp_options_received___wide {
	unsigned int tstamp_ok;
	unsigned int wscale_ok;
	unsigned int sack_ok;
	unsigned int snd_wscale;
	unsigned int rcv_wscale;
	unsigned int user_mss;
	unsigned int mss_clamp;
};

struct netns_ipv4___wide {
	int sysctl_tcp_keepalive_time;
	int sysctl_tcp_keepalive_intvl;
	unsigned int sysctl_tcp_keepalive_probes;
	const struct tcp_congestion_ops *tcp_congestion_control;
};

struct tcp_sock___md5 {
	void *md5sig_info;
};

struct tcp_sock___ao {
	void *ao_info;
};

struct tcp_sock___mptcp {
	bool is_mptcp;
};

struct tcp_skb_cb___wide {
	__u32 seq;
	__u32 end_seq;
	unsigned int tcp_flags;
};

/* Where the queues of a connection have been read to. */
struct stream {
	struct ovm_rec_packet __host *__host *link;
	__u32 at;
	/* A FIN was met. */
	__u8 ended;
	__u64 nr;
};

static const struct tcp_skb_cb___wide *cb_of(const struct sk_buff *skb)
{
	return (const struct tcp_skb_cb___wide *)((u64)skb + llv_offsetof(struct sk_buff, cb));
}

/* What of a packet was not read, or not acknowledged, before. */
static void take(struct stream __host *stream, const struct sk_buff *skb)
{
	u32 skip = stream->at - cb_of(skb)->seq, len = skb->len;

	if (++stream->nr > MAX_PACKETS)
		llv_fail(LLV_CORRUPT, skb, "queue of a connection does not end");
	if (stream->ended || (s32)skip < 0)
		llv_fail(LLV_CORRUPT, skb, "queue of a connection has a gap");
	if (cb_of(skb)->tcp_flags & FLAG_FIN)
		stream->ended = 1;
	if (skip >= len)
		return;
	struct ovm_rec_packet __host *packet = ovm_packet(skb, skip);

	stream->at += len - skip;
	*stream->link = packet;
	stream->link = &packet->next;
}

static void take_list(struct stream __host *stream, const struct sk_buff_head *queue)
{
	const struct sk_buff *skb = NULL;
	__u64 nr = 0;

	while ((skb = ovm_next_packet(queue, skb, nr++)))
		take(stream, skb);
}

static void take_tree(struct stream __host *stream, const struct rb_root *root)
{
	struct rb_node *node = ovm_rb_first(root);

	for (; node; node = ovm_rb_next(node))
		take(stream, rb_entry(node, const struct sk_buff, rbnode));
}

static void queues(const struct sock *sk, struct ovm_rec_socket __host *rec,
		   struct ovm_rec_tcp __host *tcp)
{
	struct stream __host *in = llv_new(struct stream);
	struct stream __host *out = llv_new(struct stream);

	in->link = &rec->packets;
	in->at = tcp->copied_seq;
	take_list(in, &sk->sk_receive_queue);
	tcp->in_len = in->at - tcp->copied_seq;
	out->link = &tcp->sent;
	out->at = tcp->snd_una;
	take_tree(out, &sk->tcp_rtx_queue);
	take_list(out, &sk->sk_write_queue);
	tcp->out_len = out->at - tcp->snd_una;
	tcp->fin_queued = out->ended;
}

static void sequences(const struct sock *sk, struct ovm_rec_tcp __host *tcp)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;

	tcp->copied_seq = tp->copied_seq;
	tcp->rcv_nxt = tp->rcv_nxt;
	tcp->snd_una = tp->snd_una;
	tcp->snd_nxt = tp->snd_nxt;
	tcp->write_seq = tp->write_seq;
	tcp->snd_wl1 = tp->snd_wl1;
	tcp->snd_wnd = tp->snd_wnd;
	tcp->max_window = tp->max_window;
	tcp->rcv_wnd = tp->rcv_wnd;
	tcp->rcv_wup = tp->rcv_wup;
	tcp->tsoffset = tp->tsoffset;
	if (llv_field_exists(struct tcp_sock___usec, tcp_usec_ts))
		tcp->usec_timestamps = ((const struct tcp_sock___usec *)tp)->tcp_usec_ts;
}

static void negotiated(const struct sock *sk, struct ovm_rec_tcp __host *tcp)
{
	const struct tcp_options_received___wide *opt =
		(const struct tcp_options_received___wide *)&((const struct tcp_sock *)sk)->rx_opt;

	tcp->timestamps = opt->tstamp_ok;
	tcp->sack = opt->sack_ok != 0;
	tcp->window_scaling = opt->wscale_ok;
	tcp->snd_wscale = opt->snd_wscale;
	tcp->rcv_wscale = opt->rcv_wscale;
	tcp->mss_clamp = opt->mss_clamp;
	tcp->ecn = ((const struct tcp_sock___wide *)sk)->ecn_flags & ECN_OK;
	tcp->syn_data = ((const struct tcp_sock___wide *)sk)->syn_data_acked;
}

static void keepalive(const struct sock *sk, struct ovm_rec_tcp __host *tcp)
{
	const struct tcp_sock___wide *tp = (const struct tcp_sock___wide *)sk;
	const struct netns_ipv4___wide *net =
		(const struct netns_ipv4___wide *)&sk->__sk_common.skc_net.net->ipv4;
	u64 hz = ovm_ticks_per_second();

	tcp->keepidle = (tp->keepalive_time ?: (u32)net->sysctl_tcp_keepalive_time) / hz;
	tcp->keepintvl = (tp->keepalive_intvl ?: (u32)net->sysctl_tcp_keepalive_intvl) / hz;
	tcp->keepcnt = tp->keepalive_probes ?: net->sysctl_tcp_keepalive_probes;
}

#define LOST(rec, what, is_set) ((rec)->lost |= (is_set) ? (u32)(what) : 0)

/* Options that images have no place for. */
static void lost(const struct sock *sk, struct ovm_rec_inet __host *rec)
{
	const struct inet_connection_sock *icsk = (const struct inet_connection_sock *)sk;
	const struct tcp_sock___wide *tp = (const struct tcp_sock___wide *)sk;
	const struct tcp_options_received___wide *opt =
		(const struct tcp_options_received___wide *)&((const struct tcp_sock *)sk)->rx_opt;
	const struct netns_ipv4___wide *net =
		(const struct netns_ipv4___wide *)&sk->__sk_common.skc_net.net->ipv4;

	LOST(rec, OVM_REC_LOST_USER_TIMEOUT, icsk->icsk_user_timeout);
	LOST(rec, OVM_REC_LOST_DEFER_ACCEPT, icsk->icsk_accept_queue.rskq_defer_accept);
	LOST(rec, OVM_REC_LOST_FASTOPEN, icsk->icsk_accept_queue.fastopenq.max_qlen);
	LOST(rec, OVM_REC_LOST_MAXSEG, opt->user_mss);
	LOST(rec, OVM_REC_LOST_LINGER2, tp->linger2);
	LOST(rec, OVM_REC_LOST_NOTSENT_LOWAT, tp->notsent_lowat);
	LOST(rec, OVM_REC_LOST_CONGESTION, icsk->icsk_ca_ops != net->tcp_congestion_control);
}

/* What can't be taken apart from the connection that it is on. */
static void extensions(const struct sock *sk, struct ovm_rec_tcp __host *tcp)
{
	const struct inet_connection_sock *icsk = (const struct inet_connection_sock *)sk;
	const struct tcp_sock___wide *tp = (const struct tcp_sock___wide *)sk;

	tcp->layered = icsk->icsk_ulp_ops != NULL;
	tcp->urgent = tp->urg_data & ~URG_READ;
	tcp->opening = ((const struct tcp_sock *)sk)->fastopen_rsk ||
		       ((const struct tcp_sock *)sk)->fastopen_req;
	if (llv_field_exists(struct tcp_sock___md5, md5sig_info))
		tcp->authenticated |= ((const struct tcp_sock___md5 *)sk)->md5sig_info != NULL;
	if (llv_field_exists(struct tcp_sock___ao, ao_info))
		tcp->authenticated |= ((const struct tcp_sock___ao *)sk)->ao_info != NULL;
	if (llv_field_exists(struct tcp_sock___mptcp, is_mptcp))
		tcp->multipath = ((const struct tcp_sock___mptcp *)sk)->is_mptcp;
	tcp->repair = tp->repair;
}

LLV_SHARED void ovm_tcp_socket(const struct sock *sk, struct ovm_rec_socket __host *rec)
{
	struct ovm_rec_tcp __host *tcp = llv_new(struct ovm_rec_tcp);
	const struct tcp_sock___wide *tp = (const struct tcp_sock___wide *)sk;

	rec->inet->tcp = tcp;
	tcp->nodelay = (tp->nonagle & NAGLE_OFF) != 0;
	tcp->cork = (tp->nonagle & NAGLE_CORK) != 0;
	keepalive(sk, tcp);
	extensions(sk, tcp);
	lost(sk, rec->inet);
	if (rec->state == TCP_LISTEN) {
		tcp->nr_connections = sk->sk_ack_backlog;
		return;
	}
	if (!rec->inet->dst_port)
		return;
	sequences(sk, tcp);
	negotiated(sk, tcp);
	queues(sk, rec, tcp);
}
