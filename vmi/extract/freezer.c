// SPDX-License-Identifier: GPL-2.0-only
/*
 * What has to be known to stop threads in the kernel's freezer, and to wake them.
 *
 * The guest runs meanwhile, or may: lists can change under the walk, which then ends in an error or
 * misses something new; the caller looks again.
 */
#include <linux/cgroup-defs.h>
#include <linux/smp.h>
#include <asm/desc_defs.h>
#include <asm/irq_vectors.h>

#include "extract.h"

/* kernel/sched/sched.h */
struct rq___ovm {
	struct task_struct *idle;
};

/*
 * Since 4b44a21dd640 ("irq_work, smp: Allow irq_work on call_single_queue", v5.8), entries of the
 * queue of calls say what they are.
 */
struct __call_single_data___node {
	struct __call_single_node node;
};

extern struct cpumask __cpu_online_mask;

enum {
	/* TIF_SIGPENDING; see NEED_FPU_LOAD_BIT in fpu.c. */
	SIGPENDING_BIT = 2,
	SIGPENDING_BIT_GENERIC = 1,
	MAX_THREADS = 1 << 20,
	TRAP_FREEZE = 1 << 23, /* linux/sched/jobctl.h */
};

static bool is_in_mask(const struct cpumask *mask, unsigned int cpu)
{
	const unsigned long *bits = mask->bits;

	return llv_load_u64(&bits[cpu / 64]) >> (cpu % 64) & 1;
}

static bool cgroup_is_frozen(const struct task_struct *p)
{
	if (!p->cgroups || !p->cgroups->dfl_cgrp)
		return false;
	return p->cgroups->dfl_cgrp->flags >> CGRP_FREEZE & 1;
}

static struct ovm_rec_freezable __host *one(struct task_struct *p,
					    const struct ovm_rec_freezer __host *f)
{
	struct ovm_rec_freezable __host *t = llv_new(struct ovm_rec_freezable);

	t->task = OVM_IDENTITY(p);
	t->sighand = OVM_IDENTITY(p->sighand);
	t->signal = OVM_IDENTITY(p->signal);
	t->tid = p->pid;
	t->tgid = p->tgid;
	t->start_time = p->start_time;
	llv_strcpy(t->comm, p->comm);
	t->state = ovm_task_state(p);
	t->exit_state = p->exit_state;
	t->jobctl = p->jobctl;
	t->flags = p->flags;
	t->cgroup_frozen = cgroup_is_frozen(p);
	if (!f->pid)
		ovm_cgroup_path(p, &t->cgroup);
	if (f->with_wchan && !p->on_cpu)
		t->wchan = ovm_wait_channel(p);
	return t;
}

/* Append the threads of a group at @link; returns where the next one goes. */
static struct ovm_rec_freezable __host *__host *threads_of(struct task_struct *leader,
							   struct ovm_rec_freezer __host *f,
							   struct ovm_rec_freezable
							   __host *__host *link)
{
	struct task_struct *p;

	list_for_each_entry(p, &leader->signal->thread_head, thread_node) {
		if (p->tgid != leader->tgid || f->nr_threads >= MAX_THREADS)
			llv_fail(LLV_CORRUPT, p, "list of threads leads out of the group");
		struct ovm_rec_freezable __host *t = one(p, f);

		*link = t;
		link = &t->next;
		f->nr_threads++;
	}
	return link;
}

/* TCP sockets of a process that are held; those of one that runs are none of ours. */
static void held_sockets(struct task_struct *leader, struct ovm_rec_freezer __host *f)
{
	if (!(leader->jobctl & TRAP_FREEZE) || !leader->frozen || !leader->files)
		return;
	const struct fdtable *fdt = leader->files->fdt;

	for (unsigned int base = 0; base < fdt->max_fds; base += BITS_PER_LONG) {
		unsigned long open = fdt->open_fds[base / BITS_PER_LONG];

		for (unsigned int bit = 0; open; bit++, open >>= 1) {
			const struct file *file = open & 1 ? fdt->fd[base + bit] : NULL;
			const struct sock *sk = file ? ovm_inode_sock(file->f_inode) : NULL;

			if (!sk || !ovm_sock_is_inet(sk) || !ovm_inet_socket_is_ours(sk))
				continue;
			struct ovm_rec_held __host *held = llv_new(struct ovm_rec_held);

			held->tgid = leader->tgid;
			held->sk = OVM_IDENTITY(sk);
			held->next = f->held;
			f->held = held;
		}
	}
}

static void threads(struct ovm_rec_freezer __host *f)
{
	struct ovm_rec_freezable __host *__host *link = &f->threads;
	struct task_struct *leader;

	for_each_process(leader) {
		if (f->pid && !ovm_in_tree(leader, f->pid))
			continue;
		if (leader->flags & PF_KTHREAD) {
			f->has_kernel_threads |= f->pid == leader->tgid;
			continue;
		}
		link = threads_of(leader, f, link);
		if (f->with_held)
			held_sockets(leader, f);
	}
}

static void cpus(struct ovm_rec_freezer __host *f)
{
	struct ovm_rec_freezer_cpu __host *__host *link = &f->cpus;
	unsigned int nr = ovm_nr_cpus();

	for (unsigned int cpu = 0; cpu < nr; cpu++) {
		if (!is_in_mask(&__cpu_online_mask, cpu))
			continue;
		struct ovm_rec_freezer_cpu __host *c = llv_new(struct ovm_rec_freezer_cpu);
		u64 base = __per_cpu_offset[cpu];
		const struct rq___ovm *rq = (const void *)(llv_symbol("runqueues") + base);

		c->cpu = cpu;
		/* 16 bits wide, or 32 in newer kernels: what is beyond 8 is of no use anyway. */
		c->apic_id = llv_load_u16(llv_symbol("x86_cpu_to_apicid") + base);
		c->queue = llv_symbol("call_single_queue") + base;
		c->idle_stack = OVM_IDENTITY(rq->idle->stack);
		c->idle_sp = rq->idle->thread.sp;
		*link = c;
		link = &c->next;
	}
}

static u64 gate(void)
{
	const gate_desc *idt = (const gate_desc *)llv_symbol("idt_table");
	const gate_desc *g = &idt[CALL_FUNCTION_SINGLE_VECTOR];

	return g->offset_low | (u64)g->offset_middle << 16 | (u64)g->offset_high << 32;
}

static bool supported(void)
{
	return llv_field_exists(struct task_struct, frozen) &&
	       llv_field_exists(struct __call_single_data___node, node) &&
	       llv_field_exists(struct rq___ovm, idle) && llv_symbol_exists("call_single_queue") &&
	       llv_symbol_exists("runqueues") && llv_symbol_exists("x86_cpu_to_apicid") &&
	       llv_symbol_exists("idt_table") && llv_symbol_exists("wake_up_process");
}

LLV_ENTRY(ovm_extract_freezer, struct ovm_extract_freezer_args, args)
{
	struct ovm_rec_freezer __host *f = args->freezer;

	f->supported = supported();
	if (!f->supported)
		return;
	f->sigpending_bit = ovm_has_generic_flags() ? SIGPENDING_BIT_GENERIC : SIGPENDING_BIT;
	f->gate = gate();
	cpus(f);
	if (f->pid >= 0)
		threads(f);
}
