// SPDX-License-Identifier: GPL-2.0-only
/*
 * System V IPC that can't be represented, or changes.
 */
#include <string.h>

#include "check.h"
#include "ipc.h"

enum {
	PAGE_SHIFT = 12,
	PAGE_SIZE = 1 << PAGE_SHIFT,
	/* shmctl(2): marked to be destroyed; locked. */
	K_SHM_DEST = 01000,
	K_SHM_LOCKED = 02000,
	K_SEMVMX = 32767,
	/* Places in /proc/sys/kernel/sem. */
	SEMMSL = 0,
	SEMMNS = 1,
	SEMMNI = 3,
};

bool ovm_image_vma_is_sysv(const struct ovm_rec_vma *vma)
{
	return vma->file && vma->file->kind == OVM_REC_FILE_SYSV_SHM;
}

/* Whether @next goes on with the same segment where @vma ends. */
static bool goes_on(const struct ovm_rec_vma *vma, const struct ovm_rec_vma *next)
{
	return next && ovm_image_vma_is_sysv(vma) && ovm_image_vma_is_sysv(next) &&
	       next->file->inode == vma->file->inode && next->start == vma->end &&
	       next->pgoff == vma->pgoff + ((vma->end - vma->start) >> PAGE_SHIFT);
}

/* shmat(2) attaches all of a segment; areas of different protections lie side by side then. */
static bool is_whole(const struct ovm_rec_vma *vma, uint64_t size)
{
	const struct ovm_rec_vma *last = vma;

	while (goes_on(last, last->next))
		last = last->next;
	return !vma->pgoff &&
	       last->end - vma->start == (size + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
}

const char *ovm_image_sysv_problem(const struct ovm_rec_vma *before, const struct ovm_rec_vma *vma)
{
	const struct ovm_rec_ipc_shm *shm = vma->file->segment;

	if (!shm)
		return "is System V shared memory of the initial IPC namespace, or of another "
		       "one: CRIU saves it if the program is started in one of its own ('unshare "
		       "--ipc')";
	if ((uint32_t)shm->perm.id != vma->file->ino)
		return "is System V shared memory with an impossible id";
	if (!vma->may_share)
		return "is a private mapping of System V shared memory";
	if (vma->exec)
		return "is executable System V shared memory, which CRIU does not restore";
	if (shm->huge_shift && shm->size & ((UINT64_C(1) << shm->huge_shift) - 1))
		return "is System V shared memory whose last huge page is not used up, which CRIU "
		       "can't restore";
	if (!(before && goes_on(before, vma)) && !is_whole(vma, shm->size))
		return "is only a part of a System V shared memory segment, which CRIU can't "
		       "restore";
	return NULL;
}

static void check_shm(struct ovm_image_report *report, const struct ovm_rec_ipc *ipc)
{
	uint64_t nr = 0, pages = 0;

	for (const struct ovm_rec_ipc_shm *shm = ipc->shm; shm; shm = shm->next) {
		nr++;
		pages += (shm->size + PAGE_SIZE - 1) >> PAGE_SHIFT;
		if (shm->perm.id < 0 || !shm->size || shm->size > ipc->shm_max)
			ovm_image_reason(report,
					 "shared memory segment %d: has a size that shmget(2) does "
					 "not take any more (kernel.shmmax)",
					 shm->perm.id);
		if (shm->perm.mode & K_SHM_DEST)
			ovm_image_warn(report,
				       "shared memory segment %d, which was removed (IPC_RMID), "
				       "stays after a restore until it is removed again",
				       shm->perm.id);
		if (shm->perm.mode & K_SHM_LOCKED)
			ovm_image_warn(report,
				       "shared memory segment %d is not locked (SHM_LOCK) after a "
				       "restore",
				       shm->perm.id);
	}
	if (nr > ipc->shm_segments || pages > ipc->shm_all)
		ovm_image_reason(report, "its IPC namespace has more shared memory than its limits "
					 "(kernel.shmmni, kernel.shmall) allow");
	if (nr && ipc->shm_rmid_forced)
		ovm_image_warn(report, "kernel.shm_rmid_forced is not set after a restore");
}

static bool fits(const struct ovm_rec_ipc *ipc, const struct ovm_rec_ipc_queue *queue)
{
	return queue->nr_bytes <= ipc->msg_queue_bytes &&
	       queue->nr_messages <= ipc->msg_queue_bytes;
}

static void check_messages(struct ovm_image_report *report, const struct ovm_rec_ipc *ipc,
			   const struct ovm_rec_ipc_queue *queue)
{
	for (const struct ovm_rec_ipc_message *m = queue->messages; m; m = m->next) {
		if (m->len <= OVM_REC_IPC_MESSAGE_MAX && m->len <= ipc->msg_max && m->type > 0)
			continue;
		ovm_image_reason(report,
				 "message queue %d: has a message of %llu bytes: CRIU restores "
				 "those of up to %d bytes, within kernel.msgmax",
				 queue->perm.id, (unsigned long long)m->len,
				 OVM_REC_IPC_MESSAGE_MAX);
		return;
	}
}

static void check_queues(struct ovm_image_report *report, const struct ovm_rec_ipc *ipc)
{
	uint64_t nr = 0;

	for (const struct ovm_rec_ipc_queue *q = ipc->queues; q; q = q->next) {
		nr++;
		check_messages(report, ipc, q);
		if (!fits(ipc, q))
			ovm_image_reason(report,
					 "message queue %d: holds more than kernel.msgmnb allows, "
					 "which CRIU can't restore: have some messages read",
					 q->perm.id);
		if (q->max_bytes != ipc->msg_queue_bytes)
			ovm_image_warn(report,
				       "the limit of message queue %d, %llu bytes, is that of "
				       "kernel.msgmnb (%u) after a restore",
				       q->perm.id, (unsigned long long)q->max_bytes,
				       ipc->msg_queue_bytes);
	}
	if (nr > ipc->msg_queues)
		ovm_image_reason(report, "its IPC namespace has more message queues than "
					 "kernel.msgmni allows");
}

static bool values_are_possible(const struct ovm_rec_ipc_sems *sems)
{
	for (const struct ovm_rec_ipc_sem_values *v = sems->values; v; v = v->next)
		for (uint32_t i = 0; i < v->nr; i++)
			if (v->value[i] > K_SEMVMX)
				return false;
	return true;
}

static void check_sems(struct ovm_image_report *report, const struct ovm_rec_ipc *ipc)
{
	uint64_t nr = 0, all = 0;
	bool good = true;

	for (const struct ovm_rec_ipc_sems *s = ipc->sems; s; s = s->next) {
		nr++;
		all += s->nr;
		good = good && s->nr && s->nr <= ipc->sem_limits[SEMMSL] && values_are_possible(s);
	}
	if (!good || nr > ipc->sem_limits[SEMMNI] || all > ipc->sem_limits[SEMMNS])
		ovm_image_reason(report, "its IPC namespace has more semaphores than kernel.sem "
					 "allows");
}

static void check_holder(struct ovm_image_report *report, const struct ovm_rec_holder *holder)
{
	char comm[OVM_IMAGE_QUOTED_MAX];

	if (holder->pid)
		ovm_image_reason(report,
				 "its IPC namespace is also that of process %d (%s), which is not "
				 "saved",
				 holder->pid,
				 ovm_image_quote(holder->comm,
						 strnlen(holder->comm, sizeof(holder->comm)),
						 comm));
}

/* Descendants may have left the namespace of the root. */
static void check_members(struct ovm_image_report *report)
{
	const struct ovm_rec_ipc *ipc = report->set->tree->ipc;

	for (size_t i = 0; i < report->set->nr_processes; i++) {
		const struct ovm_rec_process *rec = report->set->processes[i].rec;

		report->pid = rec->pid;
		if (!rec->zombie && (ipc ? rec->ns.ipc != ipc->identity : !rec->ns.ipc_initial))
			ovm_image_reason(report,
					 "is in another IPC namespace than the root of the tree, "
					 "which CRIU can't restore");
	}
}

/* Of shared memory, the areas tell. */
static void check_used(struct ovm_image_report *report)
{
	const struct ovm_rec_tree *tree = report->set->tree;

	if (tree->nr_used_sems || tree->nr_used_queues)
		ovm_image_reason(report,
				 "uses System V IPC of the initial namespace, which CRIU does not "
				 "save (%u sets of semaphores, %u message queues): start the "
				 "program in a namespace of its own ('unshare --ipc')",
				 tree->nr_used_sems, tree->nr_used_queues);
}

void ovm_image_check_ipc(struct ovm_image_report *report)
{
	const struct ovm_rec_ipc *ipc = report->set->tree->ipc;

	check_members(report);
	report->pid = report->set->processes[0].rec->pid;
	check_used(report);
	if (!ipc)
		return;
	check_holder(report, &ipc->holder);
	if (ipc->nr_posix_queues)
		ovm_image_reason(report,
				 "its IPC namespace has %u POSIX message queues (mq_open), which "
				 "CRIU can't save",
				 ipc->nr_posix_queues);
	check_shm(report, ipc);
	check_queues(report, ipc);
	check_sems(report, ipc);
}
