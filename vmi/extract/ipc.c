// SPDX-License-Identifier: GPL-2.0-only
/*
 * System V IPC: what is in a namespace of its own, whether anybody uses it at the moment or not.
 *
 * Objects of each kind are in an idr (linux/idr.h), which is an XArray by the low bits of their
 * ids.  Each begins with a kern_ipc_perm, to which the tree leads.
 */
#include <linux/idr.h>
#include <linux/ipc.h>
#include <linux/ipc_namespace.h>
#include <linux/msg.h>
#include <linux/sched/signal.h>

#include "extract.h"

/* Private to ipc/shm.c, ipc/sem.c, ipc/msg.c, ipc/msgutil.c. */
struct shmid_kernel___ovm {
	struct kern_ipc_perm shm_perm;
	struct file *shm_file;
	unsigned long shm_nattch;
	unsigned long shm_segsz;
};

struct sem___ovm {
	int semval;
	struct pid *sempid;
	spinlock_t lock;
};

struct sem_array___ovm {
	struct kern_ipc_perm sem_perm;
	int sem_nsems;
	struct sem___ovm sems[1];
};

struct sem_undo___ovm {
	struct list_head list_proc;
	int semid;
	/* An array of its own, or at the end of this (v6.5). */
	short *semadj;
};

struct sem_undo_list___ovm {
	struct list_head list_proc;
};

struct msg_queue___ovm {
	struct kern_ipc_perm q_perm;
	unsigned long q_cbytes;
	unsigned long q_qnum;
	unsigned long q_qbytes;
	struct pid *q_lspid;
	struct pid *q_lrpid;
	struct list_head q_messages;
};

struct msg_msgseg___ovm {
	struct msg_msgseg___ovm *next;
};

enum {
	/* linux/ipc_namespace.h: kinds of objects. */
	SEM_IDS = 0,
	MSG_IDS = 1,
	SHM_IDS = 2,
	XA_NODE_MIN = 4096,
	/* Slots of 2^30 ids would be the last level. */
	SHIFT_MAX = 30,
	MAX_OBJECTS = 1 << 24,
	MAX_SEMAPHORES = 1 << 20,
	MAX_MESSAGES = 1 << 20,
	MAX_UNDO = 1 << 20,
};

static bool is_node(u64 entry)
{
	return (entry & 3) == 2 && entry > XA_NODE_MIN;
}

/* The first place of a node, from @slot on, that has something; XA_CHUNK_SIZE if there is none. */
static unsigned int used_slot(const struct xa_node *node, unsigned int slot)
{
	void *const *slots = node->slots;

	while (slot < XA_CHUNK_SIZE && !llv_load_u64(&slots[slot]))
		slot++;
	return slot;
}

/* The object at or behind *@index, which becomes the index behind it; NULL behind the last one. */
static struct kern_ipc_perm *next_object(const struct ipc_ids *ids, u64 *index)
{
	u64 head = (u64)ids->ipcs_idr.idr_rt.xa_head;

	if (!is_node(head))
		return (struct kern_ipc_perm *)((*index)++ ? 0 : head);
	while (*index < MAX_OBJECTS) {
		const struct xa_node *node = (const struct xa_node *)(head - 2);
		unsigned int shift = node->shift;

		if (shift > SHIFT_MAX)
			llv_fail(LLV_CORRUPT, node, "tree of IPC objects is out of range");
		if (*index >> shift >= XA_CHUNK_SIZE)
			return NULL;
		for (;;) {
			void *const *slots = node->slots;
			u64 first = *index >> shift << shift;
			unsigned int slot = *index >> shift & (XA_CHUNK_SIZE - 1);
			unsigned int used = used_slot(node, slot);
			u64 entry;

			if (used != slot)
				*index = first + ((u64)(used - slot) << shift);
			if (used == XA_CHUNK_SIZE)
				break;
			entry = llv_load_u64(&slots[used]);
			if (!shift) {
				(*index)++;
				return (struct kern_ipc_perm *)entry;
			}
			if (!is_node(entry))
				llv_fail(LLV_CORRUPT, node, "tree of IPC objects is inconsistent");
			node = (const struct xa_node *)(entry - 2);
			if (node->shift + XA_CHUNK_SHIFT != shift)
				llv_fail(LLV_CORRUPT, node, "tree of IPC objects is inconsistent");
			shift = node->shift;
		}
	}
	return NULL;
}

