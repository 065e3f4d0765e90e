// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sockets of IPv4 and IPv6 that can't be represented, and what of them differs after a restore.
 */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>

#include "check.h"
#include "inet_socket.h"

enum {
	TEXT_MAX = 256,
	ADDRESS_MAX = INET6_ADDRSTRLEN + sizeof("[]:65535"),
};

struct place {
	struct ovm_image_report *report;
	const struct ovm_image_process *process;
	const struct ovm_rec_file *file;
	const struct ovm_rec_socket *rec;
	int32_t fd;
};

static const char *protocol_name(const struct ovm_rec_socket *rec)
{
	if (rec->type == OVM_IMAGE_SOCK_RAW)
		return "raw";
	switch (rec->protocol) {
	case OVM_IMAGE_IPPROTO_TCP:
		return "TCP";
	case OVM_IMAGE_IPPROTO_UDP:
		return "UDP";
	case OVM_IMAGE_IPPROTO_UDPLITE:
		return "UDP-Lite";
	default:
		return "Internet";
	}
}

static const char *show_address(const struct ovm_rec_socket *rec, const uint8_t *address,
				uint16_t port, char out[ADDRESS_MAX])
{
	bool is_v6 = rec->family == OVM_IMAGE_AF_INET6;
	char text[INET6_ADDRSTRLEN];

	if (!inet_ntop(is_v6 ? AF_INET6 : AF_INET, address, text, sizeof(text)))
		text[0] = '\0';
	snprintf(out, ADDRESS_MAX, is_v6 ? "[%s]:%u" : "%s:%u", text, port);
	return out;
}

/* "fd 5: TCP socket (inode 77, 10.0.0.1:80)" */
static void begin_line(const struct place *at, char out[TEXT_MAX])
{
	char name[ADDRESS_MAX];

	snprintf(out, TEXT_MAX, "fd %d: %s socket (inode %llu, %s)", at->fd, protocol_name(at->rec),
		 (unsigned long long)at->file->ino,
		 show_address(at->rec, at->rec->inet->src, at->rec->inet->src_port, name));
}

__attribute__((format(printf, 2, 3))) static void reason(const struct place *at, const char *format,
							 ...)
{
	char begin[TEXT_MAX], text[TEXT_MAX];
	va_list args;

	begin_line(at, begin);
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	ovm_image_reason(at->report, "%s %s", begin, text);
}

__attribute__((format(printf, 2, 3))) static void warn(const struct place *at, const char *format,
						       ...)
{
	char begin[TEXT_MAX], text[TEXT_MAX];
	va_list args;

	begin_line(at, begin);
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	ovm_image_warn(at->report, "%s %s", begin, text);
}

/* ---- what all have ----------------------------------------------------------------------------
 */

static bool is_known_protocol(const struct ovm_rec_socket *rec)
{
	switch (rec->type) {
	case OVM_IMAGE_SOCK_RAW:
		return true;
	case OVM_IMAGE_SOCK_STREAM:
		return rec->protocol == OVM_IMAGE_IPPROTO_TCP && rec->inet->tcp;
	case OVM_IMAGE_SOCK_DGRAM:
		return rec->protocol == OVM_IMAGE_IPPROTO_UDP ||
		       rec->protocol == OVM_IMAGE_IPPROTO_UDPLITE;
	default:
		return false;
	}
}

static void check_identity(const struct place *at)
{
	const struct ovm_rec_socket *rec = at->rec;

	if (rec->net != at->process->rec->ns.net)
		reason(at, "is in another network namespace");
	if (!at->file->ino || at->file->ino > UINT32_MAX)
		reason(at, "has an impossible inode number");
	if (rec->shutdown > OVM_IMAGE_SHUTDOWN_BOTH)
		reason(at, "is shut down in an unknown way");
	if (rec->opts.rcvlowat < 0)
		reason(at, "has options out of range");
}

static void check_options(const struct place *at)
{
	const struct ovm_rec_sock_opts *opts = &at->rec->opts;

	if (opts->bound_dev && !at->rec->inet->device[0])
		reason(at, "is bound to a network device that is gone");
	if (opts->has_filter && !opts->filter.len)
		reason(at, "has a filter that is not of classic BPF");
	if (at->rec->inet->chooses)
		reason(at, "has a program that chooses among sockets (SO_ATTACH_REUSEPORT_CBPF)");
	if (ovm_image_is_link_local(at->rec) && at->rec->inet->src_port &&
	    !at->rec->inet->device[0])
		reason(at, "has a link-local address without a device");
	if (opts->peek_off >= 0)
		warn(at, "has SO_PEEK_OFF, which CRIU does not restore");
	if (at->rec->err)
		warn(at, "has a pending error, which CRIU does not restore");
}

