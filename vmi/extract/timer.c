// SPDX-License-Identifier: GPL-2.0-only
/*
 * hrtimers: sleeping threads and interval timers.
 */
#include <linux/hrtimer.h>
#include <linux/rbtree.h>

#include "extract.h"
#include "timer.h"

enum {
	/* Clocks have a base for hard and one for soft interrupts, in this order (linux/hrtimer.h).
	 */
	HRTIMER_NR_CLOCKS = 4,
	MAX_CPUS = OVM_EXTRACT_CPU_WORDS * 64,
};

/* static in the kernel, though in kallsyms */
extern struct hrtimer_cpu_base hrtimer_bases;

static bool cpu_is_possible(unsigned int cpu)
{
	const unsigned long *bits = __cpu_possible_mask.bits;

	return llv_load_u64(&bits[cpu / 64]) >> (cpu % 64) & 1;
}

LLV_SHARED unsigned int ovm_nr_cpus(void)
{
	u64 nr = llv_field_count(struct cpumask, bits) * 64;

	if (llv_symbol_exists("nr_cpu_ids")) {
		u64 ids = llv_load_u32(llv_symbol("nr_cpu_ids"));

		if (ids < nr)
			nr = ids;
	}
	return nr < MAX_CPUS ? nr : MAX_CPUS;
}

/* rb_next() of lib/rbtree.c: the low two bits of a parent pointer are colour and padding. */
static struct rb_node *rb_successor(struct rb_node *node)
{
	if (node->rb_right) {
		node = node->rb_right;
		while (node->rb_left)
			node = node->rb_left;
		return node;
	}
	for (;;) {
		struct rb_node *parent = (struct rb_node *)(node->__rb_parent_color & ~3UL);

		if (!parent || node != parent->rb_right)
			return parent;
		node = parent;
	}
}

/* Clock of a base, by its place: the clockid member was last in Linux 6.1. */
LLV_SHARED __s32 ovm_hrtimer_clock(const struct hrtimer_clock_base *base)
{
	switch (base->index % HRTIMER_NR_CLOCKS) {
	case HRTIMER_BASE_REALTIME:
		return CLOCK_REALTIME;
	case HRTIMER_BASE_BOOTTIME:
		return CLOCK_BOOTTIME;
	case HRTIMER_BASE_TAI:
		return CLOCK_TAI;
	default:
		return CLOCK_MONOTONIC;
	}
}

static void wake_one(const struct hrtimer *timer, struct task_struct *leader,
		     struct ovm_rec_thread __host *threads)
{
	const struct hrtimer_sleeper *sleeper = container_of(timer, struct hrtimer_sleeper, timer);
	const struct task_struct *task = sleeper->task;

	/* The task is gone from a sleeper that has just been woken. */
	if (!task || task->group_leader != leader)
		return;
	for (struct ovm_rec_thread __host *t = threads; t; t = t->next) {
		if (t->task != OVM_IDENTITY(task))
			continue;
		t->sleep.armed = 1;
		t->sleep.clock = ovm_hrtimer_clock(timer->base);
		t->sleep.expires = timer->node.expires;
		t->sleep.soft_expires = timer->_softexpires;
	}
}

static void walk_base(const struct hrtimer_clock_base *base, struct task_struct *leader,
		      struct ovm_rec_thread __host *threads)
{
	const u64 wakeup = llv_symbol("hrtimer_wakeup");
	struct rb_node *node = base->active.rb_root.rb_leftmost;

	for (; node; node = rb_successor(node)) {
		const struct timerqueue_node *queued =
			container_of(node, struct timerqueue_node, node);
		const struct hrtimer *timer = container_of(queued, struct hrtimer, node);

		if (OVM_IDENTITY(timer->function) == wakeup)
			wake_one(timer, leader, threads);
	}
}

