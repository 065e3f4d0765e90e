// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: clock_nanosleep to a point in time ends at that point of the process's own clock
 * @timed
 */
#include "workload.h"

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	int64_t deadline = workload_now() + workload_timeout();
	struct timespec until = workload_timespec(deadline);
	int error;

	workload_ready();
	while ((error = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL)) == EINTR)
		;
	CHECK(!error, "clock_nanosleep: %s", strerror(error));
	workload_check_deadline(deadline);
	workload_pass();
}
