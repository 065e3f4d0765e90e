// SPDX-License-Identifier: GPL-2.0-only
/*
 * All processes of the guest at a glance.
 */
#include <linux/sched/jobctl.h>

#include "extract.h"

/* TASK_* of linux/sched.h as ps(1) sees them: these bits have had their places since v4.14. */
enum {
	STATE_INTERRUPTIBLE = 0x1,
	STATE_UNINTERRUPTIBLE = 0x2,
	STATE_STOPPED = 0x4,
	STATE_TRACED = 0x8,
	STATE_EXIT_DEAD = 0x10,
	STATE_EXIT_ZOMBIE = 0x20,
	STATE_PARKED = 0x40,
	STATE_NOLOAD = 0x400,
	STATE_IDLE = STATE_UNINTERRUPTIBLE | STATE_NOLOAD,
};

/* The highest bit counts, as in task_state_index(). */
static char state_letter(const struct task_struct *p)
{
	unsigned int state = ovm_task_state(p), reported = state | (unsigned int)p->exit_state;

	if ((state & STATE_IDLE) == STATE_IDLE)
		return 'I';
	if (reported & STATE_PARKED)
		return 'P';
	if (reported & STATE_EXIT_ZOMBIE)
		return 'Z';
	if (reported & STATE_EXIT_DEAD)
		return 'X';
	if (reported & STATE_TRACED)
		return 't';
	if (reported & STATE_STOPPED)
		return 'T';
	if (reported & STATE_UNINTERRUPTIBLE)
		return 'D';
	return reported & STATE_INTERRUPTIBLE ? 'S' : 'R';
}

/*
 * In the freezer, and kept there: a stopped or traced thread counts as frozen too, but without the
 * bit it can be continued. Both came with 76f969e8948d ("cgroup: cgroup v2 freezer", v5.2).
 */
static bool is_frozen(const struct task_struct *p)
{
	return p->frozen && p->jobctl & JOBCTL_TRAP_FREEZE;
}

/* Count the threads in the freezer; the process is if all are that have not ended. */
static void frozen(struct task_struct *leader, struct ovm_rec_ps __host *rec)
{
	struct task_struct *p;
	bool all = true;

	list_for_each_entry(p, &leader->signal->thread_head, thread_node) {
		if (is_frozen(p))
			rec->nr_frozen++;
		else if (!p->exit_state)
			all = false;
	}
	if (rec->nr_frozen && all)
		rec->state = 'F';
}

static void memory(struct mm_struct *mm, struct ovm_rec_ps __host *rec)
{
	rec->pgd = OVM_IDENTITY(mm->pgd);
	rec->arg_start = mm->arg_start;
	rec->arg_end = mm->arg_end;
	rec->rss_pages = ovm_mm_counter(mm, MM_FILEPAGES) + ovm_mm_counter(mm, MM_ANONPAGES) +
			 ovm_mm_counter(mm, MM_SHMEMPAGES);
}

static struct ovm_rec_ps __host *one(struct task_struct *p)
{
	struct ovm_rec_ps __host *rec = llv_new(struct ovm_rec_ps);

	rec->pid = p->tgid;
	rec->ppid = p->real_parent->tgid;
	rec->vpid = ovm_pid_vnr(p->thread_pid);
	rec->uid = p->real_cred->euid.val;
	rec->nr_threads = p->signal->nr_threads;
	llv_strcpy(rec->comm, p->comm);
	rec->state = state_letter(p);
	rec->kernel_thread = !!(p->flags & PF_KTHREAD);
	if (!rec->kernel_thread && llv_field_exists(struct task_struct, frozen))
		frozen(p, rec);
	rec->in_initial_namespaces = ovm_in_initial_namespaces(p);
	rec->pid_ns = OVM_IDENTITY(ovm_task_pid_ns(p));
	if (p->nsproxy)
		rec->mnt_ns = OVM_IDENTITY(p->nsproxy->mnt_ns);
	ovm_cgroup_path(p, &rec->cgroup);
	/* The mm of a kernel thread is one that it borrows to serve user space. */
	if (p->mm && !rec->kernel_thread)
		memory(p->mm, rec);
	return rec;
}

LLV_ENTRY(ovm_extract_ps, struct ovm_extract_ps_args, args)
{
	struct ovm_rec_ps __host *__host *link = &args->list;
	struct task_struct *p;

	for_each_process(p) {
		*link = one(p);
		link = &(*link)->next;
		args->nr++;
	}
}
