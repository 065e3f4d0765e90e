// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink sockets.
 */
#include "files.h"
#include "namespaces.h"
#include "pool.h"
#include "sk_opts.h"
#include "vmi/cleanup.h"

enum { NR_GROUPS = 32, CONNECTED = 1, NEVER_CONNECTED = 7 };

const char *ovm_image_netlink_problem(const struct ovm_rec_socket *socket)
{
	const struct ovm_rec_netlink *rec = socket->netlink;

	if (socket->nr_waiting || rec->in_dump)
		return "holds messages that were not read, which CRIU has no place for: let them "
		       "be "
		       "read";
	if (rec->groups >> NR_GROUPS || rec->has_more_groups)
		return "has joined groups beyond the first 32, which CRIU has no place for";
	if (rec->groups && !rec->portid)
		return "has joined groups, but is not bound";
	if (socket->state > CONNECTED && socket->state != NEVER_CONNECTED)
		return "is in an unknown state";
	if (rec->dst_group > NR_GROUPS)
		return "is connected to a group beyond the first 32, which CRIU can't do";
	return NULL;
}

struct ovm_error *ovm_image_put_netlink(struct ovm_image_file *image,
					struct ovm_image_file_parts *parts,
					const struct ovm_rec_file *file)
{
	_cleanup_pool_ struct ovm_image_pool pool = {NULL};
	const struct ovm_rec_netlink *rec = file->socket->netlink;
	FileEntry entry = FILE_ENTRY__INIT;
	NetlinkSkEntry netlink = NETLINK_SK_ENTRY__INIT;
	SkOptsEntry opts = SK_OPTS_ENTRY__INIT;
	TaskKobjIdsEntry ids = TASK_KOBJ_IDS_ENTRY__INIT;
	uint32_t groups = (uint32_t)rec->groups;
	struct ovm_error *err = ovm_image_fill_sk_opts(&pool, &file->socket->opts, &opts);

	if (err)
		return err;
	ovm_image_fill_ids(&ids, 0);
	netlink.id = parts->id;
	netlink.ino = (uint32_t)file->ino;
	netlink.protocol = file->socket->protocol;
	netlink.state = file->socket->state;
	netlink.flags = parts->flags;
	netlink.portid = rec->portid;
	netlink.groups = &groups;
	netlink.n_groups = groups != 0;
	netlink.dst_portid = rec->dst_portid;
	netlink.dst_group = rec->dst_group;
	netlink.fown = &parts->fown;
	netlink.opts = &opts;
	netlink.has_ns_id = true;
	netlink.ns_id = ids.net_ns_id;
	entry.type = FD_TYPES__NETLINKSK;
	entry.id = parts->id;
	entry.nlsk = &netlink;
	return ovm_image_file_put(image, &entry.base);
}
