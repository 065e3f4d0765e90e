// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unix sockets: their entries in files.img.
 */
#include <string.h>

#include "external.h"
#include "files.h"
#include "namespaces.h"
#include "pool.h"
#include "sk_opts.h"
#include "vmi/cleanup.h"

static bool is_path(const struct ovm_rec_unix *socket)
{
	return socket->name.len && socket->name.data[0];
}

size_t ovm_image_socket_directory(const struct ovm_rec_unix *socket)
{
	const struct ovm_rec_bytes *path = &socket->bound->path;
	const uint8_t *name = socket->name.data;
	size_t len = strnlen((const char *)name, socket->name.len);

	if (len > 2 && name[0] == '.' && name[1] == '/') {
		name += 2;
		len -= 2;
	}
	if (!len || len >= path->len || path->data[path->len - len - 1] != '/' ||
	    memcmp(path->data + path->len - len, name, len))
		return 0;
	/* Of the root, the slash is all. */
	return path->len - len == 1 ? 1 : path->len - len - 1;
}

static struct ovm_error *fill_name(struct ovm_image_pool *pool, const struct ovm_rec_unix *socket,
				   UnixSkEntry *entry, FilePermsEntry *perms)
{
	const struct ovm_rec_file *bound = socket->bound;

	entry->name.data = socket->name.data;
	entry->name.len = socket->name.len;
	if (!is_path(socket))
		return NULL;
	perms->mode = bound->mode;
	perms->uid = bound->uid;
	perms->gid = bound->gid;
	entry->file_perms = perms;
	entry->has_deleted = entry->deleted = bound->unlinked;
	if (socket->name.data[0] == '/')
		return NULL;
	entry->name_dir =
		ovm_image_string(pool, bound->path.data, ovm_image_socket_directory(socket));
	return entry->name_dir ? NULL : ovm_error_no_memory();
}

static void fill_state(const struct ovm_image_socket *socket, UnixSkEntry *entry)
{
	const struct ovm_rec_socket *rec = socket->rec;
	TaskKobjIdsEntry ids = TASK_KOBJ_IDS_ENTRY__INIT;

	ovm_image_fill_ids(&ids, 0);
	entry->ino = (uint32_t)socket->file->ino;
	entry->type = rec->type;
	entry->state = rec->state;
	entry->backlog = rec->state == OVM_IMAGE_TCP_LISTEN ? rec->max_backlog : rec->unread;
	if (socket->peer)
		entry->peer = (uint32_t)socket->peer->file->ino;
	else if (ovm_image_leads_to_external(socket))
		entry->peer = (uint32_t)rec->unix_socket->peer_ino;
	entry->has_shutdown = rec->shutdown != 0;
	entry->shutdown = (SkShutdown)rec->shutdown;
	entry->has_ns_id = true;
	entry->ns_id = ids.net_ns_id;
}

struct ovm_error *ovm_image_put_unix_socket(struct ovm_image_file *image,
					    struct ovm_image_file_parts *parts,
					    const struct ovm_image_socket *socket)
{
	_cleanup_pool_ struct ovm_image_pool pool = {NULL};
	FileEntry file = FILE_ENTRY__INIT;
	UnixSkEntry entry = UNIX_SK_ENTRY__INIT;
	FilePermsEntry perms = FILE_PERMS_ENTRY__INIT;
	SkOptsEntry opts = SK_OPTS_ENTRY__INIT;
	struct ovm_error *err = ovm_image_fill_sk_opts(&pool, &socket->rec->opts, &opts);

	if (!err)
		err = fill_name(&pool, socket->rec->unix_socket, &entry, &perms);
	if (err)
		return err;
	fill_state(socket, &entry);
	entry.id = parts->id;
	entry.flags = parts->flags;
	entry.fown = &parts->fown;
	entry.opts = &opts;
	file.type = FD_TYPES__UNIXSK;
	file.id = parts->id;
	file.usk = &entry;
	return ovm_image_file_put(image, &file.base);
}
