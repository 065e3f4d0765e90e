// SPDX-License-Identifier: GPL-2.0-only
/*
 * The images of an IPC namespace (CRIU 3.17.1, criu/ipc_ns.c): its limits, and for each kind of
 * objects one image. The content of segments is in pagemaps that are named by their ids (memfd.c).
 */
#include "ipc.h"

#include "file.h"
#include "namespaces.h"
#include "proto/ipc.pb-c.h"
#include "vmi/cleanup.h"
#include "write.h"

enum {
	/* What follows a message is filled up to a multiple of this. */
	PADDING = 8,
	K_SHM_HUGETLB = 04000,
	K_SHM_HUGE_SHIFT = 26,
};

static void fill_desc(IpcDescEntry *entry, const struct ovm_rec_ipc_perm *perm)
{
	entry->key = perm->key;
	entry->uid = perm->uid;
	entry->gid = perm->gid;
	entry->cuid = perm->cuid;
	entry->cgid = perm->cgid;
	entry->mode = perm->mode;
	entry->id = (uint32_t)perm->id;
}

static struct ovm_error *put_padding(struct ovm_image_file *image, uint64_t len)
{
	static const uint8_t zeroes[PADDING];

	return ovm_image_file_append(image, zeroes, (PADDING - len % PADDING) % PADDING);
}

static struct ovm_error *put_shm(struct ovm_image_file *image, const struct ovm_rec_ipc_shm *shm)
{
	IpcShmEntry entry = IPC_SHM_ENTRY__INIT;
	IpcDescEntry desc = IPC_DESC_ENTRY__INIT;

	fill_desc(&desc, &shm->perm);
	entry.desc = &desc;
	entry.size = shm->size;
	entry.has_in_pagemaps = entry.in_pagemaps = true;
	entry.has_hugetlb_flag = shm->huge_shift != 0;
	if (shm->huge_shift)
		entry.hugetlb_flag = K_SHM_HUGETLB | (uint32_t)shm->huge_shift << K_SHM_HUGE_SHIFT;
	return ovm_image_file_put(image, &entry.base);
}

static struct ovm_error *put_message(struct ovm_image_file *image,
				     const struct ovm_rec_ipc_message *message)
{
	IpcMsg entry = IPC_MSG__INIT;

	entry.mtype = (uint64_t)message->type;
	entry.msize = (uint32_t)message->len;
	struct ovm_error *err = ovm_image_file_put(image, &entry.base);

	for (const struct ovm_rec_piece *p = message->pieces; p && !err; p = p->next)
		err = ovm_image_file_append(image, p->bytes.data, p->bytes.len);
	return err ? err : put_padding(image, message->len);
}

static struct ovm_error *put_queue(struct ovm_image_file *image,
				   const struct ovm_rec_ipc_queue *queue)
{
	IpcMsgEntry entry = IPC_MSG_ENTRY__INIT;
	IpcDescEntry desc = IPC_DESC_ENTRY__INIT;

	fill_desc(&desc, &queue->perm);
	entry.desc = &desc;
	entry.qbytes = (uint32_t)queue->max_bytes;
	entry.qnum = (uint32_t)queue->nr_messages;
	struct ovm_error *err = ovm_image_file_put(image, &entry.base);

	for (const struct ovm_rec_ipc_message *m = queue->messages; m && !err; m = m->next)
		err = put_message(image, m);
	return err;
}

static struct ovm_error *put_sems(struct ovm_image_file *image, const struct ovm_rec_ipc_sems *sems)
{
	IpcSemEntry entry = IPC_SEM_ENTRY__INIT;
	IpcDescEntry desc = IPC_DESC_ENTRY__INIT;

	fill_desc(&desc, &sems->perm);
	entry.desc = &desc;
	entry.nsems = sems->nr;
	struct ovm_error *err = ovm_image_file_put(image, &entry.base);

	for (const struct ovm_rec_ipc_sem_values *v = sems->values; v && !err; v = v->next)
		for (uint32_t i = 0; i < v->nr && !err; i++) {
			uint16_t value = (uint16_t)v->value[i];

			err = ovm_image_file_append(image, &value, sizeof(value));
		}
	return err ? err : put_padding(image, sizeof(uint16_t) * (uint64_t)sems->nr);
}