static void permissions(const struct kern_ipc_perm *perm, struct ovm_rec_ipc_perm __host *rec)
{
	rec->id = perm->id;
	rec->key = (u32)perm->key;
	rec->uid = perm->uid.val;
	rec->gid = perm->gid.val;
	rec->cuid = perm->cuid.val;
	rec->cgid = perm->cgid.val;
	rec->mode = perm->mode;
}

/* ---- shared memory ------------------------------------------------------------------------- */

static struct ovm_rec_shmem __host *__host *last_object(struct ovm_rec_tree __host *tree)
{
	struct ovm_rec_shmem __host *__host *link = &tree->shmem;

	while (*link)
		link = &(*link)->next;
	return link;
}

/* Memory that nobody has attached is not known yet; *@link is the end of what is. */
static struct ovm_rec_shmem __host *__host *pages(struct ovm_files __host *files,
						  const struct inode *inode,
						  struct ovm_rec_ipc_shm __host *rec,
						  struct ovm_rec_shmem __host *__host *link)
{
	struct ovm_shmem_node __host *node = ovm_shmem_find(files, OVM_IDENTITY(inode));

	if (node) {
		rec->pages = node->shmem;
		node->shmem->segment = rec;
		return link;
	}
	rec->pages = ovm_page_cache(inode);
	rec->pages->segment = rec;
	*link = rec->pages;
	return &rec->pages->next;
}

static void shm(struct ovm_files __host *files, const struct ipc_ids *ids)
{
	struct ovm_rec_shmem __host *__host *last = last_object(files->tree);
	struct ovm_rec_ipc_shm __host *__host *link = &files->tree->ipc->shm;
	const struct kern_ipc_perm *perm;
	u64 index = 0;

	while ((perm = next_object(ids, &index))) {
		const struct shmid_kernel___ovm *segment = (const void *)perm;
		struct ovm_rec_ipc_shm __host *rec = llv_new(struct ovm_rec_ipc_shm);
		const struct inode *inode = segment->shm_file->f_inode;

		permissions(perm, &rec->perm);
		if (!ovm_inode_is_internal_memory(inode))
			llv_fail(LLV_CORRUPT, perm, "shared memory segment has no memory");
		rec->size = segment->shm_segsz;
		rec->nr_attached = segment->shm_nattch;
		if (ovm_inode_is_hugetlb(inode))
			rec->huge_shift = ovm_huge_order(inode) + PAGE_SHIFT;
		last = pages(files, inode, rec, last);
		*link = rec;
		link = &rec->next;
	}
}

/* Each area of a segment has its mapping's file. */
static void attachments(struct ovm_files __host *files)
{
	for (struct ovm_rec_file __host *f = files->tree->files; f; f = f->next) {
		struct ovm_shmem_node __host *node;

		if (f->kind != OVM_REC_FILE_SYSV_SHM)
			continue;
		node = ovm_shmem_find(files, f->inode);
		if (!node || !node->shmem->segment)
			continue;
		f->segment = node->shmem->segment;
		f->segment->nr_own += f->nr_areas;
	}
}

/* ---- semaphores ---------------------------------------------------------------------------- */

static const struct sem___ovm *semaphore(const struct sem_array___ovm *array, unsigned int i)
{
	return (const struct sem___ovm *)(OVM_IDENTITY(&array->sems) +
					  i * llv_sizeof(struct sem___ovm));
}

static unsigned int nr_semaphores(const struct sem_array___ovm *array)
{
	unsigned int nr = (unsigned int)array->sem_nsems;

	if (nr > MAX_SEMAPHORES)
		llv_fail(LLV_CORRUPT, array, "number of semaphores is out of range");
	return nr;
}

