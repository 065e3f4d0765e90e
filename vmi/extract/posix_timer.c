// SPDX-License-Identifier: GPL-2.0-only
/*
 * POSIX timers: those of timer_create(2).
 */
#include <linux/posix-timers.h>

#include "extract.h"
#include "timer.h"

/* "posix-timers: Convert timer list to hlist" (v6.12). */
struct k_itimer___hlist {
	struct hlist_node list;
};

struct signal_struct___hlist {
	struct hlist_head posix_timers;
};

/* 6017a158beb1 ("posix-timers: Embed sigqueue in struct k_itimer", v6.13). */
struct k_itimer___embedded {
	struct sigqueue sigq;
};

/* "posix-timers: Make signal delivery consistent" (v6.13): a state instead of two flags. */
struct k_itimer___status {
	int it_status;
};

enum {
	/* it_requeue_pending: a signal is queued, the timer is to be started again after it. */
	REQUEUE_PENDING_BIT = 1,
	/* enum posix_timer_state */
	STATUS_REQUEUE_PENDING = 2,
	MAX_TIMERS = 1 << 20,
	CLOCK_WHICH = 3,
	CLOCK_PER_THREAD = 4,
};

static const struct sigqueue *timer_sigqueue(const struct k_itimer *timer)
{
	if (llv_field_exists(struct k_itimer___embedded, sigq.info))
		return &((const struct k_itimer___embedded *)timer)->sigq;
	return timer->sigq;
}

static bool requeue_pending(const struct k_itimer *timer)
{
	if (llv_field_exists(struct k_itimer___status, it_status))
		return ((const struct k_itimer___status *)timer)->it_status ==
		       STATUS_REQUEUE_PENDING;
	return timer->it_requeue_pending & REQUEUE_PENDING_BIT;
}

/* Clock ids below zero, and those of a process and a thread, count consumed CPU time. */
static bool counts_cpu_time(clockid_t clock)
{
	return clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
}

static bool is_alarm(clockid_t clock)
{
	return clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM;
}

static u64 sample(const struct ovm_cpu_times __host *times, clockid_t clock)
{
	switch (clock & CLOCK_WHICH) {
	case CPUCLOCK_PROF:
		return times->utime + times->stime;
	case CPUCLOCK_VIRT:
		return times->utime;
	default:
		return times->sum_exec_runtime;
	}
}

/* The task that a per-thread timer watches is the one that its pid is attached to first. */
static const struct task_struct *watched(const struct cpu_timer *timer)
{
	if (!timer->pid || !timer->pid->tasks[PIDTYPE_PID].first)
		return NULL;
	return container_of(timer->pid->tasks[PIDTYPE_PID].first, struct task_struct,
			    pid_links[PIDTYPE_PID]);
}

static u64 cpu_clock_now(struct signal_struct *signal, const struct k_itimer *timer)
{
	struct ovm_cpu_times __host *times = llv_new(struct ovm_cpu_times);
	clockid_t clock = timer->it_clock;
	const struct task_struct *p = NULL;

	if (clock == CLOCK_PROCESS_CPUTIME_ID || (clock < 0 && !(clock & CLOCK_PER_THREAD))) {
		ovm_cpu_time(signal, times);
	} else {
		p = watched(&timer->it.cpu);
		if (!p)
			return 0;
		times->utime = p->utime;
		times->stime = p->stime;
		times->sum_exec_runtime = p->se.sum_exec_runtime;
	}
	return clock < 0 ? sample(times, clock) : times->sum_exec_runtime;
}