static struct ovm_error *write_shm(const struct ovm_rec_ipc *ipc, int dir_fd)
{
	_cleanup_image_file_ struct ovm_image_file *image = NULL;
	struct ovm_error *err =
		ovm_image_file_create(dir_fd, OVM_IMAGE_IPC_SHM, OVM_IMAGE_OWN_IPC_NS, &image);

	for (const struct ovm_rec_ipc_shm *shm = ipc->shm; shm && !err; shm = shm->next)
		err = put_shm(image, shm);
	return err ? err : ovm_image_file_finish(ovm_take_pointer(image));
}

static struct ovm_error *write_queues(const struct ovm_rec_ipc *ipc, int dir_fd)
{
	_cleanup_image_file_ struct ovm_image_file *image = NULL;
	struct ovm_error *err =
		ovm_image_file_create(dir_fd, OVM_IMAGE_IPC_MSG, OVM_IMAGE_OWN_IPC_NS, &image);

	for (const struct ovm_rec_ipc_queue *q = ipc->queues; q && !err; q = q->next)
		err = put_queue(image, q);
	return err ? err : ovm_image_file_finish(ovm_take_pointer(image));
}

static struct ovm_error *write_sems(const struct ovm_rec_ipc *ipc, int dir_fd)
{
	_cleanup_image_file_ struct ovm_image_file *image = NULL;
	struct ovm_error *err =
		ovm_image_file_create(dir_fd, OVM_IMAGE_IPC_SEM, OVM_IMAGE_OWN_IPC_NS, &image);

	for (const struct ovm_rec_ipc_sems *s = ipc->sems; s && !err; s = s->next)
		err = put_sems(image, s);
	return err ? err : ovm_image_file_finish(ovm_take_pointer(image));
}

static struct ovm_error *write_limits(const struct ovm_rec_ipc *ipc, int dir_fd)
{
	IpcVarEntry entry = IPC_VAR_ENTRY__INIT;

	entry.n_sem_ctls = OVM_REC_NR_SEM_LIMITS;
	entry.sem_ctls = (uint32_t *)(uintptr_t)ipc->sem_limits;
	entry.msg_ctlmax = ipc->msg_max;
	entry.msg_ctlmnb = ipc->msg_queue_bytes;
	entry.msg_ctlmni = ipc->msg_queues;
	entry.shm_ctlmax = ipc->shm_max;
	entry.shm_ctlall = ipc->shm_all;
	entry.shm_ctlmni = ipc->shm_segments;
	/* With it, CRIU would lose each segment as soon as it has filled it. */
	entry.shm_rmid_forced = ipc->shm ? 0 : ipc->shm_rmid_forced;
	entry.mq_queues_max = ipc->mq_queues_max;
	entry.mq_msg_max = ipc->mq_msg_max;
	entry.mq_msgsize_max = ipc->mq_msgsize_max;
	entry.has_mq_msg_default = entry.has_mq_msgsize_default = true;
	entry.mq_msg_default = ipc->mq_msg_default;
	entry.mq_msgsize_default = ipc->mq_msgsize_default;
	entry.has_msg_next_id = ipc->msg_next_id >= 0;
	entry.msg_next_id = entry.has_msg_next_id ? (uint32_t)ipc->msg_next_id : 0;
	entry.has_sem_next_id = ipc->sem_next_id >= 0;
	entry.sem_next_id = entry.has_sem_next_id ? (uint32_t)ipc->sem_next_id : 0;
	entry.has_shm_next_id = ipc->shm_next_id >= 0;
	entry.shm_next_id = entry.has_shm_next_id ? (uint32_t)ipc->shm_next_id : 0;
	return ovm_image_file_write(dir_fd, OVM_IMAGE_IPC_VAR, OVM_IMAGE_OWN_IPC_NS, &entry.base);
}

struct ovm_error *ovm_image_write_ipc(const struct ovm_image_set *set, int dir_fd)
{
	const struct ovm_rec_ipc *ipc = set->tree->ipc;

	if (!ipc)
		return NULL;
	struct ovm_error *err = write_limits(ipc, dir_fd);

	if (!err)
		err = write_shm(ipc, dir_fd);
	if (!err)
		err = write_queues(ipc, dir_fd);
	if (!err)
		err = write_sems(ipc, dir_fd);
	return err;
}
