// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sockets of IPv4 and IPv6: their entries in files.img.
 */
#include "inet_socket.h"

#include <string.h>

#include "files.h"
#include "namespaces.h"
#include "pool.h"
#include "sk_opts.h"
#include "socket_table.h"
#include "vmi/cleanup.h"

enum { MAX_WORDS = 4 };

bool ovm_image_file_is_inet_socket(const struct ovm_rec_file *file)
{
	return file->kind == OVM_REC_FILE_SOCKET && file->socket && file->socket->inet;
}

bool ovm_image_has_tcp_stream(const struct ovm_rec_socket *socket)
{
	return socket->inet && socket->inet->tcp && socket->state != OVM_IMAGE_TCP_LISTEN &&
	       socket->inet->dst_port;
}

bool ovm_image_is_link_local(const struct ovm_rec_socket *socket)
{
	const uint8_t *address = socket->inet->src;

	return socket->family == OVM_IMAGE_AF_INET6 && address[0] == 0xfe &&
	       (address[1] & 0xc0) == 0x80;
}

/* An address has its bytes in the order of the wire, in words of this machine. */
struct words {
	uint32_t src[MAX_WORDS], dst[MAX_WORDS];
};

static void fill_addresses(const struct ovm_rec_socket *rec, struct words *words,
			   InetSkEntry *entry)
{
	size_t nr = rec->family == OVM_IMAGE_AF_INET6 ? MAX_WORDS : 1;

	memcpy(words->src, rec->inet->src, sizeof(words->src));
	memcpy(words->dst, rec->inet->dst, sizeof(words->dst));
	entry->src_port = rec->inet->src_port;
	entry->dst_port = rec->inet->dst_port;
	entry->n_src_addr = entry->n_dst_addr = nr;
	entry->src_addr = words->src;
	entry->dst_addr = words->dst;
	entry->has_v6only = rec->family == OVM_IMAGE_AF_INET6;
	entry->v6only = rec->inet->v6only;
	if (entry->src_port && ovm_image_is_link_local(rec))
		entry->ifname = (char *)rec->inet->device;
}

/* What of a shutdown(2) is done again: without a connection, only that of receiving shows. */
static uint32_t shutdown_of(const struct ovm_rec_socket *rec)
{
	if (rec->type == OVM_IMAGE_SOCK_RAW)
		return 0;
	return rec->shutdown;
}

/* As the kernel's socket monitoring tells: what listen(2) got; bytes that are still to be sent. */
static uint32_t backlog_of(const struct ovm_rec_socket *rec)
{
	const struct ovm_rec_tcp *tcp = rec->inet->tcp;

	if (rec->state == OVM_IMAGE_TCP_LISTEN)
		return rec->max_backlog;
	if (tcp)
		return tcp->write_seq - tcp->snd_una;
	return rec->unread;
}

static void fill_state(const struct ovm_rec_file *file, InetSkEntry *entry)
{
	const struct ovm_rec_socket *rec = file->socket;
	TaskKobjIdsEntry ids = TASK_KOBJ_IDS_ENTRY__INIT;

	ovm_image_fill_ids(&ids, 0);
	entry->ino = (uint32_t)file->ino;
	entry->family = rec->family;
	entry->type = rec->type;
	entry->proto = rec->protocol;
	entry->state = rec->state;
	entry->backlog = backlog_of(rec);
	entry->has_shutdown = shutdown_of(rec) != 0;
	entry->shutdown = (SkShutdown)shutdown_of(rec);
	entry->has_ns_id = true;
	entry->ns_id = ids.net_ns_id;
}

static void fill_raw(const struct ovm_rec_inet *inet, IpOptsRawEntry *raw)
{
	raw->has_hdrincl = raw->hdrincl = inet->hdrincl;
	raw->has_nodefrag = raw->nodefrag = inet->nodefrag;
	raw->n_icmpv_filter = inet->icmp_filter_words;
	raw->icmpv_filter = (uint32_t *)inet->icmp_filter;
}

static void fill_tcp_options(const struct ovm_rec_tcp *tcp, SkOptsEntry *opts)
{
	opts->has_tcp_keepcnt = opts->has_tcp_keepidle = opts->has_tcp_keepintvl = true;
	opts->tcp_keepcnt = tcp->keepcnt;
	opts->tcp_keepidle = tcp->keepidle;
	opts->tcp_keepintvl = tcp->keepintvl;
}

struct ovm_error *ovm_image_put_inet_socket(struct ovm_image_file *image,
					    struct ovm_image_file_parts *parts,
					    const struct ovm_rec_file *file)
{
	const struct ovm_rec_socket *rec = file->socket;
	_cleanup_pool_ struct ovm_image_pool pool = {NULL};
	FileEntry out = FILE_ENTRY__INIT;
	InetSkEntry entry = INET_SK_ENTRY__INIT;
	SkOptsEntry opts = SK_OPTS_ENTRY__INIT;
	IpOptsEntry ip_opts = IP_OPTS_ENTRY__INIT;
	IpOptsRawEntry raw = IP_OPTS_RAW_ENTRY__INIT;
	struct words words;
	struct ovm_error *err = ovm_image_fill_sk_opts(&pool, &rec->opts, &opts);

	if (err)
		return err;
	fill_state(file, &entry);
	fill_addresses(rec, &words, &entry);
	if (rec->inet->device[0])
		opts.so_bound_dev = (char *)rec->inet->device;
	if (rec->inet->tcp)
		fill_tcp_options(rec->inet->tcp, &opts);
	if (rec->type == OVM_IMAGE_SOCK_RAW) {
		fill_raw(rec->inet, &raw);
		ip_opts.raw = &raw;
	} else {
		ip_opts.has_freebind = ip_opts.freebind = rec->inet->freebind;
	}
	entry.id = parts->id;
	entry.flags = parts->flags;
	entry.fown = &parts->fown;
	entry.opts = &opts;
	entry.ip_opts = &ip_opts;
	out.type = FD_TYPES__INETSK;
	out.id = parts->id;
	out.isk = &entry;
	return ovm_image_file_put(image, &out.base);
}
