// SPDX-License-Identifier: GPL-2.0-only
/*
 * A whole process, put together from what the other extractors find.
 */
#include <linux/oom.h>

#include "extract.h"

/* Private to ipc/sem.c. Threads share a list, which is there even when they never use it. */
struct sem_undo_list___ovm {
	struct list_head list_proc;
};

/* Bits, until they became booleans by v7.2: both fit here. */
struct signal_struct___subreaper {
	unsigned int is_child_subreaper;
	unsigned int has_child_subreaper;
};

/* By v7.2, whether memory may be dumped belongs to the program that a task executes. */
struct task_exec_state___ovm {
	unsigned int dumpable;
};

struct task_struct___exec_state {
	struct task_exec_state___ovm *exec_state;
};

enum { MAX_CHILDREN = 1 << 20 };

static void identity(struct task_struct *leader, struct ovm_rec_process __host *rec)
{
	const struct signal_struct *signal = leader->signal;
	const struct pid *group = signal->pids[PIDTYPE_PGID], *session = signal->pids[PIDTYPE_SID];

	rec->task = OVM_IDENTITY(leader);
	rec->pid = leader->tgid;
	rec->ppid = leader->real_parent->tgid;
	rec->vpid = ovm_pid_vnr(leader->thread_pid);
	rec->pgid = ovm_pid_nr(group);
	rec->vpgid = ovm_pid_vnr(group);
	rec->sid = ovm_pid_nr(session);
	rec->vsid = ovm_pid_vnr(session);
}

/* Each thread has its own list of the children that it made. */
static unsigned int count_children(const struct task_struct *leader)
{
	const struct task_struct *thread, *child;
	unsigned int nr = 0;

	list_for_each_entry(thread, &leader->signal->thread_head, thread_node)
		list_for_each_entry(child, &thread->children, sibling)
			if (++nr > MAX_CHILDREN)
				llv_fail(LLV_CORRUPT, thread, "list of children does not end");
	return nr;
}

static void count_threads(struct ovm_rec_process __host *rec)
{
	for (struct ovm_rec_thread __host *t = rec->threads; t; t = t->next) {
		rec->nr_threads++;
		rec->has_io_uring |= t->io_uring != 0;
	}
}

static void limits(const struct signal_struct *signal, struct ovm_rec_process __host *rec)
{
	for (unsigned int i = 0; i < OVM_REC_NR_RLIMITS; i++) {
		rec->rlimits[i].cur = signal->rlim[i].rlim_cur;
		rec->rlimits[i].max = signal->rlim[i].rlim_max;
	}
	rec->oom_score_adj = signal->oom_score_adj;
}

static void group_state(const struct signal_struct *signal, struct ovm_rec_process __host *rec)
{
	const struct signal_struct___subreaper *subreaper = (const void *)signal;

	rec->shared_pending = ovm_pending(&signal->shared_pending);
	rec->signal_flags = signal->flags;
	rec->group_exit_code = signal->group_exit_code;
	rec->stopped = !!(signal->flags & SIGNAL_STOP_STOPPED);
	rec->child_subreaper = subreaper->is_child_subreaper;
	rec->has_child_subreaper = subreaper->has_child_subreaper;
	rec->has_tty = signal->tty != NULL;
	limits(signal, rec);
}

static bool has_sysv_undo(const struct task_struct *leader)
{
	if (!llv_field_exists(struct task_struct, sysvsem) || !leader->sysvsem.undo_list)
		return false;
	const struct sem_undo_list___ovm *undo = (const void *)leader->sysvsem.undo_list;

	return undo->list_proc.next != &undo->list_proc;
}

static void attributes(const struct task_struct *leader, struct ovm_rec_process __host *rec)
{
	rec->exit_code = leader->exit_code;
	rec->personality = leader->personality;
	rec->loginuid = ~0U;
	if (llv_field_exists(struct task_struct, loginuid))
		rec->loginuid = leader->loginuid.val;
	rec->has_sysv_undo = has_sysv_undo(leader);
}

static void dumpable(const struct task_struct *leader, struct ovm_rec_mm __host *mm)
{
	if (!llv_field_exists(struct task_struct___exec_state, exec_state))
		return;
	const struct task_exec_state___ovm *state =
		((const struct task_struct___exec_state *)leader)->exec_state;

	if (state)
		mm->dumpable = state->dumpable;
}

static struct ovm_files __host *make_files(const struct task_struct *leader,
					   struct ovm_rec_process __host *rec)
{
	struct ovm_files __host *files = llv_new(struct ovm_files);

	files->tail = &rec->files;
	files->mnt_ns = rec->ns.mnt;
	files->owner = OVM_IDENTITY(leader->files);
	files->process = rec;
	return files;
}

static void resources(struct task_struct *leader, struct ovm_rec_process __host *rec)
{
	struct ovm_files __host *files = make_files(leader, rec);

	if (leader->files) {
		ovm_fds(files, leader->files, rec);
		ovm_file_holders(files, leader);
	}
	if (leader->fs)
		ovm_fs(files, leader->fs, &rec->fs);
	if (leader->mm) {
		ovm_mm(files, leader->mm, &rec->mm);
		dumpable(leader, &rec->mm);
	}
	ovm_shmem_objects(rec);
}

LLV_ENTRY(ovm_extract_process, struct ovm_extract_process_args, args)
{
	struct task_struct *leader = ovm_find_leader(args->pid);

	if (!leader)
		llv_fail(LLV_NOT_FOUND, 0, "no process with this pid in the guest");
	struct ovm_rec_process __host *rec = llv_new(struct ovm_rec_process);

	args->process = rec;
	identity(leader, rec);
	ovm_namespaces(leader, &rec->ns);
	rec->threads = ovm_threads(leader, true);
	count_threads(rec);
	rec->nr_children = count_children(leader);
	ovm_sigactions(leader->sighand, rec);
	group_state(leader->signal, rec);
	ovm_itimers(leader->signal, rec);
	ovm_posix_timers(leader, rec);
	attributes(leader, rec);
	ovm_cgroup_path(leader, &rec->cgroup);
	resources(leader, rec);
	ovm_sharing(leader, rec);
}