static void values(const struct sem_array___ovm *array, struct ovm_rec_ipc_sems __host *rec)
{
	struct ovm_rec_ipc_sem_values __host *__host *link = &rec->values;
	struct ovm_rec_ipc_sem_values __host *node = NULL;

	for (unsigned int i = 0; i < rec->nr; i++) {
		if (!node || node->nr >= OVM_REC_SEMS_PER_NODE) {
			node = llv_new(struct ovm_rec_ipc_sem_values);
			*link = node;
			link = &node->next;
		}
		node->value[node->nr++] = semaphore(array, i)->semval;
	}
}

static void sems(const struct ipc_ids *ids, struct ovm_rec_ipc __host *ipc)
{
	struct ovm_rec_ipc_sems __host *__host *link = &ipc->sems;
	const struct kern_ipc_perm *perm;
	u64 index = 0;

	while ((perm = next_object(ids, &index))) {
		const struct sem_array___ovm *array = (const void *)perm;
		struct ovm_rec_ipc_sems __host *rec = llv_new(struct ovm_rec_ipc_sems);

		permissions(perm, &rec->perm);
		rec->nr = nr_semaphores(array);
		values(array, rec);
		*link = rec;
		link = &rec->next;
	}
}

/* What is to be undone of a set of semaphores: whether there is anything. */
static bool has_adjustments(const struct sem_undo___ovm *undo, unsigned int nr)
{
	u64 adjustments = OVM_IDENTITY(&undo->semadj);

	if (llv_field_size(struct sem_undo___ovm, semadj))
		adjustments = llv_load_u64(adjustments);
	for (unsigned int i = 0; i < nr; i++)
		if (llv_load_u16(adjustments + 2 * i))
			return true;
	return false;
}

static const struct sem_array___ovm *find_array(const struct ipc_ids *ids, int id)
{
	const struct kern_ipc_perm *perm;
	u64 index = 0;

	while ((perm = next_object(ids, &index)))
		if (perm->id == id)
			return (const void *)perm;
	return NULL;
}

LLV_SHARED bool ovm_has_sem_undo(const struct task_struct *p)
{
	const struct sem_undo_list___ovm *list;
	const struct list_head *node;
	u64 nr = 0;

	if (!llv_field_exists(struct task_struct, sysvsem) || !p->sysvsem.undo_list || !p->nsproxy)
		return false;
	list = (const void *)p->sysvsem.undo_list;
	for (node = list->list_proc.next; node != &list->list_proc; node = node->next) {
		const struct sem_undo___ovm *undo =
			container_of(node, struct sem_undo___ovm, list_proc);
		/* Of a set that is gone, there is nothing to undo: its id is -1. */
		const struct sem_array___ovm *array =
			find_array(&p->nsproxy->ipc_ns->ids[SEM_IDS], undo->semid);

		if (++nr > MAX_UNDO)
			llv_fail(LLV_CORRUPT, list, "list of semaphores to undo does not end");
		if (array && has_adjustments(undo, nr_semaphores(array)))
			return true;
	}
	return false;
}

/* ---- message queues ------------------------------------------------------------------------ */

static struct ovm_rec_piece __host *piece(u64 address, u64 len)
{
	struct ovm_rec_piece __host *rec = llv_new(struct ovm_rec_piece);

	llv_bytes(&rec->bytes, address, len);
	return rec;
}

/* The text begins behind the message, and goes on behind each of its further pages. */
static void text(const struct msg_msg *message, u64 len, struct ovm_rec_ipc_message __host *rec)
{
	const struct msg_msgseg___ovm *segment = (const void *)message->next;
	u64 head = llv_sizeof(struct msg_msg), part = PAGE_SIZE - head;
	struct ovm_rec_piece __host *__host *link = &rec->pieces;

	if (part > len)
		part = len;
	*link = piece(OVM_IDENTITY(message) + head, part);
	link = &(*link)->next;
	head = llv_sizeof(struct msg_msgseg___ovm);
	for (len -= part; len; len -= part) {
		part = len < PAGE_SIZE - head ? len : PAGE_SIZE - head;
		*link = piece(OVM_IDENTITY(segment) + head, part);
		link = &(*link)->next;
		segment = segment->next;
	}
}

