/* SPDX-License-Identifier: GPL-2.0-only */
/* What the extractors of timers share. */
#ifndef OVM_VMI_EXTRACT_TIMER_H
#define OVM_VMI_EXTRACT_TIMER_H

#include <linux/hrtimer.h>
#include <linux/percpu_counter.h>
#include <linux/posix-timers.h>
#include <linux/sched/signal.h>

#include "record.h"

/* Consumed CPU time, ns. */
struct ovm_cpu_times {
	__u64 utime, stime, sum_exec_runtime;
};

/** Time that a whole thread group has consumed, on the counters that its timers compare with. */
LLV_SHARED void ovm_cpu_time(struct signal_struct *signal, struct ovm_cpu_times __host *ret);
/** Clock on which a base's timers expire: CLOCK_MONOTONIC and so on. */
LLV_SHARED __s32 ovm_hrtimer_clock(const struct hrtimer_clock_base *base);
/** Whether a timer is going to expire. */
LLV_SHARED bool ovm_hrtimer_queued(const struct hrtimer *timer);
/** Sum over the CPUs of the 32-bit integer at a per-CPU address. */
LLV_SHARED __s64 ovm_percpu_sum(__u64 address);
LLV_SHARED __s64 ovm_percpu_counter_sum(const struct percpu_counter *counter);

#endif /* OVM_VMI_EXTRACT_TIMER_H */
