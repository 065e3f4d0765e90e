// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: POSIX timers keep id, clock, time left, period, signal and value
 * @timed
 */
#include "workload.h"

#include <sys/syscall.h>

enum { TIMERS = 4 };

/* The kernel's own ids and calls: the C library hides them. */
struct timer {
	clockid_t clock;
	int notify;
	/* Times of the first expiry, as a fraction of the time-out, and of the period, s. */
	int tenths, period;
	int id;
	int64_t deadline;
};

static struct timer timers[TIMERS] = {
	{CLOCK_MONOTONIC, SIGEV_SIGNAL, 10, 0, 0, 0},
	{CLOCK_MONOTONIC, SIGEV_SIGNAL, 10, 1000, 0, 0},
	{CLOCK_BOOTTIME, SIGEV_SIGNAL, 10, 500, 0, 0},
	{CLOCK_MONOTONIC, SIGEV_NONE, 10, 300, 0, 0},
};

static int create(clockid_t clock, int notify, int value)
{
	struct sigevent event = {.sigev_notify = notify, .sigev_signo = SIGRTMIN + 8};
	int id;

	event.sigev_value.sival_int = value;
	CHECK_CALL(!syscall(SYS_timer_create, clock, &event, &id));
	return id;
}

static void start(struct timer *timer, int value)
{
	/* Leave gaps in the ids. */
	int unused = create(CLOCK_MONOTONIC, SIGEV_NONE, 0);
	int64_t first = workload_timeout() * timer->tenths / 10;
	struct itimerspec when = {.it_value = workload_timespec(first),
				  .it_interval = {timer->period, 5000000}};

	if (!timer->period)
		when.it_interval = (struct timespec){0, 0};
	timer->id = create(timer->clock, timer->notify, value);
	syscall(SYS_timer_delete, unused);
	timer->deadline = workload_now() + first;
	CHECK_CALL(!syscall(SYS_timer_settime, timer->id, 0, &when, NULL));
}

static void check_running(const struct timer *timer)
{
	struct itimerspec now;

	CHECK(!syscall(SYS_timer_gettime, timer->id, &now), "there is no timer %d", timer->id);
	CHECK(now.it_interval.tv_sec == timer->period, "timer %d has a period of %lld s, not %d",
	      timer->id, (long long)now.it_interval.tv_sec, timer->period);

	int64_t off = workload_now() + workload_ns(now.it_value) - timer->deadline;

	CHECK(off >= -WORKLOAD_EARLY && off <= WORKLOAD_LATE,
	      "timer %d is to expire %lld ms too late", timer->id, (long long)off / 1000000);
}

static void check_signal(const sigset_t *set, bool *seen)
{
	struct timespec patience = workload_timespec(workload_timeout() + WORKLOAD_LATE);
	siginfo_t info;

	CHECK(sigtimedwait(set, &info, &patience) > 0, "a timer's signal didn't come");

	int number = info.si_value.sival_int;

	CHECK(info.si_code == SI_TIMER && number >= 0 && number < TIMERS && !seen[number],
	      "a signal came with code %d and value %d", info.si_code, number);
	CHECK(info.si_timerid == timers[number].id, "the signal of timer %d came as %d's",
	      timers[number].id, info.si_timerid);
	seen[number] = true;
	workload_check_deadline(timers[number].deadline);
}

int main(int argc, char **argv)
{
	bool seen[TIMERS] = {false};
	sigset_t set;

	workload_start(argc, argv, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 8);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < TIMERS; i++)
		start(&timers[i], i);

	int idle = create(CLOCK_REALTIME, SIGEV_SIGNAL, 77);

	workload_ready();
	workload_wait();
	for (int i = 0; i < TIMERS; i++)
		check_running(&timers[i]);
	for (int i = 0; i < 3; i++)
		check_signal(&set, seen);
	CHECK(!seen[3], "a timer without a signal sent one");

	struct itimerspec off;

	CHECK(!syscall(SYS_timer_gettime, idle, &off), "the timer that was off is gone");
	CHECK(!workload_ns(off.it_value), "the timer that was off is running");
	workload_pass();
}
