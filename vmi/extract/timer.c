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
	MAX_STACK = 64 << 10,
};

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

/* By v7.2, a flag has taken the place of the state, of which only this bit was left. */
struct hrtimer___queued {
	bool is_queued;
};

LLV_SHARED bool ovm_hrtimer_queued(const struct hrtimer *timer)
{
	if (llv_field_exists(struct hrtimer___queued, is_queued))
		return ((const struct hrtimer___queued *)timer)->is_queued;
	return timer->state & HRTIMER_STATE_ENQUEUED;
}

static void sleep_until(const struct hrtimer *timer, struct ovm_rec_sleep __host *rec)
{
	rec->armed = 1;
	rec->clock = ovm_hrtimer_clock(timer->base);
	rec->expires = timer->node.expires;
	rec->soft_expires = timer->_softexpires;
}

/*
 * The kernel links from a timer to the thread that it wakes, not back. But every wait with a
 * time-out keeps its hrtimer_sleeper on the waiting thread's stack, where its function gives it
 * away. A sleeper of an earlier wait may have been left there; that one is not queued any more.
 */
LLV_SHARED void ovm_sleeper(const struct task_struct *p, struct ovm_rec_thread __host *t)
{
	const u64 wakeup = llv_symbol("hrtimer_wakeup");
	u64 sp = t->kernel_sp, top = t->regs_address;

	if (!wakeup)
		llv_fail(LLV_KERNEL, 0, "the kernel has no symbol hrtimer_wakeup");
	if (sp & 7 || sp >= top || top - sp > MAX_STACK)
		return;
	for (; sp < top; sp += sizeof(u64)) {
		if (llv_load_u64(sp) != wakeup)
			continue;
		const struct hrtimer *timer =
			(const struct hrtimer *)(sp - llv_offsetof(struct hrtimer, function));
		const struct hrtimer_sleeper *sleeper =
			container_of(timer, struct hrtimer_sleeper, timer);

		if (sleeper->task == p && ovm_hrtimer_queued(timer)) {
			sleep_until(timer, &t->sleep);
			return;
		}
	}
}

LLV_SHARED __s64 ovm_percpu_sum(__u64 address)
{
	unsigned int nr = ovm_nr_cpus();
	__s64 sum = 0;

	for (unsigned int cpu = 0; cpu < nr; cpu++)
		if (cpu_is_possible(cpu))
			sum += (s32)llv_load_u32(address + __per_cpu_offset[cpu]);
	return sum;
}

/* As percpu_counter_sum() has it. */
LLV_SHARED __s64 ovm_percpu_counter_sum(const struct percpu_counter *counter)
{
	return counter->count + ovm_percpu_sum((unsigned long)counter->counters);
}

static void real_itimer(struct signal_struct *signal, struct ovm_rec_itimer __host *rec)
{
	const struct hrtimer *timer = &signal->real_timer;

	rec->interval = signal->it_real_incr;
	if (ovm_hrtimer_queued(timer))
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
