// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: ITIMER_PROF keeps what is left of its CPU time, and goes on counting
 */
#include "workload.h"

#include <sys/time.h>

static volatile sig_atomic_t expired;

static void handler(int sig)
{
	(void)sig;
	expired++;
}

static int64_t ns(struct timeval tv)
{
	return tv.tv_sec * WORKLOAD_NS_PER_S + tv.tv_usec * 1000;
}

static int64_t left(void)
{
	struct itimerval timer;

	CHECK_CALL(!getitimer(ITIMER_PROF, &timer));
	return ns(timer.it_value);
}

/* Consume CPU time in user mode. */
static void burn(int64_t amount)
{
	int64_t end = workload_clock(CLOCK_PROCESS_CPUTIME_ID) + amount;

	while (workload_clock(CLOCK_PROCESS_CPUTIME_ID) < end)
		for (volatile int i = 0; i < 100000; i++)
			;
}

int main(int argc, char **argv)
{
	struct itimerval timer = {.it_value = {1, 0}, .it_interval = {700, 300000}}, now;

	workload_start(argc, argv, NULL);
	sigaction(SIGPROF, &(struct sigaction){.sa_handler = handler}, NULL);
	CHECK_CALL(!setitimer(ITIMER_PROF, &timer, NULL));
	/* Once over its first expiry, it is in the first period. */
	while (!expired)
		burn(100 * 1000000);

	int64_t before = left();

	workload_ready();
	workload_wait();
	CHECK_CALL(!getitimer(ITIMER_PROF, &now));
	CHECK(ns(now.it_interval) == ns(timer.it_interval), "the period is %lld us, was %lld",
	      (long long)ns(now.it_interval) / 1000, (long long)ns(timer.it_interval) / 1000);

	int64_t after = ns(now.it_value);

	CHECK(after <= before + WORKLOAD_EARLY && after >= before - WORKLOAD_LATE,
	      "%lld ms are left, before it were %lld", (long long)after / 1000000,
	      (long long)before / 1000000);
	/* The kernel counts ticks, of which an emulated guest loses some. */
	for (int i = 0; i < 100 && left() > after - WORKLOAD_NS_PER_S / 2; i++)
		burn(100 * 1000000);
	CHECK(left() <= after - WORKLOAD_NS_PER_S / 2, "it doesn't count: %lld ms left after %lld",
	      (long long)left() / 1000000, (long long)after / 1000000);
	CHECK(expired == 1, "it expired %d times", (int)expired);
	workload_pass();
}
