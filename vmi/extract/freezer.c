// SPDX-License-Identifier: GPL-2.0-only
/*
 * What has to be known to stop threads in the kernel's freezer, and to wake them.
 */
#include <linux/cgroup-defs.h>
#include <linux/smp.h>
#include <asm/desc_defs.h>
#include <asm/irq_vectors.h>

#include "extract.h"

/* kernel/sched/sched.h */
struct rq___ovm {
	unsigned int ttwu_pending;
};

/*
 * Since 8c4890d1c3358 ("smp, irq_work: Continue smp_call_function*() and irq_work*() integration",
 * v5.8), wake-ups of other CPUs travel in the list of function calls.
 */
struct task_struct___wake {
	struct __call_single_node wake_entry;
};

struct rseq_data; /* asked for by name only */

extern rwlock_t tasklist_lock;
extern struct cpumask __cpu_online_mask;

enum {
	/* TIF_SIGPENDING; see NEED_FPU_LOAD_BIT in fpu.c. */
	SIGPENDING_BIT = 2,
	SIGPENDING_BIT_GENERIC = 1,
	MAX_GENERATIONS = 4096,
};

static bool in_tree(const struct task_struct *p, pid_t root)
{
	for (unsigned int i = 0; i < MAX_GENERATIONS && p->tgid; i++) {
		if (p->tgid == root)
			return true;
		p = p->real_parent;
	}
	return false;
}

static bool is_in_mask(const struct cpumask *mask, unsigned int cpu)
{
	const unsigned long *bits = mask->bits;

	return cpu < ovm_nr_cpus() && llv_load_u64(&bits[cpu / 64]) >> (cpu % 64) & 1;
}

static bool cgroup_is_frozen(const struct task_struct *p)
{
	if (!p->cgroups || !p->cgroups->dfl_cgrp)
		return false;
	return p->cgroups->dfl_cgrp->flags >> CGRP_FREEZE & 1;
}

static void wake_entry(const struct task_struct *p, struct ovm_rec_freezable __host *t)
{
	const struct task_struct___wake *w = (const void *)p;

	t->wake_node = OVM_IDENTITY(&w->wake_entry.llist);
	t->wake_next = OVM_IDENTITY(w->wake_entry.llist.next);
	t->wake_valid = w->wake_entry.u_flags == CSD_TYPE_TTWU;
	t->remote_wakeup = p->sched_remote_wakeup;
}

static struct ovm_rec_freezable __host *one(const struct task_struct *p)
{
	struct ovm_rec_freezable __host *t = llv_new(struct ovm_rec_freezable);

	t->task = OVM_IDENTITY(p);
	t->tid = p->pid;
	t->tgid = p->tgid;
	llv_strcpy(t->comm, p->comm);
	t->state = ovm_task_state(p);
	t->exit_state = p->exit_state;
	t->jobctl = p->jobctl;
	t->flags = p->flags;
	t->tif_flags = p->thread_info.flags;
	t->pending = p->pending.signal.sig[0];
	t->cpu = ovm_task_cpu(p);
	t->on_cpu = p->on_cpu != 0;
	t->on_rq = p->on_rq != 0;
	t->frozen = p->frozen;
	t->cgroup_frozen = cgroup_is_frozen(p);
	t->siglock_held = !p->sighand || ovm_spin_held(&p->sighand->siglock);
	t->pi_lock_held = ovm_raw_spin_held(&p->pi_lock);
	t->cpu_allowed = is_in_mask(p->cpus_ptr, t->cpu);
	wake_entry(p, t);
	if (!t->on_cpu)
		t->wchan = ovm_wait_channel(p);
	return t;
}

static void threads(struct ovm_rec_freezer __host *f)
{
	struct ovm_rec_freezable __host *__host *link = &f->threads;
	struct task_struct *leader, *p;

	for_each_process(leader) {
		if (leader->flags & PF_KTHREAD || !in_tree(leader, f->pid))
			continue;
		list_for_each_entry(p, &leader->signal->thread_head, thread_node) {
			*link = one(p);
			link = &(*link)->next;
			f->nr_threads++;
		}
	}
}

static void cpus(struct ovm_rec_freezer __host *f)
{
	struct ovm_rec_wake_cpu __host *__host *link = &f->cpus;
	unsigned int nr = ovm_nr_cpus();

	for (unsigned int cpu = 0; cpu < nr; cpu++) {
		if (!is_in_mask(&__cpu_online_mask, cpu))
			continue;
		struct ovm_rec_wake_cpu __host *c = llv_new(struct ovm_rec_wake_cpu);
		u64 base = __per_cpu_offset[cpu];

		c->cpu = cpu;
		c->online = 1;
		c->apic_id = llv_load_u16(llv_symbol("x86_cpu_to_apicid") + base);
		c->queue = llv_symbol("call_single_queue") + base;
		c->queue_first = OVM_IDENTITY(((const struct llist_head *)c->queue)->first);
		c->rq = llv_symbol("runqueues") + base;
		c->ttwu_pending = ((const struct rq___ovm *)c->rq)->ttwu_pending;
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
	       llv_field_exists(struct task_struct___wake, wake_entry) &&
	       llv_field_exists(struct rq___ovm, ttwu_pending) &&
	       llv_symbol_exists("call_single_queue") && llv_symbol_exists("runqueues") &&
	       llv_symbol_exists("x86_cpu_to_apicid") && llv_symbol_exists("idt_table");
}

LLV_ENTRY(ovm_extract_freezer, struct ovm_extract_freezer_args, args)
{
	struct ovm_rec_freezer __host *f = args->freezer;

	f->supported = supported();
	if (!f->supported)
		return;
	f->busy = ovm_rwlock_write_held(&tasklist_lock);
	if (f->busy)
		return;
	f->sigpending_bit =
		llv_type_exists(struct rseq_data) ? SIGPENDING_BIT_GENERIC : SIGPENDING_BIT;
	f->gate = gate();
	cpus(f);
	threads(f);
}
