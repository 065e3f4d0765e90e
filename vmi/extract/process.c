// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tree of processes, put together from what the other extractors find.
 */
#include <linux/oom.h>

#include "extract.h"

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

enum { MAX_PROCESSES = 1 << 20 };

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
	limits(signal, rec);
}

static void attributes(const struct task_struct *leader, struct ovm_rec_process __host *rec)
{
	rec->exit_code = leader->exit_code;
	rec->personality = leader->personality;
	rec->loginuid = ~0U;
	if (llv_field_exists(struct task_struct, loginuid))
		rec->loginuid = leader->loginuid.val;
	rec->has_sysv_undo = ovm_has_sem_undo(leader);
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

/* CRIU shares tables between a parent and its child only. */
static void descriptors(struct ovm_files __host *files, struct task_struct *leader,
			struct ovm_rec_process __host *rec)
{
	const struct ovm_rec_process __host *parent = rec->parent;

	rec->files_identity = OVM_IDENTITY(leader->files);
	if (parent && parent->files_identity == rec->files_identity) {
		rec->files_owner = parent->files_owner;
		rec->fds = parent->fds;
		rec->nr_fds = parent->nr_fds;
		return;
	}
	rec->files_owner = rec;
	ovm_fds(files, leader->files, rec);
}

static void resources(struct ovm_files __host *files, struct task_struct *leader,
		      struct ovm_rec_process __host *rec)
{
	const struct tty_struct *tty = leader->signal->tty;

	files->mnt_ns = rec->ns.mnt;
	if (tty)
		rec->tty = ovm_tty(files, tty);
	if (leader->files)
		descriptors(files, leader, rec);
	if (leader->fs)
		ovm_fs(files, leader->fs, &rec->fs);
	if (leader->mm) {
		ovm_mm(files, leader->mm, &rec->mm);
		dumpable(leader, &rec->mm);
	}
}

static void living(struct ovm_files __host *files, struct task_struct *leader,
		   struct ovm_rec_process __host *rec)
{
	rec->threads = ovm_threads(leader, true);
	count_threads(rec);
	ovm_sigactions(leader->sighand, rec);
	group_state(leader->signal, rec);
	ovm_itimers(leader->signal, rec);
	ovm_posix_timers(leader, rec);
	attributes(leader, rec);
	ovm_cgroup_path(leader, &rec->cgroup);
	resources(files, leader, rec);
}

/* A signal that ends all threads says how they ended. */
static void dead(struct task_struct *leader, struct ovm_rec_process __host *rec)
{
	const struct signal_struct *signal = leader->signal;

	rec->zombie = 1;
	rec->threads = ovm_zombie_thread(leader);
	rec->nr_threads = 1;
	rec->signal_flags = signal->flags;
	rec->exit_code =
		signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : leader->exit_code;
	rec->group_exit_code = signal->group_exit_code;
}

static struct ovm_rec_process __host *process(struct ovm_files __host *files,
					      struct task_struct *leader,
					      struct ovm_rec_process __host *parent)
{
	struct ovm_rec_process __host *rec = llv_new(struct ovm_rec_process);

	rec->index = files->tree->nr_processes++;
	if (rec->index >= MAX_PROCESSES)
		llv_fail(LLV_CORRUPT, leader, "tree of processes does not end");
	rec->parent = parent;
	identity(leader, rec);
	ovm_namespaces(leader, &rec->ns);
	if (ovm_is_zombie(leader))
		dead(leader, rec);
	else
		living(files, leader, rec);
	files->tree->nr_threads += rec->nr_threads;
	return rec;
}

/* Each thread has its own list of the children that it made; appended at @link. */
static struct ovm_rec_process __host *__host *children(struct ovm_files __host *files,
						       struct ovm_rec_process __host *parent,
						       struct ovm_rec_process __host *__host *link)
{
	const struct task_struct *leader = (const struct task_struct *)parent->task, *thread;
	struct task_struct *child;

	list_for_each_entry(thread, &leader->signal->thread_head, thread_node)
		list_for_each_entry(child, &thread->children, sibling) {
			if (child->real_parent != thread || child->group_leader != child)
				llv_fail(LLV_CORRUPT, child, "child does not know its parent");
			*link = process(files, child, parent);
			link = &(*link)->next;
		}
	return link;
}

LLV_ENTRY(ovm_extract_tree, struct ovm_extract_tree_args, args)
{
	struct task_struct *leader = ovm_find_leader(args->pid);
	struct ovm_rec_tree __host *tree = llv_new(struct ovm_rec_tree);
	struct ovm_files __host *files = llv_new(struct ovm_files);
	struct ovm_rec_process __host *__host *link;

	if (!leader)
		llv_fail(LLV_NOT_FOUND, 0, "no process with this pid in the guest");
	files->tail = &tree->files;
	files->tree = tree;
	files->ghost_limit = args->ghost_limit;
	tree->processes = process(files, leader, NULL);
	link = &tree->processes->next;
	for (struct ovm_rec_process __host *p = tree->processes; p; p = p->next)
		link = children(files, p, link);
	ovm_passed_files(files);
	ovm_file_holders(files, args->pid);
	ovm_shmem_objects(files);
	ovm_ipc(files);
	ovm_sharing(files);
	ovm_ipc_sharing(tree);
	args->tree = tree;
}