static void messages(const struct msg_queue___ovm *queue, struct ovm_rec_ipc_queue __host *rec)
{
	struct ovm_rec_ipc_message __host *__host *link = &rec->messages;
	const struct list_head *node = queue->q_messages.next;

	for (; node != &queue->q_messages; node = node->next) {
		const struct msg_msg *message = container_of(node, struct msg_msg, m_list);
		struct ovm_rec_ipc_message __host *to = llv_new(struct ovm_rec_ipc_message);

		if (++rec->nr_messages > MAX_MESSAGES)
			llv_fail(LLV_CORRUPT, queue, "message queue does not end");
		to->type = message->m_type;
		to->len = message->m_ts;
		rec->nr_bytes += to->len;
		if (to->len <= OVM_REC_IPC_MESSAGE_MAX)
			text(message, to->len, to);
		*link = to;
		link = &to->next;
	}
}

static void queues(const struct ipc_ids *ids, struct ovm_rec_ipc __host *ipc)
{
	struct ovm_rec_ipc_queue __host *__host *link = &ipc->queues;
	const struct kern_ipc_perm *perm;
	u64 index = 0;

	while ((perm = next_object(ids, &index))) {
		const struct msg_queue___ovm *queue = (const void *)perm;
		struct ovm_rec_ipc_queue __host *rec = llv_new(struct ovm_rec_ipc_queue);

		permissions(perm, &rec->perm);
		rec->max_bytes = queue->q_qbytes;
		messages(queue, rec);
		*link = rec;
		link = &rec->next;
	}
}

/* ---- the namespace ------------------------------------------------------------------------- */

static void limits(const struct ipc_namespace *ns, struct ovm_rec_ipc __host *rec)
{
	for (unsigned int i = 0; i < OVM_REC_NR_SEM_LIMITS; i++)
		rec->sem_limits[i] = ns->sem_ctls[i];
	rec->msg_max = ns->msg_ctlmax;
	rec->msg_queue_bytes = ns->msg_ctlmnb;
	rec->msg_queues = ns->msg_ctlmni;
	rec->shm_max = ns->shm_ctlmax;
	rec->shm_all = ns->shm_ctlall;
	rec->shm_segments = ns->shm_ctlmni;
	rec->shm_rmid_forced = ns->shm_rmid_forced;
	rec->mq_queues_max = ns->mq_queues_max;
	rec->mq_msg_max = ns->mq_msg_max;
	rec->mq_msgsize_max = ns->mq_msgsize_max;
	rec->mq_msg_default = ns->mq_msg_default;
	rec->mq_msgsize_default = ns->mq_msgsize_default;
	rec->nr_posix_queues = ns->mq_queues_count;
}

static int next_id(const struct ipc_ids *ids)
{
	return llv_field_exists(struct ipc_ids, next_id) ? ids->next_id : -1;
}

/* A process outside of the tree that lives in the namespace. */
static void find_holder(const struct ipc_namespace *ns, pid_t root,
			struct ovm_rec_holder __host *rec)
{
	struct task_struct *p, *thread;

	for_each_process_thread(p, thread)
	{
		if (!thread->nsproxy || thread->nsproxy->ipc_ns != ns || ovm_in_tree(p, root))
			continue;
		rec->pid = p->tgid;
		llv_strcpy(rec->comm, p->comm);
		return;
	}
}

/* Whether a process of the tree of @root has this id. */
static bool is_own(const struct pid *pid, pid_t root)
{
	const struct hlist_node *node = pid ? pid->tasks[PIDTYPE_TGID].first : NULL;

	return node &&
	       ovm_in_tree(container_of(node, struct task_struct, pid_links[PIDTYPE_TGID]), root);
}

static bool was_used(const struct sem_array___ovm *array, pid_t root)
{
	unsigned int nr = nr_semaphores(array);

	for (unsigned int i = 0; i < nr; i++)
		if (is_own(semaphore(array, i)->sempid, root))
			return true;
	return false;
}

