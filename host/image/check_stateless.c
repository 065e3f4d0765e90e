// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sockets that lead to the kernel or a network device: what of them can't be represented, and what
 * differs after a restore.
 */
#include <stdio.h>

#include "check.h"
#include "files.h"

enum { SOCK_DGRAM_ = 2, NETLINK_CONNECTED = 1 };

/* Options of netlink sockets, by the kernel's NETLINK_F_* number. */
static const char *const netlink_options[] = {
	[1] = "NETLINK_PKTINFO",	[2] = "NETLINK_BROADCAST_ERROR",
	[3] = "NETLINK_NO_ENOBUFS",	[4] = "NETLINK_LISTEN_ALL_NSID",
	[5] = "NETLINK_CAP_ACK",	[6] = "NETLINK_EXT_ACK",
	[7] = "NETLINK_GET_STRICT_CHK",
};

enum { NR_NETLINK_OPTIONS = sizeof(netlink_options) / sizeof(netlink_options[0]) };

/* A line about one socket; all have the beginning in common. */
struct place {
	struct ovm_image_report *report;
	const struct ovm_rec_file *file;
	const char *kind;
	int32_t fd;
};

static void reason(const struct place *at, const char *text)
{
	ovm_image_reason(at->report, "fd %d: %s socket (inode %llu, protocol %u) %s", at->fd,
			 at->kind, (unsigned long long)at->file->ino,
			 (unsigned int)at->file->socket->protocol, text);
}

static void warn(const struct place *at, const char *text)
{
	ovm_image_warn(at->report, "fd %d: %s socket (inode %llu) %s", at->fd, at->kind,
		       (unsigned long long)at->file->ino, text);
}

static void warn_option(const struct place *at, const char *name)
{
	char text[96];

	snprintf(text, sizeof(text), "has %s, which CRIU does not restore", name);
	warn(at, text);
}

static void check_options(const struct place *at)
{
	const struct ovm_rec_sock_opts *opts = &at->file->socket->opts;

	if (opts->bound_dev)
		reason(at, "is bound to a network device (SO_BINDTODEVICE)");
	if (opts->has_filter && !opts->filter.len)
		reason(at, "has a filter that is not of classic BPF");
	if (opts->rcvlowat < 0)
		reason(at, "has options out of range");
	if (at->file->socket->err)
		warn(at, "has a pending error, which CRIU does not restore");
}

static void check_netlink(const struct place *at)
{
	const struct ovm_rec_socket *socket = at->file->socket;
	const struct ovm_rec_netlink *rec = socket->netlink;
	const char *problem = ovm_image_netlink_problem(socket);

	if (problem)
		reason(at, problem);
	for (unsigned int i = 0; i < NR_NETLINK_OPTIONS; i++)
		if (netlink_options[i] && rec->flags >> i & 1)
			warn_option(at, netlink_options[i]);
	if (socket->type == SOCK_DGRAM_)
		warn(at, "is of type SOCK_DGRAM: restored, it says SOCK_RAW");
	if (socket->state == NETLINK_CONNECTED && !rec->dst_group)
		warn(at, "is connected: restored, what it sends goes to group 32 as well");
}

static void check_packet(const struct place *at)
{
	const struct ovm_rec_socket *socket = at->file->socket;
	const struct ovm_rec_packet_socket *rec = socket->packet_socket;
	const char *problem = ovm_image_packet_socket_problem(socket);

	if (problem)
		reason(at, problem);
	if (rec->tx_has_off)
		warn_option(at, "PACKET_TX_HAS_OFF");
	if (rec->qdisc_bypass)
		warn_option(at, "PACKET_QDISC_BYPASS");
	if (rec->ignore_outgoing)
		warn_option(at, "PACKET_IGNORE_OUTGOING");
	if (socket->nr_waiting)
		warn(at, "holds packets that were not read, which CRIU does not restore");
}

void ovm_image_check_stateless_socket(struct ovm_image_report *report,
				      const struct ovm_image_process *p,
				      const struct ovm_rec_fd *fd)
{
	const struct ovm_rec_socket *socket = fd->file->socket;
	const struct place at = {report, fd->file, socket->netlink ? "netlink" : "packet", fd->fd};

	if (socket->net != p->rec->ns.net)
		reason(&at, "is in another network namespace");
	check_options(&at);
	if (socket->netlink)
		check_netlink(&at);
	else
		check_packet(&at);
}