LLV_SHARED void ovm_sleepers(struct task_struct *leader, struct ovm_rec_thread __host *threads)
{
	unsigned int nr = ovm_nr_cpus(),
		     bases = llv_field_count(struct hrtimer_cpu_base, clock_base);

	if (!llv_symbol_exists("hrtimer_wakeup"))
		llv_fail(LLV_KERNEL, 0, "the kernel has no symbol hrtimer_wakeup");
	for (unsigned int cpu = 0; cpu < nr; cpu++) {
		if (!cpu_is_possible(cpu))
			continue;
		const struct hrtimer_cpu_base *base = llv_per_cpu(hrtimer_bases, cpu);
		const struct hrtimer_clock_base *clocks = base->clock_base;

		for (unsigned int i = 0; i < bases; i++)
			walk_base(&clocks[i], leader, threads);
	}
}

LLV_SHARED bool ovm_hrtimer_bases_held(void)
{
	unsigned int nr = ovm_nr_cpus();

	for (unsigned int cpu = 0; cpu < nr; cpu++) {
		if (!cpu_is_possible(cpu))
			continue;
		const struct hrtimer_cpu_base *base = llv_per_cpu(hrtimer_bases, cpu);

		if (ovm_raw_spin_held(&base->lock))
			return true;
	}
	return false;
}

/* Sum of a per-CPU array of counters, as percpu_counter_sum() has it. */
LLV_SHARED __s64 ovm_percpu_counter_sum(const struct percpu_counter *counter)
{
	unsigned int nr = ovm_nr_cpus();
	__s64 sum = counter->count;

	for (unsigned int cpu = 0; cpu < nr; cpu++)
		if (cpu_is_possible(cpu))
			sum += (s32)llv_load_u32((unsigned long)counter->counters +
						 __per_cpu_offset[cpu]);
	return sum;
}

static void real_itimer(struct signal_struct *signal, struct ovm_rec_itimer __host *rec)
{
	const struct hrtimer *timer = &signal->real_timer;

	rec->interval = signal->it_real_incr;
	if (timer->state & HRTIMER_STATE_ENQUEUED)
		rec->expires = timer->node.expires;
}

static void cpu_itimer(const struct cpu_itimer *timer, struct ovm_rec_itimer __host *rec)
{
	rec->expires = timer->expires;
	rec->interval = timer->incr;
}

LLV_SHARED void ovm_cpu_time(struct signal_struct *signal, struct ovm_cpu_times __host *ret)
{
	struct task_struct *p;

	/*
	 * While a timer of the group is armed, time is counted in the group's own counters, and
	 * those are what expiry is compared with (kernel/time/posix-cpu-timers.c).
	 */
	if (signal->posix_cputimers.timers_active) {
		const struct task_cputime_atomic *times = &signal->cputimer.cputime_atomic;

		ret->utime = times->utime.counter;
		ret->stime = times->stime.counter;
		ret->sum_exec_runtime = times->sum_exec_runtime.counter;
		return;
	}
	ret->utime = signal->utime;
	ret->stime = signal->stime;
	ret->sum_exec_runtime = signal->sum_sched_runtime;
	list_for_each_entry(p, &signal->thread_head, thread_node) {
		ret->utime += p->utime;
		ret->stime += p->stime;
		ret->sum_exec_runtime += p->se.sum_exec_runtime;
	}
}

LLV_SHARED void ovm_itimers(struct signal_struct *signal, struct ovm_rec_process __host *rec)
{
	struct ovm_cpu_times __host *times = llv_new(struct ovm_cpu_times);

	real_itimer(signal, &rec->real);
	cpu_itimer(&signal->it[CPUCLOCK_VIRT], &rec->virt);
	cpu_itimer(&signal->it[CPUCLOCK_PROF], &rec->prof);
	ovm_cpu_time(signal, times);
	rec->utime = times->utime;
	rec->stime = times->stime;
	rec->sum_exec_runtime = times->sum_exec_runtime;
}