static void expiry(struct signal_struct *signal, const struct k_itimer *timer,
		   struct ovm_rec_posix_timer __host *rec)
{
	rec->signal_pending = requeue_pending(timer);
	if (counts_cpu_time(rec->clock)) {
		rec->cpu_timer = 1;
		rec->armed = timer->it.cpu.head != NULL;
		rec->expires = timer->it.cpu.node.expires;
		rec->cpu_now = cpu_clock_now(signal, timer);
	} else if (is_alarm(rec->clock)) {
		rec->armed = timer->it.alarm.alarmtimer.state & ALARMTIMER_STATE_ENQUEUED;
		rec->expires = timer->it.alarm.alarmtimer.node.expires;
		rec->base_clock =
			rec->clock == CLOCK_REALTIME_ALARM ? CLOCK_REALTIME : CLOCK_BOOTTIME;
	} else {
		rec->armed = ovm_hrtimer_queued(&timer->it.real.timer);
		rec->expires = timer->it.real.timer.node.expires;
		rec->base_clock = ovm_hrtimer_clock(timer->it.real.timer.base);
	}
}

/*
 * A timer that sends nothing need not be queued to expire: since v6.12 the kernel only keeps the
 * time, and works out the rest when it is asked (common_timer_get(), posix_cpu_timer_get()).
 */
static void silent_timer(struct ovm_rec_posix_timer __host *rec)
{
	if ((rec->notify & ~SIGEV_THREAD_ID) == SIGEV_NONE && rec->expires)
		rec->armed = 1;
}

static struct ovm_rec_posix_timer __host *one(struct signal_struct *signal,
					      const struct k_itimer *timer)
{
	struct ovm_rec_posix_timer __host *rec = llv_new(struct ovm_rec_posix_timer);
	const struct sigqueue *sigq = timer_sigqueue(timer);

	rec->id = timer->it_id;
	rec->clock = timer->it_clock;
	rec->notify = timer->it_sigev_notify;
	if (sigq) {
		rec->signo = sigq->info.si_signo;
		rec->value = OVM_IDENTITY(sigq->info.si_value.sival_ptr);
	}
	if (rec->notify & SIGEV_THREAD_ID)
		rec->notify_tid = ovm_pid_nr(timer->it_pid);
	rec->overrun = timer->it_overrun_last > INT_MAX ? INT_MAX : timer->it_overrun_last;
	rec->interval = timer->it_interval;
	expiry(signal, timer, rec);
	silent_timer(rec);
	return rec;
}

struct timers {
	struct ovm_rec_posix_timer __host *first;
	unsigned int nr;
};

/* In the order of creation: new timers are put in front. */
static void add(struct timers __host *timers, struct ovm_rec_posix_timer __host *rec)
{
	if (++timers->nr > MAX_TIMERS)
		llv_fail(LLV_CORRUPT, 0, "list of POSIX timers does not end");
	rec->next = timers->first;
	timers->first = rec;
}

LLV_SHARED void ovm_posix_timers(struct task_struct *leader, struct ovm_rec_process __host *rec)
{
	struct signal_struct *signal = leader->signal;
	struct timers __host *timers = llv_new(struct timers);
	const struct k_itimer *timer;

	if (llv_field_exists(struct signal_struct___hlist, posix_timers.first)) {
		const struct hlist_node *node =
			((const struct signal_struct___hlist *)signal)->posix_timers.first;

		for (; node; node = node->next)
			add(timers, one(signal, (const struct k_itimer *)container_of(
							node, struct k_itimer___hlist, list)));
	} else {
		list_for_each_entry(timer, &signal->posix_timers, list)
			add(timers, one(signal, timer));
	}
	rec->posix_timers = timers->first;
}

LLV_SHARED bool ovm_posix_timers_held(struct signal_struct *signal)
{
	const struct k_itimer *timer;
	unsigned int nr = 0;

	if (llv_field_exists(struct signal_struct___hlist, posix_timers.first)) {
		const struct hlist_node *node =
			((const struct signal_struct___hlist *)signal)->posix_timers.first;

		for (; node; node = node->next) {
			timer = (const struct k_itimer *)container_of(node, struct k_itimer___hlist,
								      list);
			if (ovm_spin_held(&timer->it_lock))
				return true;
		}
		return false;
	}
	list_for_each_entry(timer, &signal->posix_timers, list)
		if (ovm_spin_held(&timer->it_lock) || ++nr > MAX_TIMERS)
			return true;
	return false;
}
