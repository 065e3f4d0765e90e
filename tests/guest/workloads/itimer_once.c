// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: an ITIMER_REAL without a period expires, once, when it should
 * @timed
 * @criu_dump: no stored without a period, it is taken for one that is off
 *
 * CRIU before 4.1 loses such a timer. Images from outside give it a period of decades, so that it
 * starts; it then shows as one that will expire again when nobody lives to see it.
 */
#include "workload.h"

#include <sys/time.h>

static volatile int64_t expired_at;

static void handler(int sig)
{
	(void)sig;
	expired_at = workload_now();
}

int main(int argc, char **argv)
{
	struct itimerval timer = {.it_value.tv_sec = workload_timeout() / WORKLOAD_NS_PER_S}, now;

	workload_start(argc, argv, NULL);
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = handler}, NULL);

	int64_t deadline = workload_now() + workload_timeout();

	CHECK_CALL(!setitimer(ITIMER_REAL, &timer, NULL));
	workload_ready();
	workload_wait();
	CHECK(!expired_at, "it expired before there was a go file: nothing was tested");
	while (!expired_at) {
		CHECK(workload_now() < deadline + WORKLOAD_LATE, "it did not expire");
		nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL);
	}
	CHECK(expired_at >= deadline - WORKLOAD_EARLY, "it expired too early");
	CHECK_CALL(!getitimer(ITIMER_REAL, &now));
	CHECK(!now.it_value.tv_sec || now.it_value.tv_sec > 60L * 365 * 86400,
	      "it is to expire again");
	workload_pass();
}
