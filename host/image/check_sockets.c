// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sockets that can't be represented, and what of them differs after a restore.
 */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "external.h"
#include "socket_table.h"

enum {
	AF_UNIX_ = 1,
	/* CRIU takes names of at most this many bytes, the NUL of a path included. */
	NAME_MAX_LEN = 108,
	FAMILY_TEXT = 32,
	/* The length of an entry in sk-queues.img has 32 bits, and is taken for an int. */
	PACKET_MAX = INT32_MAX,
};

static const char *const families[] = {
	[1] = "Unix",	 [2] = "IPv4",		 [10] = "IPv6",	 [16] = "netlink",
	[17] = "packet", [38] = "kernel crypto", [40] = "vsock", [44] = "XDP",
};

static const char *family_name(unsigned int family, char text[FAMILY_TEXT])
{
	if (family < sizeof(families) / sizeof(families[0]) && families[family])
		return families[family];
	snprintf(text, FAMILY_TEXT, "family %u", family);
	return text;
}

/* A socket's name as it is commonly shown: abstract ones begin with "@". */
static const char *show_name(const struct ovm_rec_bytes *name, char out[OVM_IMAGE_QUOTED_MAX])
{
	uint8_t shown[NAME_MAX_LEN + 1];
	uint64_t len = name->len < sizeof(shown) ? name->len : sizeof(shown);

	if (!len)
		return "without a name";
	memcpy(shown, name->data, len);
	if (!shown[0])
		shown[0] = '@';
	else if (!shown[len - 1])
		len--;
	return ovm_image_quote(shown, len, out);
}

/* A line about one socket; the reasons have all of it in common. */
struct place {
	struct ovm_image_report *report;
	const struct ovm_image_process *process;
	const struct ovm_image_socket_table *table;
	const struct ovm_image_socket *socket;
	int32_t fd;
};

static void reason(const struct place *at, const char *text)
{
	const struct ovm_rec_socket *rec = at->socket->rec;
	char name[OVM_IMAGE_QUOTED_MAX];

	ovm_image_reason(at->report, "fd %d: Unix socket (inode %llu, %s) %s", at->fd,
			 (unsigned long long)at->socket->file->ino,
			 show_name(&rec->unix_socket->name, name), text);
}

static void warn(const struct place *at, const char *text)
{
	ovm_image_warn(at->report, "fd %d: Unix socket (inode %llu) %s", at->fd,
		       (unsigned long long)at->socket->file->ino, text);
}

static bool is_path(const struct ovm_rec_bytes *name)
{
	return name->len && name->data[0];
}

static bool is_connection(const struct ovm_rec_socket *rec)
{
	return rec->type != OVM_IMAGE_SOCK_DGRAM && rec->state == OVM_IMAGE_TCP_ESTABLISHED;
}

static const char *kind_problem(const struct place *at)
{
	const struct ovm_rec_socket *rec = at->socket->rec;

	if (rec->type != OVM_IMAGE_SOCK_STREAM && rec->type != OVM_IMAGE_SOCK_DGRAM &&
	    rec->type != OVM_IMAGE_SOCK_SEQPACKET)
		return "is of an unknown type";
	if (rec->state != OVM_IMAGE_TCP_ESTABLISHED && rec->state != OVM_IMAGE_TCP_CLOSE &&
	    rec->state != OVM_IMAGE_TCP_LISTEN)
		return "is in an unknown state";
	if (rec->shutdown > OVM_IMAGE_SHUTDOWN_BOTH)
		return "is shut down in an unknown way";
	if (rec->net != at->process->rec->ns.net)
		return "is in another network namespace";
	if (ovm_image_socket_find(at->table, rec->sk)->file != at->socket->file)
		return "is also there as another file";
	if (!at->socket->file->ino || at->socket->file->ino > UINT32_MAX ||
	    ovm_image_socket_count_ino(at->table, at->socket->file->ino) != 1)
		return "has the inode number of another socket";
	return NULL;
}

/* What begins behind the last slash. */
static struct ovm_rec_bytes last_component(const uint8_t *path, uint64_t len)
{
	uint64_t start = len;

	while (start && path[start - 1] != '/')
		start--;
	return (struct ovm_rec_bytes){(uint8_t *)path + start, len - start};
}

static bool ends_alike(const struct ovm_rec_bytes *path, const uint8_t *name, uint64_t len)
{
	struct ovm_rec_bytes a = last_component(path->data, path->len);
	struct ovm_rec_bytes b = last_component(name, len);

	return a.len == b.len && !memcmp(a.data, b.data, a.len);
}

static bool root_is_elsewhere(const struct place *at)
{
	const struct ovm_rec_file *root = at->process->rec->fs.root;

	return !root || root->path.len != 1;
}

