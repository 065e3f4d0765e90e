// SPDX-License-Identifier: GPL-2.0-only
/*
 * POSIX timers that can't be represented.
 */
#include "check.h"

enum {
	NOTIFY_SIGNAL = 0,
	NOTIFY_THREAD_ID = 4,
	/* Clocks of CPU time are negative: ~pid << 3, 4 for a thread's, what is counted (0 to 2).
	 */
	CLOCK_PID_SHIFT = 3,
	CLOCK_PER_THREAD = 4,
	CLOCK_COUNTED = 3,
	CLOCK_OF_FILE = 3,
	CLOCK_LAST = 11,
	CLOCK_OF_THIS_THREAD = 3, /* CLOCK_THREAD_CPUTIME_ID */
};

/* The restored timer is made by the main thread. */
static const char *cpu_clock_problem(const struct ovm_image_report *report,
				     const struct ovm_image_process *p, int32_t clock)
{
	int32_t pid = ~(clock >> CLOCK_PID_SHIFT);
	bool per_thread = clock & CLOCK_PER_THREAD;

	if ((clock & CLOCK_COUNTED) == CLOCK_OF_FILE)
		return "counts on a clock device";
	if (!pid)
		return per_thread && p->nr_threads > 1 ? "counts the CPU time of some thread"
						       : NULL;
	if (per_thread ? ovm_image_has_thread(report, pid) : pid == p->rec->pid)
		return NULL;
	return "counts the CPU time of another process";
}

static const char *clock_problem(const struct ovm_image_report *report,
				 const struct ovm_image_process *p, int32_t clock)
{
	/* What clock_gettime(2) knows and timer_create(2) too. */
	static const uint32_t usable =
		1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 11;

	if (clock < 0)
		return cpu_clock_problem(report, p, clock);
	if (clock > CLOCK_LAST || !(usable >> clock & 1))
		return "counts on a clock that is not known";
	if (clock == CLOCK_OF_THIS_THREAD && p->nr_threads > 1)
		return "counts the CPU time of some thread";
	return NULL;
}

static void check_timer(struct ovm_image_report *report, const struct ovm_image_process *p,
			const struct ovm_rec_posix_timer *timer)
{
	const char *problem = clock_problem(report, p, timer->clock);

	if (problem)
		ovm_image_reason(report, "POSIX timer %d: %s (clock %d)", timer->id, problem,
				 timer->clock);
	if (timer->id < 0)
		ovm_image_reason(report, "POSIX timer %d: has an impossible id", timer->id);
	if (timer->notify < NOTIFY_SIGNAL || timer->notify > NOTIFY_THREAD_ID)
		ovm_image_reason(report, "POSIX timer %d: has an unknown kind of notification (%d)",
				 timer->id, timer->notify);
	if (timer->notify == NOTIFY_THREAD_ID && !ovm_image_has_thread(report, timer->notify_tid))
		ovm_image_reason(report, "POSIX timer %d: notifies thread %d, which has ended",
				 timer->id, timer->notify_tid);
}

void ovm_image_check_timers(struct ovm_image_report *report, const struct ovm_image_process *p)
{
	for (const struct ovm_rec_posix_timer *t = p->rec->posix_timers; t; t = t->next)
		check_timer(report, p, t);
}
