// SPDX-License-Identifier: GPL-2.0-only
/*
 * sk-queues.img: what waits to be read.
 *
 * Packets stay as they are, of streams too, where criu dump joins what its buffer takes: what is
 * sent again then counts against the sender's buffer as it did before.
 */
#include "file.h"
#include "pool.h"
#include "proto/sk-packet.pb-c.h"
#include "socket_table.h"
#include "vmi/cleanup.h"
#include "write.h"

enum { SCM_RIGHTS_ = 1 };

static struct ovm_error *fill_passed(struct ovm_image_pool *pool,
				     const struct ovm_image_file_table *files,
				     const struct ovm_rec_packet *packet, SkPacketEntry *entry)
{
	ScmEntry *scm = ovm_image_alloc(pool, 1, sizeof(*scm));
	ScmEntry **list = ovm_image_alloc(pool, 1, sizeof(ScmEntry *));
	uint32_t *ids = ovm_image_alloc(pool, packet->nr_passed, sizeof(*ids));

	if (!scm || !list || !ids)
		return ovm_error_no_memory();
	scm_entry__init(scm);
	scm->type = SCM_RIGHTS_;
	scm->rights = ids;
	for (const struct ovm_rec_passed *p = packet->passed; p; p = p->next)
		if (scm->n_rights < packet->nr_passed)
			ids[scm->n_rights++] =
				ovm_image_file_id(files, p->file, OVM_IMAGE_FILE_DESCRIPTOR);
	*list = scm;
	entry->scm = list;
	entry->n_scm = 1;
	return NULL;
}

static struct ovm_error *put_packet(struct ovm_image_file *image,
				    const struct ovm_image_file_table *files, uint32_t id,
				    const struct ovm_rec_packet *packet)
{
	_cleanup_pool_ struct ovm_image_pool pool = {NULL};
	SkPacketEntry entry = SK_PACKET_ENTRY__INIT;
	struct ovm_error *err = NULL;

	entry.id_for = id;
	entry.length = (uint32_t)packet->len;
	if (packet->nr_passed)
		err = fill_passed(&pool, files, packet, &entry);
	if (!err)
		err = ovm_image_file_put(image, &entry.base);
	for (const struct ovm_rec_piece *p = packet->pieces; p && !err; p = p->next)
		err = ovm_image_file_append(image, p->bytes.data, p->bytes.len);
	return err;
}

static bool has_packets(const struct ovm_image_socket_table *sockets)
{
	for (size_t i = 0; i < sockets->nr; i++)
		if (sockets->sockets[i].rec->packets)
			return true;
	return false;
}

struct ovm_error *ovm_image_write_sk_queues(const struct ovm_image_file_table *files,
					    const struct ovm_image_socket_table *sockets,
					    int dir_fd)
{
	_cleanup_image_file_ struct ovm_image_file *image = NULL;

	if (!has_packets(sockets))
		return NULL;
	struct ovm_error *err = ovm_image_file_create(dir_fd, OVM_IMAGE_SK_QUEUES, 0, &image);

	for (size_t i = 0; i < sockets->nr && !err; i++) {
		const struct ovm_image_socket *socket = sockets->queues[i];
		uint32_t id = ovm_image_file_id(files, socket->file, OVM_IMAGE_FILE_DESCRIPTOR);

		for (const struct ovm_rec_packet *p = socket->rec->packets; p && !err; p = p->next)
			err = put_packet(image, files, id, p);
	}
	if (err)
		return err;
	return ovm_image_file_finish(ovm_take_pointer(image));
}