/* CRIU binds to the name again, in the root directory that it has itself. */
static const char *path_problem(const struct place *at)
{
	const struct ovm_rec_bytes *name = &at->socket->rec->unix_socket->name;
	const struct ovm_rec_file *bound = at->socket->rec->unix_socket->bound;
	uint64_t len = strnlen((const char *)name->data, name->len);

	if (!bound)
		return "has a name that is nowhere in the file system";
	if (!bound->path.len || len != name->len - 1)
		return "has a name that can't be used again";
	/* A name that nobody binds to again. */
	if (is_connection(at->socket->rec))
		return NULL;
	if (!bound->reachable)
		return "has its name on a mount that the process can't reach";
	if (!ends_alike(&bound->path, name->data, len))
		return "was renamed after it got its name";
	if (name->data[0] != '/')
		return ovm_image_socket_directory(at->socket->rec->unix_socket)
			       ? NULL
			       : "has a relative name that can't be used again";
	if (root_is_elsewhere(at) &&
	    (bound->path.len != len || memcmp(bound->path.data, name->data, len)))
		return "has a name below another root directory";
	return NULL;
}

static const char *name_problem(const struct place *at)
{
	const struct ovm_rec_bytes *name = &at->socket->rec->unix_socket->name;

	if (name->len > NAME_MAX_LEN)
		return "has a name that is too long for CRIU";
	return is_path(name) ? path_problem(at) : NULL;
}

static void other_process(const struct place *at)
{
	const struct ovm_rec_unix *rec = at->socket->rec->unix_socket;
	char text[OVM_IMAGE_QUOTED_MAX + 160], name[OVM_IMAGE_QUOTED_MAX];

	snprintf(text, sizeof(text),
		 "is connected to a socket (inode %llu, %s) that another process has: --external "
		 "unix[%llu] leaves that to the restore",
		 (unsigned long long)rec->peer_ino, show_name(&rec->peer_name, name),
		 (unsigned long long)at->socket->file->ino);
	reason(at, text);
}

/* The caller answers for what is outside. */
static void check_external(const struct place *at)
{
	const struct ovm_rec_socket *rec = at->socket->rec;
	const struct ovm_rec_bytes *name = &rec->unix_socket->peer_name;
	char text[OVM_IMAGE_QUOTED_MAX + 160], shown[OVM_IMAGE_QUOTED_MAX];

	if (rec->unix_socket->peer_ino > UINT32_MAX ||
	    ovm_image_socket_count_ino(at->table, rec->unix_socket->peer_ino))
		reason(at, "is connected to one that has the inode number of another socket");
	if (name->len > NAME_MAX_LEN || (is_path(name) && name->data[0] != '/'))
		reason(at, "is connected to one with a name that CRIU can't use again");
	if (rec->type != OVM_IMAGE_SOCK_DGRAM && rec->packets)
		reason(at, "holds data that came from a process which is not saved");
	if (!name->len)
		snprintf(text, sizeof(text),
			 "is connected to one outside, without a name: criu restore needs "
			 "--inherit-fd fd[N]:socket:[%llu]",
			 (unsigned long long)at->socket->file->ino);
	else
		snprintf(
			text, sizeof(text),
			"is connected to one outside (%s): restored, to whoever has that name then "
			"(criu restore --ext-unix-sk)",
			show_name(name, shown));
	warn(at, text);
}

/* How restore finds the other end: as one of a pair, by its name, or not at all. */
static void check_peer(const struct place *at)
{
	const struct ovm_image_socket *socket = at->socket, *peer = socket->peer;
	const struct ovm_rec_socket *rec = socket->rec;

	if (socket->in_circle)
		reason(at, "is connected to itself by way of others, which CRIU can't restore");
	else if (ovm_image_leads_to_external(socket))
		check_external(at);
	else if (!peer && rec->unix_socket->peer_ino)
		other_process(at);
	else if (!peer && is_connection(rec) && rec->shutdown != OVM_IMAGE_SHUTDOWN_BOTH)
		reason(at, "waits to be accepted by another process");
	else if (peer && peer->rec->type != rec->type)
		reason(at, "is connected to a socket of another type");
	else if (peer && !socket->mutual && !peer->rec->unix_socket->name.len)
		reason(at, "is connected to one that has no name and is not connected to it");
	else if (peer && !socket->mutual && !socket->waiting && is_connection(rec))
		reason(at, "is connected to one that is not connected to it");
	else if (!peer && rec->type == OVM_IMAGE_SOCK_DGRAM && rec->unix_socket->peer)
		warn(at, "is connected to one that is closed: it is not connected after a restore");
}