/* What the initial namespace has is no part of the tree, but may be needed by it. */
static void used(const struct ipc_namespace *ns, struct ovm_rec_tree __host *tree)
{
	pid_t root = tree->processes->pid;
	const struct kern_ipc_perm *perm;
	u64 index = 0;

	while ((perm = next_object(&ns->ids[SEM_IDS], &index)))
		tree->nr_used_sems += was_used((const void *)perm, root);
	index = 0;
	while ((perm = next_object(&ns->ids[MSG_IDS], &index))) {
		const struct msg_queue___ovm *queue = (const void *)perm;

		tree->nr_used_queues +=
			is_own(queue->q_lspid, root) || is_own(queue->q_lrpid, root);
	}
}

LLV_SHARED void ovm_ipc(struct ovm_files __host *files)
{
	const struct ovm_rec_process __host *root = files->tree->processes;
	const struct task_struct *leader = (const struct task_struct *)root->task;
	struct ovm_rec_ipc __host *rec;
	const struct ipc_namespace *ns;

	if (root->zombie || !leader->nsproxy)
		return;
	ns = leader->nsproxy->ipc_ns;
	if (root->ns.ipc_initial) {
		used(ns, files->tree);
		return;
	}
	rec = llv_new(struct ovm_rec_ipc);
	files->tree->ipc = rec;
	rec->identity = OVM_IDENTITY(ns);
	limits(ns, rec);
	rec->sem_next_id = next_id(&ns->ids[SEM_IDS]);
	rec->msg_next_id = next_id(&ns->ids[MSG_IDS]);
	rec->shm_next_id = next_id(&ns->ids[SHM_IDS]);
	sems(&ns->ids[SEM_IDS], rec);
	queues(&ns->ids[MSG_IDS], rec);
	shm(files, &ns->ids[SHM_IDS]);
	attachments(files);
	find_holder(ns, root->pid, &rec->holder);
}

/* Whoever wants to write a segment needs it attached, or has to live in its namespace. */
LLV_SHARED void ovm_ipc_sharing(const struct ovm_rec_tree __host *tree)
{
	if (!tree->ipc || tree->ipc->holder.pid)
		return;
	for (struct ovm_rec_process __host *p = tree->processes; p; p = p->next)
		if (p->mm.used_by_others)
			return;
	for (struct ovm_rec_ipc_shm __host *s = tree->ipc->shm; s; s = s->next)
		s->pages->exclusive = s->nr_attached == s->nr_own;
}

static bool sems_held(struct kern_ipc_perm *perm)
{
	const struct sem_array___ovm *array = (const void *)perm;
	unsigned int nr = nr_semaphores(array);

	for (unsigned int i = 0; i < nr; i++)
		if (ovm_spin_held(&semaphore(array, i)->lock))
			return true;
	return false;
}

static bool pages_held(struct kern_ipc_perm *perm)
{
	const struct inode *inode = ((const struct shmid_kernel___ovm *)perm)->shm_file->f_inode;

	return ovm_spin_held(&inode->i_mapping->i_pages.xa_lock);
}

LLV_SHARED bool ovm_ipc_held(const struct task_struct *leader)
{
	const struct ipc_namespace *ns = leader->nsproxy ? leader->nsproxy->ipc_ns : NULL;
	bool own = ns && ns != init_task.nsproxy->ipc_ns;

	if (!ns)
		return false;
	for (unsigned int kind = SEM_IDS; kind <= SHM_IDS; kind++) {
		const struct ipc_ids *ids = &ns->ids[kind];
		struct kern_ipc_perm *perm;
		u64 index = 0;

		if (ovm_rwsem_write_held(&ids->rwsem))
			return true;
		/* In the initial one others are at work all the time: tables are enough. */
		while (own && (perm = next_object(ids, &index)))
			if (ovm_spin_held(&perm->lock) || (kind == SEM_IDS && sems_held(perm)) ||
			    (kind == SHM_IDS && pages_held(perm)))
				return true;
	}
	return false;
}