static const struct {
	uint32_t option;
	const char *name;
} lost_options[] = {
	{OVM_REC_LOST_TOS, "IP_TOS"},
	{OVM_REC_LOST_TTL, "IP_TTL"},
	{OVM_REC_LOST_TRANSPARENT, "IP_TRANSPARENT"},
	{OVM_REC_LOST_RECVERR, "IP_RECVERR"},
	{OVM_REC_LOST_CMSG, "options such as IP_PKTINFO"},
	{OVM_REC_LOST_MULTICAST, "memberships in multicast groups"},
	{OVM_REC_LOST_USER_TIMEOUT, "TCP_USER_TIMEOUT"},
	{OVM_REC_LOST_DEFER_ACCEPT, "TCP_DEFER_ACCEPT"},
	{OVM_REC_LOST_FASTOPEN, "TCP_FASTOPEN"},
	{OVM_REC_LOST_MAXSEG, "TCP_MAXSEG"},
	{OVM_REC_LOST_LINGER2, "TCP_LINGER2"},
	{OVM_REC_LOST_NOTSENT_LOWAT, "TCP_NOTSENT_LOWAT"},
	{OVM_REC_LOST_CONGESTION, "TCP_CONGESTION"},
};

static void warn_lost(const struct place *at)
{
	char text[TEXT_MAX] = "";
	size_t len = 0;

	for (size_t i = 0; i < sizeof(lost_options) / sizeof(lost_options[0]); i++)
		if (at->rec->inet->lost & lost_options[i].option && len < sizeof(text))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
						len ? ", " : "", lost_options[i].name);
	if (len)
		warn(at, "has %s, which CRIU does not restore", text);
}

/* ---- TCP --------------------------------------------------------------------------------------
 */

static bool has_received_fin(unsigned int state)
{
	return state == OVM_IMAGE_TCP_CLOSE_WAIT || state == OVM_IMAGE_TCP_LAST_ACK ||
	       state == OVM_IMAGE_TCP_CLOSING || state == OVM_IMAGE_TCP_CLOSE;
}

/* States in which a FIN is yet to be acknowledged. */
static bool has_fin_queued(unsigned int state)
{
	return state == OVM_IMAGE_TCP_FIN_WAIT1 || state == OVM_IMAGE_TCP_LAST_ACK ||
	       state == OVM_IMAGE_TCP_CLOSING;
}

static bool is_consistent(const struct ovm_rec_socket *rec)
{
	const struct ovm_rec_tcp *tcp = rec->inet->tcp;
	uint32_t in = tcp->rcv_nxt - tcp->copied_seq, out = tcp->write_seq - tcp->snd_una;

	if (in != tcp->in_len && (in != tcp->in_len + 1 || !has_received_fin(rec->state)))
		return false;
	if (rec->state == OVM_IMAGE_TCP_CLOSE)
		return true;
	return tcp->fin_queued == has_fin_queued(rec->state) &&
	       out == tcp->out_len + tcp->fin_queued && tcp->write_seq - tcp->snd_nxt <= out;
}

/* What restore is refused by the kernel for (tcp_repair_set_window(), net/ipv4/tcp.c). */
static bool has_possible_window(const struct ovm_rec_tcp *tcp)
{
	return tcp->max_window >= tcp->snd_wnd &&
	       (int32_t)(tcp->snd_wl1 - (tcp->rcv_nxt + tcp->rcv_wnd)) <= 0 &&
	       (int32_t)(tcp->rcv_wup - tcp->rcv_nxt) <= 0;
}