/* Connections that wait to be accepted are made anew by those who made them. */
static void check_connections(const struct place *at)
{
	const struct ovm_rec_connection *c = at->socket->rec->unix_socket->connections;
	char text[128];

	for (; c; c = c->next) {
		const struct ovm_image_socket *client = ovm_image_socket_find(at->table, c->client);

		if (!c->client_ino) {
			reason(at, "has a connection waiting that its maker has closed");
		} else if (!client || client->peer != at->socket) {
			snprintf(text, sizeof(text),
				 "has a connection waiting from a socket (inode %llu) that another "
				 "process has",
				 (unsigned long long)c->client_ino);
			reason(at, text);
		} else if (c->nr_packets) {
			snprintf(text, sizeof(text),
				 "has a connection waiting (fd %d) on which data was sent already",
				 client->fd);
			reason(at, text);
		}
	}
}

static void check_options(const struct place *at)
{
	const struct ovm_rec_sock_opts *opts = &at->socket->rec->opts;

	if (opts->bound_dev)
		reason(at, "is bound to a network device");
	if (opts->has_filter && !opts->filter.len)
		reason(at, "has a filter that is not of classic BPF");
	if (opts->rcvlowat < 0)
		reason(at, "has options out of range");
	if (opts->peek_off >= 0)
		warn(at, "has SO_PEEK_OFF, which CRIU does not restore");
	if (opts->passpidfd)
		warn(at, "has SO_PASSPIDFD, which CRIU does not restore");
}

static void check_passed(const struct place *at)
{
	char text[192];

	if (!at->socket->passed_problem)
		return;
	snprintf(text, sizeof(text), "holds files on their way (SCM_RIGHTS), %s",
		 at->socket->passed_problem);
	reason(at, text);
}

/* All that waits is sent again by the first that is connected. */
static bool has_other_senders(const struct ovm_image_socket *socket)
{
	const struct ovm_image_socket *first = socket->first_connected;
	const struct ovm_rec_packet *packet = socket->rec->packets;

	for (; packet; packet = packet->next)
		if (packet->sender_named && (!first || first->rec->sk != packet->sender))
			return true;
	return false;
}

static void check_queue(const struct place *at)
{
	const struct ovm_rec_socket *rec = at->socket->rec;
	const struct ovm_rec_sock_opts *opts = &rec->opts;

	if (rec->unix_socket->has_oob)
		reason(at, "holds a byte sent with MSG_OOB");
	for (const struct ovm_rec_packet *packet = rec->packets; packet; packet = packet->next)
		if (packet->len > PACKET_MAX)
			reason(at, "holds a message that is too long");
	check_passed(at);
	if (rec->packets && (opts->passcred || opts->passsec || opts->passpidfd))
		reason(at, "holds messages with their sender's credentials (SO_PASSCRED), which "
			   "CRIU does not restore");
	if (rec->type == OVM_IMAGE_SOCK_DGRAM && has_other_senders(at->socket))
		warn(at, "holds messages whose sender's name is lost on restore");
	if (rec->err)
		warn(at, "has a pending error, which CRIU does not restore");
	if (is_connection(rec) && rec->unix_socket->name.len)
		warn(at, "is connected: CRIU does not restore its own name");
}

static void check_unix_socket(const struct place *at)
{
	const char *const problems[] = {kind_problem(at), name_problem(at)};

	for (size_t i = 0; i < sizeof(problems) / sizeof(problems[0]); i++)
		if (problems[i])
			reason(at, problems[i]);
	check_peer(at);
	check_connections(at);
	check_options(at);
	check_queue(at);
}

void ovm_image_check_socket(struct ovm_image_report *report, const struct ovm_image_process *p,
			    const struct ovm_rec_fd *fd)
{
	const struct ovm_image_socket_table *table = report->sockets;
	const struct ovm_rec_file *file = fd->file;
	char quoted[OVM_IMAGE_QUOTED_MAX], family[FAMILY_TEXT];

	if (!file->socket) {
		ovm_image_reason(report, "fd %d: socket (%s) is a name, opened with O_PATH", fd->fd,
				 ovm_image_quote(file->path.data, file->path.len, quoted));
		return;
	}
	if (file->socket->inet) {
		ovm_image_check_inet_socket(report, p, fd);
		return;
	}
	if (file->socket->netlink || file->socket->packet_socket) {
		ovm_image_check_stateless_socket(report, p, fd);
		return;
	}
	if (!file->socket->unix_socket) {
		ovm_image_reason(report, "fd %d: socket (%s, %s) is not saved by this version",
				 fd->fd, family_name(file->socket->family, family),
				 ovm_image_quote(file->path.data, file->path.len, quoted));
		return;
	}
	const struct ovm_image_socket *known = ovm_image_socket_find(table, file->socket->sk);

	if (known->file != file)
		ovm_image_reason(report,
				 "fd %d: Unix socket (inode %llu) is also there as another "
				 "file",
				 fd->fd, (unsigned long long)file->ino);
	else if (known->process == p->rec && known->fd == fd->fd)
		check_unix_socket(&(struct place){report, p, table, known, fd->fd});
}
