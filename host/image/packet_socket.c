// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packet sockets.
 */
#include "files.h"
#include "namespaces.h"
#include "pool.h"
#include "sk_opts.h"
#include "vmi/cleanup.h"

enum {
	/* The kernel's values (linux/net.h, linux/if_packet.h). */
	SOCK_DGRAM_ = 2,
	SOCK_RAW_ = 3,
	SOCK_PACKET_ = 10,
	FANOUT_TYPE_SHIFT = 16,
	FANOUT_FLAGS_SHIFT = 24,
	FANOUT_CBPF = 6,
	VNET_HDR_SIZE = 10,
	MEMBERSHIP_UNICAST = 3,
};

static const char *membership_problem(const struct ovm_rec_packet_membership *m)
{
	for (; m; m = m->next) {
		if (m->count != 1)
			return "has joined an address more than once, which CRIU has no place for";
		if (m->type > MEMBERSHIP_UNICAST || m->ifindex <= 0)
			return "has joined addresses of an unknown kind";
	}
	return NULL;
}

const char *ovm_image_packet_socket_problem(const struct ovm_rec_socket *socket)
{
	const struct ovm_rec_packet_socket *rec = socket->packet_socket;

	if (socket->type != SOCK_RAW_ && socket->type != SOCK_DGRAM_ &&
	    socket->type != SOCK_PACKET_)
		return "is of an unknown type";
	if (socket->type == SOCK_PACKET_ && (rec->memberships || rec->has_fanout))
		return "is of an old type (SOCK_PACKET), of which CRIU restores no options";
	if (rec->ifindex < 0)
		return "is bound to a network device that is gone";
	if (rec->has_rings)
		return "has a ring (PACKET_RX_RING, PACKET_TX_RING), whose content CRIU does not "
		       "restore";
	if (rec->vnet_hdr_size && rec->vnet_hdr_size != VNET_HDR_SIZE)
		return "has headers of another size (PACKET_VNET_HDR_SZ), which CRIU has no place "
		       "for";
	if (rec->has_fanout && rec->fanout_type >= FANOUT_CBPF)
		return "is in a group with a program (PACKET_FANOUT_DATA), which CRIU does not "
		       "restore";
	if (rec->has_fanout && !rec->running)
		return "is in a group (PACKET_FANOUT), but its network device is down";
	return membership_problem(rec->memberships);
}

static struct ovm_error *fill_memberships(struct ovm_image_pool *pool,
					  const struct ovm_rec_packet_socket *rec,
					  PacketSockEntry *entry)
{
	const struct ovm_rec_packet_membership *m;
	size_t nr = 0;

	for (m = rec->memberships; m; m = m->next)
		nr++;
	if (!nr)
		return NULL;

	PacketMclist *list = ovm_image_alloc(pool, nr, sizeof(*list));

	entry->mclist = ovm_image_alloc(pool, nr, sizeof(PacketMclist *));
	if (!list || !entry->mclist)
		return ovm_error_no_memory();
	for (m = rec->memberships; m; m = m->next, list++) {
		packet_mclist__init(list);
		list->index = (uint32_t)m->ifindex;
		list->type = m->type;
		list->addr.data = m->address.data;
		list->addr.len = m->address.len;
		entry->mclist[entry->n_mclist++] = list;
	}
	return NULL;
}

static void fill(const struct ovm_rec_packet_socket *rec, PacketSockEntry *entry)
{
	TaskKobjIdsEntry ids = TASK_KOBJ_IDS_ENTRY__INIT;

	ovm_image_fill_ids(&ids, 0);
	entry->has_ns_id = true;
	entry->ns_id = ids.net_ns_id;
	entry->protocol = rec->protocol;
	entry->ifindex = (uint32_t)rec->ifindex;
	entry->version = rec->version;
	entry->reserve = rec->reserve;
	entry->aux_data = rec->aux_data;
	entry->orig_dev = rec->orig_dev;
	entry->vnet_hdr = rec->vnet_hdr_size != 0;
	entry->loss = rec->loss;
	entry->timestamp = rec->timestamp;
	entry->copy_thresh = (uint32_t)rec->copy_thresh;
	entry->has_fanout = rec->has_fanout;
	entry->fanout = rec->fanout_id | (uint32_t)rec->fanout_type << FANOUT_TYPE_SHIFT |
			(uint32_t)rec->fanout_flags << FANOUT_FLAGS_SHIFT;
}

struct ovm_error *ovm_image_put_packet_socket(struct ovm_image_file *image,
					      struct ovm_image_file_parts *parts,
					      const struct ovm_rec_file *file)
{
	_cleanup_pool_ struct ovm_image_pool pool = {NULL};
	const struct ovm_rec_packet_socket *rec = file->socket->packet_socket;
	FileEntry entry = FILE_ENTRY__INIT;
	PacketSockEntry packet = PACKET_SOCK_ENTRY__INIT;
	SkOptsEntry opts = SK_OPTS_ENTRY__INIT;
	struct ovm_error *err = ovm_image_fill_sk_opts(&pool, &file->socket->opts, &opts);

	if (!err)
		err = fill_memberships(&pool, rec, &packet);
	if (err)
		return err;
	fill(rec, &packet);
	packet.id = parts->id;
	packet.type = file->socket->type;
	packet.flags = parts->flags;
	packet.fown = &parts->fown;
	packet.opts = &opts;
	entry.type = FD_TYPES__PACKETSK;
	entry.id = parts->id;
	entry.psk = &packet;
	return ovm_image_file_put(image, &entry.base);
}