static void check_stream(const struct place *at)
{
	const struct ovm_rec_tcp *tcp = at->rec->inet->tcp;

	if (!is_consistent(at->rec))
		reason(at, "has queues and sequence numbers that contradict each other");
	if (!has_possible_window(tcp))
		reason(at, "has a window that can't be set again");
	if (ovm_image_is_link_local(at->rec))
		reason(at, "is connected by link-local addresses, which CRIU does not restore");
	if (tcp->urgent)
		reason(at, "has received urgent data (MSG_OOB), which CRIU does not restore");
	if (tcp->opening)
		reason(at, "is being opened (TCP Fast Open): try again");
	if (tcp->repair)
		reason(at, "is in repair mode (TCP_REPAIR)");
	if (tcp->ecn)
		warn(at, "has negotiated ECN, which CRIU does not restore");
	if (tcp->usec_timestamps)
		warn(at, "has timestamps in microseconds: only Linux 6.7 and newer goes on with "
			 "them");
}

static void check_connection(const struct place *at)
{
	char peer[ADDRESS_MAX];

	show_address(at->rec, at->rec->inet->dst, at->rec->inet->dst_port, peer);
	switch (at->rec->state) {
	case OVM_IMAGE_TCP_ESTABLISHED:
	case OVM_IMAGE_TCP_FIN_WAIT1:
	case OVM_IMAGE_TCP_FIN_WAIT2:
	case OVM_IMAGE_TCP_CLOSE_WAIT:
	case OVM_IMAGE_TCP_LAST_ACK:
	case OVM_IMAGE_TCP_CLOSING:
		if (!at->report->set->tcp_established)
			reason(at, "is connected to %s: saved only with --tcp-established", peer);
		break;
	case OVM_IMAGE_TCP_CLOSE:
		if (!at->report->set->tcp_established)
			reason(at,
			       "was connected to %s, which has ended: saved only with "
			       "--tcp-established",
			       peer);
		break;
	default:
		reason(at, "is just being connected to %s: try again", peer);
		return;
	}
	check_stream(at);
}

static void check_tcp(const struct place *at)
{
	const struct ovm_rec_tcp *tcp = at->rec->inet->tcp;

	if (tcp->layered)
		reason(at, "has a protocol of its own above TCP (TCP_ULP), such as kernel TLS");
	if (tcp->authenticated)
		reason(at, "has keys to sign packets with (TCP_MD5SIG)");
	if (tcp->multipath)
		reason(at, "is part of a Multipath TCP connection");
	if (tcp->nr_connections)
		reason(at,
		       "listens, and %u connections wait to be accepted: try again when they "
		       "are",
		       tcp->nr_connections);
	if (ovm_image_has_tcp_stream(at->rec))
		check_connection(at);
	else if (at->rec->state != OVM_IMAGE_TCP_LISTEN && at->rec->state != OVM_IMAGE_TCP_CLOSE)
		reason(at, "is in an unknown state");
}

/* ---- the others -------------------------------------------------------------------------------
 */

static bool has_peer(const struct ovm_rec_socket *rec)
{
	for (size_t i = 0; i < sizeof(rec->inet->dst); i++)
		if (rec->inet->dst[i])
			return true;
	return false;
}

static void check_messages(const struct place *at)
{
	const struct ovm_rec_inet *inet = at->rec->inet;

	if (at->rec->state != OVM_IMAGE_TCP_ESTABLISHED && at->rec->state != OVM_IMAGE_TCP_CLOSE)
		reason(at, "is in an unknown state");
	if (inet->corked)
		reason(at, "holds a message back (UDP_CORK)");
	if (inet->encapsulates)
		reason(at, "unwraps packets (UDP_ENCAP), which CRIU does not restore");
	if (at->rec->state == OVM_IMAGE_TCP_ESTABLISHED && has_peer(at->rec) && !inet->dst_port)
		reason(at, "is connected to port 0, which CRIU does not restore");
	if (inet->nr_waiting)
		warn(at, "has %u messages that were not read yet: they are lost, as any may be",
		     inet->nr_waiting);
}

void ovm_image_check_inet_socket(struct ovm_image_report *report, const struct ovm_image_process *p,
				 const struct ovm_rec_fd *fd)
{
	const struct place at = {report, p, fd->file, fd->file->socket, fd->fd};

	if (!is_known_protocol(at.rec)) {
		reason(&at, "is of type %u and protocol %u, which CRIU does not save", at.rec->type,
		       at.rec->protocol);
		return;
	}
	check_identity(&at);
	check_options(&at);
	warn_lost(&at);
	if (ovm_image_has_tcp_stream(at.rec) && !fd->file->nr_fds)
		reason(&at, "is on its way in a message: have it taken");
	if (at.rec->inet->tcp)
		check_tcp(&at);
	else
		check_messages(&at);
}
