// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interval timers and POSIX timers.
 */
#include "core.h"

enum {
	NSEC_PER_USEC = 1000,
	USEC_PER_SEC = 1000000,
	NSEC_PER_SEC = 1000000000,
	/* SIGEV_THREAD_ID */
	NOTIFY_THREAD = 4,
	/*
	 * CRIU before 4.1 takes an interval timer without an interval for one that is off. A period
	 * that nobody lives to see (68 years) makes it start, and changes what getitimer(2) shows.
	 */
	NEVER_SECONDS = 0x7fffffff,
};

struct timer_parts {
	TaskTimersEntry entry;
	ItimerEntry real, virt, prof;
};

static uint64_t to_usec(uint64_t ns)
{
	return ns / NSEC_PER_USEC + (ns % NSEC_PER_USEC != 0);
}

static void fill_itimer(ItimerEntry *entry, const struct ovm_image_timer *timer)
{
	itimer_entry__init(entry);
	if (!timer->remaining)
		return;
	uint64_t left = to_usec(timer->remaining), interval = to_usec(timer->interval);

	entry->vsec = left / USEC_PER_SEC;
	entry->vusec = left % USEC_PER_SEC;
	entry->isec = timer->interval ? interval / USEC_PER_SEC : NEVER_SECONDS;
	entry->iusec = interval % USEC_PER_SEC;
}

static void fill_posix_timer(PosixTimerEntry *entry, const struct ovm_image_posix_timer *timer)
{
	const struct ovm_rec_posix_timer *rec = timer->rec;

	posix_timer_entry__init(entry);
	entry->it_id = (uint32_t)rec->id;
	entry->clock_id = (uint32_t)rec->clock;
	entry->si_signo = (uint32_t)rec->signo;
	entry->it_sigev_notify = (uint32_t)rec->notify;
	entry->sival_ptr = rec->value;
	entry->overrun = (uint32_t)rec->overrun;
	entry->has_notify_thread_id = rec->notify == NOTIFY_THREAD;
	entry->notify_thread_id = rec->notify_tid;
	/* One that is off must have no interval either: that alone would start it. */
	if (!timer->remaining)
		return;
	entry->vsec = timer->remaining / NSEC_PER_SEC;
	entry->vnsec = timer->remaining % NSEC_PER_SEC;
	entry->isec = rec->interval / NSEC_PER_SEC;
	entry->insec = rec->interval % NSEC_PER_SEC;
}

static bool fill_posix_timers(struct ovm_image_pool *pool, TaskTimersEntry *entry,
			      const struct ovm_image_process *process)
{
	PosixTimerEntry *timers = ovm_image_alloc(pool, process->nr_posix_timers, sizeof(*timers));

	entry->posix = ovm_image_alloc(pool, process->nr_posix_timers, sizeof(*entry->posix));
	if (!timers || !entry->posix)
		return false;
	for (size_t i = 0; i < process->nr_posix_timers; i++) {
		fill_posix_timer(&timers[i], &process->posix_timers[i]);
		entry->posix[i] = &timers[i];
	}
	entry->n_posix = process->nr_posix_timers;
	return true;
}

TaskTimersEntry *ovm_image_timers(struct ovm_image_pool *pool,
				  const struct ovm_image_process *process)
{
	struct timer_parts *parts = ovm_image_new(pool, struct timer_parts);

	if (!parts)
		return NULL;
	task_timers_entry__init(&parts->entry);
	fill_itimer(&parts->real, &process->real);
	fill_itimer(&parts->virt, &process->virt);
	fill_itimer(&parts->prof, &process->prof);
	parts->entry.real = &parts->real;
	parts->entry.virt = &parts->virt;
	parts->entry.prof = &parts->prof;
	return fill_posix_timers(pool, &parts->entry, process) ? &parts->entry : NULL;
}
