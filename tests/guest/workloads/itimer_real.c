// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a periodic ITIMER_REAL keeps the time to its next expiry, and its period
 * @timed
 */
#include "workload.h"

#include <sys/time.h>

static volatile int64_t expired_at;

static void handler(int sig)
{
	(void)sig;
	expired_at = workload_now();
}

static int64_t ns(struct timeval tv)
{
	return tv.tv_sec * WORKLOAD_NS_PER_S + tv.tv_usec * 1000;
}

int main(int argc, char **argv)
{
	struct itimerval timer = {.it_interval = {.tv_sec = 2, .tv_usec = 250000}}, now;

	workload_start(argc, argv, NULL);
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = handler}, NULL);
	timer.it_value.tv_sec = workload_timeout() / WORKLOAD_NS_PER_S;

	int64_t deadline = workload_now() + workload_timeout();

	CHECK_CALL(!setitimer(ITIMER_REAL, &timer, NULL));
	workload_ready();
	workload_wait();
	CHECK(!expired_at, "it expired before there was a go file: nothing was tested");
	CHECK_CALL(!getitimer(ITIMER_REAL, &now));
	CHECK(ns(now.it_interval) == ns(timer.it_interval), "the period is %lld us, was %lld",
	      (long long)ns(now.it_interval) / 1000, (long long)ns(timer.it_interval) / 1000);

	int64_t off = workload_now() + ns(now.it_value) - deadline;

	CHECK(off >= -WORKLOAD_EARLY && off <= WORKLOAD_LATE, "it is to expire %lld ms too late",
	      (long long)off / 1000000);
	while (!expired_at)
		nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL);
	CHECK(expired_at >= deadline - WORKLOAD_EARLY && expired_at <= deadline + WORKLOAD_LATE,
	      "it expired %lld ms too late", (long long)(expired_at - deadline) / 1000000);

	int64_t first = expired_at;

	while (expired_at == first) {
		CHECK(workload_now() < first + ns(timer.it_interval) + WORKLOAD_LATE,
		      "it did not expire again");
		nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL);
	}
	workload_pass();
}
